# Berth in a container. It needs the host's network, the Docker socket, and its data folder under the same path as on the
# host (the edge's container mounts it from there): templates/install/compose.yaml has all of that.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python3 -m venv /opt/berth
# the libraries in a layer of their own, which a change of Berth's sources does not touch
COPY pyproject.toml ./
RUN --mount=type=cache,id=berth-pip,target=/root/.cache/pip \
    python3 -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' >libraries.txt \
    && /opt/berth/bin/pip install -r libraries.txt 'asyncpg>=0.30,<1'
COPY README.md LICENSE ./
COPY bot bot
COPY templates templates
COPY app.yml ./
RUN --mount=type=cache,id=berth-pip,target=/root/.cache/pip /opt/berth/bin/pip install --no-deps .

FROM ${PYTHON_IMAGE}
# git fetches commits; the docker client is for builds with mounted secrets, which the Engine API alone does not offer
RUN apt-get update \
    && if apt-cache show docker-cli >/dev/null 2>&1; then client="docker-cli docker-buildx"; else client=docker.io; fi \
    && apt-get install -y --no-install-recommends ca-certificates git $client \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/berth
COPY --from=build /opt/berth /opt/berth
ENV PATH=/opt/berth/bin:$PATH PYTHONUNBUFFERED=1 BERTH_DATA_DIR=/var/lib/berth HOME=/tmp
USER 10001:10001
EXPOSE 8420
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python3", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ.get('BERTH_PORT') or 8420}/healthz\", timeout=4)"]
ENTRYPOINT ["berth"]
CMD ["serve"]
