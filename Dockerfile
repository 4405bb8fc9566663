# syntax=docker/dockerfile:1

# The slim image brings gcc and libc6-dev, which is all that aws-lc needs.
FROM rust:1.95-slim-bookworm AS builder
WORKDIR /build
COPY . .
# The target folder is a cache and not part of the layer, hence the copy.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin dqe-proxy \
    && cp target/release/dqe-proxy /dqe-proxy

# glibc, CA bundle and a user without rights; no shell, nothing to write to.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="dqe-proxy" \
      org.opencontainers.image.description="An authenticating reverse proxy for the DQE Software APIs" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=builder /dqe-proxy /usr/local/bin/dqe-proxy

# A container's loopback is reached by nobody outside of it. "private" means
# private networks only; name narrower ones where they are known. The admin
# port serves the probes of an orchestrator: do not publish it any further.
ENV DQE_PROXY_LISTENER_ADDRESS=0.0.0.0:8080 \
    DQE_PROXY_LISTENER_ALLOW=private \
    DQE_PROXY_ADMIN_ADDRESS=0.0.0.0:9090
EXPOSE 8080 9090

# A number, so that an orchestrator can see that it is not root.
USER 65532:65532
# Drains for up to 22 s by default: give it 30 before killing it.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=2s --start-period=5s --retries=3 \
    CMD ["/usr/local/bin/dqe-proxy", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/dqe-proxy"]
CMD ["run"]
