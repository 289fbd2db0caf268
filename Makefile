.PHONY: build test check fuzz lint dev vuln

build: ## the static binary, ./bin/ace
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o bin/ace ./cmd/ace

test: ## all tests
	go test ./...

check: ## what CI runs
	.ci/run

lint:
	golangci-lint run ./...

dev: ## a cloud, a server and a sample app on this machine
	go run ./cmd/ace dev

vuln: ## known vulnerabilities; needs to reach the Go vulnerability database
	go run golang.org/x/vuln/cmd/govulncheck@v1.2.0 ./...
