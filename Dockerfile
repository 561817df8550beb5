# One image for every service of docker-compose.yml: the pinned versions, and a user without rights.

FROM python:3.13.16-slim-bookworm AS dependencies
# what the services use beyond a plain run, as extras of setup.cfg, with commas
ARG EXTRAS=mock,ops,report
WORKDIR /src
COPY pyproject.toml setup.cfg constraints.txt ./
# The build backend first, so that it is the pinned one too. The packages are empty here, so that a change of their code
# does not change this layer, the large one; pip and the libraries' own tests are no more needed then
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
# cron is for the service of that name. Its pam_loginuid wants a right that containers do not have, for a login that
# nobody makes, and without it runs no job. Debian keeps one version of a package only, so none is pinned
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends cron \
    && rm -rf /var/lib/apt/lists/* /etc/crontab \
    && sed -i '/pam_loginuid/d' /etc/pam.d/cron \
    && useradd --uid 1000 --create-home app
COPY --from=dependencies /opt/venv /opt/venv
COPY --from=package /opt/package /opt/package
WORKDIR /app
# new volumes take the owner of the folder they cover
RUN install --directory --owner=app --group=app output duckdb_db luigid
COPY luigi.cfg ./
COPY deploy deploy
COPY data data
# nothing is compiled at run time: the root file system may be read-only
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/opt/package PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 1000:1000
# what breaks a container most often is a volume that belongs to somebody else
HEALTHCHECK --interval=60s --timeout=5s CMD ["sh", "-c", "test -w output && test -w duckdb_db"]

ENTRYPOINT ["luigi", "--module", "pipeline"]
CMD ["RunAll", "--local-scheduler"]
