# The operator and the libraries it is linked with, nothing else: no shell, no package manager, no root.
FROM debian:bookworm-slim AS build
RUN apt-get update -q && apt-get install -yq --no-install-recommends gcc libc6-dev make pkg-config ca-certificates lua5.4 \
    liblua5.4-dev libcurl4-openssl-dev libyaml-dev libcjson-dev libuv1-dev libssl-dev libhttp-parser-dev librabbitmq-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Makefile ./
COPY engine engine
COPY lua lua
COPY policies policies
COPY crds crds
ARG VERSION=unknown
RUN mkdir -p build && touch build/.deps && make -j"$(nproc)" VERSION="$VERSION" all
ARG SOURCE_DATE_EPOCH=0
RUN engine/image.sh build/asya-operator /image "$SOURCE_DATE_EPOCH"

FROM scratch AS sbom
COPY --from=build /image/sbom.spdx.json /

FROM scratch
ARG VERSION=unknown
LABEL org.opencontainers.image.title="asya-operator" \
      org.opencontainers.image.description="A Lua-scriptable Kubernetes operator for AsyncActors" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION"
COPY --from=build /image/ /
USER 65532:65532
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
ENTRYPOINT ["/manager"]
