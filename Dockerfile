# One image for every process of the platform. The first argument says which:
#   docker run alphapulse instrument|venue|synthetic|relay|collector
#   docker run alphapulse strategy examples/momentum.py:Momentum
#   docker run alphapulse alphapulse seed
# Everything is installed from hashes; the base can be replaced by any image with Python 3.11 or later and glibc.
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS builder
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /src

# The build's own tool, from the lock of the development packages; apart from what is shipped.
COPY requirements.lock requirements-runtime.lock ./
RUN awk '/^[^ #]/ {on = /^setuptools==/} on' requirements.lock > build.lock \
    && python -m venv /build \
    && /build/bin/pip install --quiet --require-hashes --no-deps -r build.lock

# The packages change less often than the code: a layer of their own. The environment has no pip.
RUN python -m venv --without-pip /opt/alphapulse/venv \
    && /build/bin/pip --python /opt/alphapulse/venv/bin/python install --quiet \
       --require-hashes --no-deps --only-binary :all: -r requirements-runtime.lock

COPY pyproject.toml README.md LICENSE ./
COPY alphapulse alphapulse
COPY registry_service registry_service
COPY relay_service relay_service
COPY collector_service collector_service
COPY strategy_sdk strategy_sdk
COPY alphapulse_cli alphapulse_cli
RUN /build/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /build/bin/pip --python /opt/alphapulse/venv/bin/python install --quiet --no-deps --no-index /wheels/*.whl
COPY examples /opt/alphapulse/examples
COPY deploy/entrypoint.sh /opt/alphapulse/entrypoint.sh

# Whole seconds: layers keep no fractions, and numba drops what it compiled from a file of another time. -P: the installed packages
# are meant, not those of /src, as the place of a file is part of numba's key. `generic` compiles for any processor of the
# architecture, not for the one that builds. Byte code last, as nothing may be written later.
ENV NUMBA_CPU_NAME=generic
RUN find /opt/alphapulse -exec touch --no-dereference --date=@1704067200 {} + \
    && NUMBA_CACHE_DIR=/opt/alphapulse/numba /opt/alphapulse/venv/bin/python -P -c \
       "from relay_service.core import RelayCore; from relay_service.egress.warm_up import warm_up; from collector_service.lane.kernel import load; RelayCore().warm_up(); warm_up(); load()" \
    && /opt/alphapulse/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/alphapulse/venv/lib /opt/alphapulse/examples


FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="AlphaPulse Registry" \
      org.opencontainers.image.description="Instrument, venue and synthetic registries, collectors, relay and strategy SDK for trading" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# The folder of the relay's sockets exists with its owner, so that a volume mounted there is given to the same user.
RUN groupadd --gid 10001 alphapulse \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin alphapulse \
    && install -d -o 10001 -g 10001 -m 0700 /run/alphapulse

COPY --from=builder /opt/alphapulse /opt/alphapulse

# /tmp is the only folder that is written to: the root file system may be read-only.
ENV PATH=/opt/alphapulse/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    NUMBA_CPU_NAME=generic \
    NUMBA_CACHE_DIR=/tmp/numba \
    LISTEN_HOST=0.0.0.0 \
    GRPC_PORT=50051 \
    METRICS_PORT=9090 \
    LOG_FORMAT=json

USER 10001:10001
WORKDIR /opt/alphapulse
EXPOSE 50051 8051 9090
STOPSIGNAL SIGTERM
# Asks the service on GRPC_PORT whether it is ready.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-m", "alphapulse.client.healthcheck"]
ENTRYPOINT ["/opt/alphapulse/entrypoint.sh"]
CMD ["instrument"]
