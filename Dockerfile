FROM debian:12 AS builder
WORKDIR /src
COPY cmake/install-deps.sh cmake/
RUN cmake/install-deps.sh build
COPY . .
RUN cmake --preset release -DWEFT_BUILD_TESTS=OFF \
    && cmake --build build/release --target weft -j "$(nproc)" \
    && cmake --install build/release --component program --prefix /opt/weft

FROM debian:12-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
       libdw1 libfmt9 libspdlog1.10 libstdc++6 liburing2 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin weft
COPY --from=builder /opt/weft/bin/weft /usr/local/bin/weft
USER weft
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s CMD ["weft", "check", "http://127.0.0.1:8080/healthz"]
ENTRYPOINT ["weft", "serve"]
