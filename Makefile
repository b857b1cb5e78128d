# Parley. `make start` and `make test` need only Node >= 20 with npm, git and make; they install the rest, Node 24 included.
SHELL := /bin/bash
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
export PARLEY_CACHE ?= $(HOME)/.cache/parley
export NX_DAEMON := false
export NX_TUI := false

# A young generation of 8 MB: less memory per connection, at no cost that could be measured (docs/performance.md).
NODE_FLAGS := --max-semi-space-size=8

INSTALLED := node_modules/.package-lock.json

.PHONY: help
help: ## What can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(INSTALLED): package.json package-lock.json $(wildcard apps/*/package.json libs/*/package.json tools/*/package.json)
	@echo "Installing packages (npm ci), Node 24 among them …"
	@npm ci --no-fund --no-audit --loglevel=error
	@touch $@

.PHONY: build
build: $(INSTALLED) ## Compile everything that changed
	@echo "Compiling what changed (nx build) …"
	@nx run-many -t build --output-style=static > node_modules/.build.log 2>&1 || { cat node_modules/.build.log; exit 1; }

.PHONY: start
start: build ## Run all six services in one process on embedded adapters
	@echo "Starting Parley on port $${PARLEY_PORT:-8080}, data in $${PARLEY_DATA_DIR:-.data} …"
	@exec node $(NODE_FLAGS) apps/standalone/dist/main.js

.PHONY: stack
stack: build ## Kafka, Cassandra, Redis, MariaDB and etcd on this machine, without containers (ARGS="--nodes 3")
	@node tools/stack/dist/main.js up $(ARGS)

.PHONY: stack-down
stack-down: build ## Stop them; ARGS="--wipe" removes their data
	@node tools/stack/dist/main.js down $(ARGS)

.PHONY: stack-status
stack-status: build ## What of them runs, where, and where it logs
	@node tools/stack/dist/main.js status $(ARGS)

.PHONY: start-cluster
start-cluster: build ## Run the six services as processes of their own on the stack (ARGS="--count chat=5")
	@exec node tools/cluster/dist/main.js $(ARGS)

.PHONY: test-cluster
test-cluster: build ## Conformance of every adapter on the real engines, and the end-to-end tests over a cluster
	@node tools/ci/test-cluster.mjs $(ARGS)

.PHONY: faults-cluster
faults-cluster: build ## Replay over a cluster while each app and each engine is killed in turn
	@node tools/cluster/dist/faults.js $(ARGS)

.PHONY: failure-policy
failure-policy: build ## Each cell of docs/failure-policy.md, the engine killed and the engine stopped
	@node tools/ci/failure-policy.mjs $(ARGS)

.PHONY: scale-out
scale-out: build ## Routing 1 to 3 and chat 1 to 3 instances under load
	@node tools/cluster/dist/scale-out.js $(ARGS)

.PHONY: trace
trace: build ## The way of one message over a cluster, hop by hop
	@node tools/cluster/dist/trace.js $(ARGS)

.PHONY: test
test: build ## Check formatting, lint, types, protocol; run all tests that need nothing else on the machine
	@node tools/ci/test.mjs

.PHONY: lint
lint: $(INSTALLED) ## Formatting, lint with layer rules, types, protobuf
	@node tools/ci/test.mjs --checks-only

.PHONY: format
format: $(INSTALLED) ## Format everything
	@prettier --log-level warn --write .

.PHONY: replay
replay: build ## Replay the IRC logs against a running server (ARGS="--speed 60")
	@node tools/replay/dist/main.js $(ARGS)

.PHONY: bench
bench: build ## The benchmarks: a server on one core, the load on the other (ARGS="--quick")
	@node tools/bench/dist/main.js $(ARGS)

.PHONY: faults
faults: build ## Replay with kill -9 in the middle; the history checker decides
	@node tools/replay/dist/faults.js $(ARGS)

.PHONY: mutations
mutations: build ## Break each mechanism on purpose; a test must notice
	@node tools/ci/mutations.mjs $(ARGS)

.PHONY: clean
clean: ## Remove what was installed and built (not the data)
	@rm -rf node_modules .nx apps/*/dist libs/*/dist tools/*/dist
