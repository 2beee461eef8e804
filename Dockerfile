# The image of web server, workers and beat; docker-compose.yml has the command of each.
FROM python:3.13.7-slim-trixie AS packages
COPY requirements.txt /tmp/
# Install only wheels with a known hash and without resolving, so that the lock alone decides what is installed.
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes --only-binary :all: -r /tmp/requirements.txt \
 && /venv/bin/pip check

FROM python:3.13.7-slim-trixie
# pg_dump and pg_restore for manage.py backup, in the version of the server.
RUN apt-get update && apt-get install --yes --no-install-recommends postgresql-client-17 && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /data hub && install --directory --owner hub --group hub /data
COPY --from=packages /venv /venv
COPY . /hub
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HUB_DATA_DIR=/data
WORKDIR /hub
RUN python -m compileall -q channels_app hub publishing
USER hub
VOLUME /data
EXPOSE 8000
HEALTHCHECK --start-period=60s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=5)"]
CMD ["gunicorn", "--config", "python:hub.server.gunicorn_conf", "--bind", "0.0.0.0:8000", "hub.wsgi"]
