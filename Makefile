.PHONY: build test check lint dev vuln bench soak

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

bench: ## keys against one SHA-256, HTTP against a bare handler, gateway and relay against a bare proxy, as ratios of one run
	go test -run '^$$' -bench . -benchtime 1s ./bridge/keys
	go test -run '^$$' -bench Tunnel -benchtime 20x -timeout 20m ./bridge/tunnel
	go test -run '^$$' -bench 'Far|IdleLink' -benchtime 5x -timeout 20m ./bridge/tunnel
	go test -run '^$$' -bench . -benchtime 20x -timeout 20m ./server
	go test -run '^$$' -bench . -benchtime 20x -timeout 20m ./cloud

soak: ## tests of links that take minutes or thousands of connections; wants 25,000 file descriptors
	go test -count=1 -tags soak -run Soak -v -timeout 30m ./bridge/tunnel
