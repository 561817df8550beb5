# The pipeline with the pinned versions, as a user without rights. See docker-compose.yml for how to start it.
FROM python:3.13.16-slim-bookworm

WORKDIR /src
COPY pyproject.toml setup.cfg constraints.txt ./
COPY pipeline pipeline
# the build backend first, so that it is the pinned one too
RUN pip install --no-cache-dir -c constraints.txt setuptools \
    && pip install --no-cache-dir -c constraints.txt --no-build-isolation .

WORKDIR /app
COPY luigi.cfg ./
COPY data data
# new volumes take the owner of the folder they cover
RUN useradd --uid 1000 --create-home app \
    && mkdir output duckdb_db \
    && chown app:app output duckdb_db
USER 1000:1000
VOLUME ["/app/output", "/app/duckdb_db"]

ENTRYPOINT ["luigi", "--module", "pipeline", "--local-scheduler"]
CMD ["RunAll"]
