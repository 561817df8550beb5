# One image for all services of docker-compose.yml, with pinned versions and an unprivileged user.

FROM python:3.13.16-slim-bookworm AS dependencies
# the extras of setup.cfg that the services need, separated by commas
ARG EXTRAS=mock,ops,report
WORKDIR /src
COPY pyproject.toml setup.cfg constraints.txt ./
# The build backend is installed first, so that its version is pinned, too. The packages are empty here: a change of our
# code then does not rebuild this large layer. After the installation, pip and the tests of the libraries are removed.
RUN mkdir pipeline mock_shop \
    && touch pipeline/__init__.py mock_shop/__init__.py \
    && python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir -c constraints.txt setuptools \
    && /opt/venv/bin/pip install --no-cache-dir -c constraints.txt --no-build-isolation ".[${EXTRAS}]" \
    && /opt/venv/bin/pip uninstall --yes orders-lake setuptools pip \
    && find /opt/venv -type d -name tests -prune -exec rm -r {} + \
    && rm -r build pipeline mock_shop ./*.egg-info

FROM dependencies AS package
COPY pipeline pipeline
COPY mock_shop mock_shop
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir -c constraints.txt setuptools \
    && /opt/build/bin/pip install --no-cache-dir --no-build-isolation --no-deps --target /opt/package .

FROM python:3.13.16-slim-bookworm
# The service `cron` needs Debian's cron; docker-compose.yml adds Java for Spark. Cron's PAM module pam_loginuid fails in
# a container, which lacks the capability CAP_AUDIT_CONTROL, and then cron runs no job. So the module is removed; nobody
# logs in here.
# The versions are not pinned, because Debian keeps only one version of a package.
ARG DEBIAN_PACKAGES=cron
# hadolint ignore=DL3008,SC2086
RUN apt-get update \
    && apt-get install --yes --no-install-recommends $DEBIAN_PACKAGES \
    && rm -rf /var/lib/apt/lists/* /etc/crontab \
    && sed -i '/pam_loginuid/d' /etc/pam.d/cron \
    && useradd --uid 1000 --create-home app
COPY --from=dependencies /opt/venv /opt/venv
COPY --from=package /opt/package /opt/package
WORKDIR /app
# a new volume gets the owner of the folder that it is mounted on
RUN install --directory --owner=app --group=app output duckdb_db luigid
COPY luigi.cfg ./
COPY deploy deploy
COPY data data
# Python writes no .pyc files, so that the root file system can be read-only
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/opt/package PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 1000:1000
# the most frequent fault of a container is a volume that belongs to another user
HEALTHCHECK --interval=60s --timeout=5s CMD ["sh", "-c", "test -w output && test -w duckdb_db"]

ENTRYPOINT ["luigi", "--module", "pipeline"]
CMD ["RunAll", "--local-scheduler"]
