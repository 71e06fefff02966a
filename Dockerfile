# The image holds the static binary, CA certificates for upstreams, and an empty
# /data that belongs to the user who runs it. Building it twice from the same
# base gives the same layers: no path, time or version-control state gets in.
ARG GO_IMAGE=docker.io/library/golang:1.26-bookworm

FROM ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
COPY server server
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags='-s -w -buildid=' \
      -o /image/usr/bin/zuul-registry ./server \
 && mkdir -p /image/etc/ssl/certs /volume/data \
 && cp -L /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
 && find /image /volume -exec touch --no-dereference --date=@0 {} +

FROM scratch
LABEL org.opencontainers.image.title="zuul-registry" \
      org.opencontainers.image.description="Speculative container image registry of the Zuul gating system" \
      org.opencontainers.image.source="https://opendev.org/zuul/zuul-registry" \
      org.opencontainers.image.licenses="GPL-3.0-only"
COPY --from=build /image /
COPY --from=build --chown=65532:65532 /volume /
USER 65532:65532
VOLUME /data
EXPOSE 9000
HEALTHCHECK --interval=10s --timeout=6s --start-period=5s CMD ["/usr/bin/zuul-registry", "health"]
ENTRYPOINT ["/usr/bin/zuul-registry"]
CMD ["serve"]
