# The service as an image: built with a Swift toolchain, run without one. Serves; with the argument `migrate`, migrates.

FROM swift:6.3-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends libpq-dev libssl-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
# The packages change less often than the sources: this layer is made anew only when Package.swift changes.
COPY Package.swift ./
RUN swift package resolve
COPY Sources Sources
# Not built, but Package.swift names them.
COPY Tests Tests
RUN swift build -c release --product link-session-service --static-swift-stdlib -Xlinker -s

# Debian 13: OpenSSL 3.5 and libpq 17, with which what was built on Debian 12 runs as well. `docker build --build-context`
# builds on another, or on one by its digest (docs/operate.md).
FROM debian:trixie-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libpq5 libssl3t64 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin link-session
WORKDIR /app
COPY config config
COPY migrations migrations
COPY --from=build /build/.build/release/link-session-service /usr/local/bin/
# By number, so that an orchestrator can see that it is not root. Nothing is written: the root may be read-only.
USER 10001:10001
ENV LINK_SESSION_ENV=production
EXPOSE 8080 9464
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["link-session-service", "healthcheck"]
ENTRYPOINT ["link-session-service"]
CMD ["serve"]
