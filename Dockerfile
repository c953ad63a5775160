# Mirrors, where the usual places are slow: DOCKER_REGISTRY ends in "/", PYPI_INDEX_URL in "/simple".
# One image for services and workers (compose.cluster.yaml). Nothing comes from Debian: fonts and all that is compiled are in the locked wheels.
ARG DOCKER_REGISTRY=
FROM ${DOCKER_REGISTRY}python:3.11-slim

ARG PYPI_INDEX_URL=
WORKDIR /opt/slideloom
COPY requirements-cluster.lock ./
RUN python -m venv venv \
 && venv/bin/pip install --no-cache-dir ${PYPI_INDEX_URL:+--index-url "$PYPI_INDEX_URL"} \
    --require-hashes -r requirements-cluster.lock
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY static static
RUN venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
 && useradd --system --uid 10001 --home-dir /data slideloom \
 && install -d -o slideloom -g slideloom /data

# All that is written lies below /data, the folder the settings' relative names start from.
USER slideloom
WORKDIR /data
VOLUME /data
EXPOSE 8000
ENV PYTHONUNBUFFERED=1
# Not urllib, which would ask a proxy that .env names.
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import http.client as web, sys; call = web.HTTPConnection('127.0.0.1', 8000, timeout=4); call.request('GET', '/healthz'); sys.exit(call.getresponse().status != 200)"]
# It starts with API_TOKENS only: whoever publishes the port must say who may spend the money.
CMD ["/opt/slideloom/venv/bin/slideloom", "serve", "--host", "0.0.0.0", "--port", "8000"]
