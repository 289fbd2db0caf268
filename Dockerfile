# The static binary and nothing else: no shell, no package manager, not root.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o /out/ace ./cmd/ace \
 && mkdir -p /out/data /out/secrets

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/ace /ace
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build --chown=65532:65532 /out/secrets /secrets
USER 65532:65532
ENV HOME=/data ACE_DATA_DIR=/data
VOLUME /data
ENTRYPOINT ["/ace"]
CMD ["--help"]
