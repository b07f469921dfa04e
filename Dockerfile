# One image for web, worker, beat, host watcher and the demo; docker-compose.yml says which is which.
# The base images are arguments, so that a company's own or locally made ones can stand in
# (docs/operating/without-a-registry.md).
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS frontend
WORKDIR /src
COPY dashboard/frontend/package.json dashboard/frontend/package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY dashboard/frontend/ ./
RUN npm run build

FROM ${PYTHON_IMAGE} AS packages
RUN python3 -m venv /opt/confhub
COPY requirements.lock /tmp/
RUN /opt/confhub/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /tmp/requirements.lock

FROM ${PYTHON_IMAGE}
RUN groupadd --system --gid 990 confhub \
 && useradd --system --uid 990 --gid confhub --home-dir /srv/confhub --shell /usr/sbin/nologin confhub \
 && mkdir -p /var/lib/confhub /var/lib/confhub-host /run/confhub \
 && chown confhub:confhub /var/lib/confhub /run/confhub
COPY --from=packages /opt/confhub /opt/confhub
WORKDIR /srv/confhub
COPY manage.py pyproject.toml README.md ./
COPY confhub/ confhub/
COPY watchers/ watchers/
COPY dashboard/ dashboard/
COPY --from=frontend /src/dist dashboard/frontend/dist
ENV PATH=/opt/confhub/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    CONFHUB_VAR_DIR=/var/lib/confhub \
    STATIC_ROOT=/srv/static
# Without isolation, because a build environment would be filled past the lock's hashes.
RUN pip install --no-cache-dir --disable-pip-version-check --quiet \
      --no-deps --no-index --no-build-isolation --editable . \
 && python -m compileall -q confhub watchers dashboard \
 && SECRET_KEY=only-for-this-step python manage.py collectstatic --noinput --verbosity 0
USER confhub
EXPOSE 8000
CMD ["uvicorn", "confhub.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--no-access-log", "--timeout-graceful-shutdown", "10", "--ws-max-size", "65536"]
