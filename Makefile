# Every task of the project is one word here; `make` alone lists them.
#
# A fresh machine needs Python 3.11 or later, a Rust toolchain, make and git. `make check` also
# needs Node.js with npm, for the checker of the protos and for TypeScript; without Go it skips what
# is written in it.
#
# Stamps in .venv remember what is done, so that a second run only starts what was asked for.

PYTHON ?= python3
LISTEN ?= 127.0.0.1:4141
DATA_DIR ?= data
# More options for the command behind run, demo, bench* and pytest: make test ARGS="-k limits".
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
BUF := tools/node_modules/.bin/buf
GO_MODULES := clients/go tests/conformance/go
# Code that makes the extension: not its tests, benchmarks and fuzz targets.
RUST_SOURCES := Cargo.toml Cargo.lock pyproject.toml $(shell find rust -type f \
  -not -path '*/target/*' -not -path '*/tests/*' -not -path '*/benches/*' -not -path 'rust/fuzz/*')

# An extension that was deleted by hand is built again, whatever the stamp says.
ifeq ($(wildcard python/eventfold/_core*.so python/eventfold/_core*.pyd),)
.PHONY: $(VENV)/.core
endif

.DEFAULT_GOAL := help
.PHONY: help
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## build, then serve on LISTEN (127.0.0.1:4141) with data in DATA_DIR (data)
	@exec $(BIN)/eventfold serve --listen $(LISTEN) --data-dir $(DATA_DIR) $(ARGS)

.PHONY: build
build: $(VENV)/.package ## build .venv/bin/eventfold and the Rust extension, whatever is missing

.PHONY: demo
demo: build ## import real purchases into a server of its own and ask about them
	@exec $(BIN)/python examples/cdnow/demo.py $(ARGS)

# A file is run by one of them, in its order, and files in the order of their names: what takes
# long on its own (clients in other languages) begins long before the end.
TEST_PROCESSES ?= 2

.PHONY: test
test: build ## run every test: cargo, then pytest, fast ones first
	cargo test --workspace --exclude eventfold-py --locked
	$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile \
	  --no-loadscope-reorder $(ARGS)

.PHONY: conformance
conformance: build ## run all cases in all languages, and write docs/conformance-table.md
	$(BIN)/python -m tests.conformance.table

.PHONY: check
check: lint test ## what a change must pass: lint, then test

.PHONY: fmt
fmt: $(VENV)/.deps ## format Python, Rust and Go, and fix what linters can fix
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	cargo fmt --all
	@if command -v gofmt >/dev/null; then gofmt -w $(GO_MODULES); else echo "gofmt: skipped"; fi

.PHONY: lint
lint: build $(BUF) ## check format, style, types, protos, and that generated code is fresh
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/python scripts/generate.py --check
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest eventfold._core
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	@if missing=$$($(BIN)/python scripts/go_toolchain.py); then \
	  echo "gofmt, go vet: $(GO_MODULES)"; \
	  unformatted=$$(gofmt -l $(GO_MODULES)); \
	  [ -z "$$unformatted" ] || { echo "not formatted by gofmt: $$unformatted" >&2; exit 1; }; \
	  for module in $(GO_MODULES); do go vet -C $$module ./... || exit 1; done; \
	elif [ -n "$$CI" ]; then echo "$$missing" >&2; exit 1; \
	else echo "gofmt, go vet: skipped. $$missing"; fi
	$(BUF) lint proto
	@tag=$$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null || true); \
	if [ -n "$$tag" ]; then \
	  echo "$(BUF) breaking proto, against $$tag"; \
	  $(BUF) breaking proto --against ".git#tag=$$tag,subdir=proto"; \
	else \
	  echo "buf breaking: skipped, there is no release tag (v*) yet"; \
	fi

.PHONY: generate
generate: $(VENV)/.deps ## write all generated code again
	$(BIN)/python scripts/generate.py

.PHONY: lock
lock: $(VENV)/.deps ## resolve requirements.lock again; UPGRADE=1 takes the newest versions
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	  --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade) \
	  --extra server --group dev --output-file requirements.lock pyproject.toml

.PHONY: lock-peers
lock-peers: $(VENV)/.deps ## resolve the lock files of the benchmarks' peers again
	cd benchmarks/peers && $(CURDIR)/$(BIN)/uv pip compile --quiet --universal --generate-hashes \
	  --no-emit-index-url --python-version 3.11 --custom-compile-command "make lock-peers" \
	  $(if $(UPGRADE),--upgrade) --output-file requirements.txt requirements.in
	cd benchmarks/peers && npm install --package-lock-only --ignore-scripts --no-progress

.PHONY: bench
bench: build ## measure eventfold beside the same SQL without a server; some minutes
	@exec $(BIN)/python benchmarks/run.py own $(ARGS)

.PHONY: bench-peers
bench-peers: build ## install the peers and measure them beside eventfold; half an hour
	@exec $(BIN)/python benchmarks/run.py peers $(ARGS)

.PHONY: bench-growth
bench-growth: build ## measure eventfold and UmaDB up to 10 million events; resumable
	@exec $(BIN)/python benchmarks/run.py growth $(ARGS)

.PHONY: bench-subscriptions
bench-subscriptions: build ## measure subscriptions and consumer groups; about 10 minutes
	@exec $(BIN)/python benchmarks/run.py subscriptions $(ARGS)

.PHONY: bench-projections
bench-projections: build ## measure projections on a million events; some minutes
	@exec $(BIN)/python benchmarks/run.py projections $(ARGS)

.PHONY: bench-event-types
bench-event-types: build ## measure schemas and mappings, in force or not; some minutes
	@exec $(BIN)/python benchmarks/run.py event-types $(ARGS)

.PHONY: bench-sealing
bench-sealing: build ## measure what sealing two fields costs; a minute or so
	@exec $(BIN)/python benchmarks/sealing.py $(ARGS)

.PHONY: bench-clients
bench-clients: build ## measure the clients of all languages beside each other; some minutes
	@exec $(BIN)/python benchmarks/clients.py $(ARGS)

HISTORIES ?= 200
PROJECTION_HISTORIES ?= 60
REBUILT_EVENTS ?= 1000000
CLOSED_ACCOUNTS ?= 10000

.PHONY: faults
faults: build ## random histories, kills at all points, a large rebuild, all benchmarks; long
	$(BIN)/python -m pytest tests/faults tests/integration/test_benchmarks.py --all-benchmarks \
	  --histories $(HISTORIES) --with-restarts \
	  --projection-histories $(PROJECTION_HISTORIES) --all-kills \
	  --rebuilt-events $(REBUILT_EVENTS) --closed-accounts $(CLOSED_ACCOUNTS) $(ARGS)

# The targets of rust/fuzz, each for so many seconds; what breaks one is kept in rust/fuzz/artifacts.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= $(notdir $(basename $(sort $(wildcard rust/fuzz/fuzz_targets/*.rs))))
FUZZ_OPTIONS := -max_len=4096 -timeout=20 -rss_limit_mb=2048

.PHONY: fuzz
fuzz: ## fuzz each target of the core for FUZZ_SECONDS (60); needs nightly Rust and cargo-fuzz
	@if ! cargo +nightly --version >/dev/null 2>&1; then \
	  echo "fuzzing: skipped, there is no nightly Rust (rustup toolchain install nightly)"; exit 0; \
	fi; \
	if ! cargo +nightly fuzz --version >/dev/null 2>&1; then \
	  echo "fuzzing: skipped, there is no cargo-fuzz (cargo install cargo-fuzz --locked)"; exit 0; \
	fi; \
	cd rust/fuzz && for target in $(FUZZ_TARGETS); do \
	  mkdir -p corpus-grown/$$target && \
	  cargo +nightly fuzz run --fuzz-dir . $$target corpus-grown/$$target corpus/$$target -- \
	    -max_total_time=$(FUZZ_SECONDS) $(FUZZ_OPTIONS) || exit 1; \
	done

.PHONY: clean
clean: ## remove what was built; never the data of the server
	rm -rf $(VENV) target tools/node_modules .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -f python/eventfold/_core*.so python/eventfold/_core*.pyd
	rm -rf clients/java/target tests/conformance/java/target clients/go/build tools/bindgen/target
	for package in clients/typescript clients/typescript/wasm tests/conformance/typescript; do \
	  rm -rf $$package/node_modules $$package/dist $$package/build; done
	find python tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +

# All packages at the versions and digests of the lock, the tools of developers among them.
$(VENV)/.deps: requirements.lock
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit(1)' || { \
	  echo "eventfold needs Python 3.11 or later: make build PYTHON=/path/to/python3" >&2; exit 1; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@echo "Installing the Python packages of requirements.lock"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	  --requirement requirements.lock
	@touch $@

# The extension, copied to python/eventfold. Cargo tells what it does: the first time takes minutes.
$(VENV)/.core: $(VENV)/.deps $(RUST_SOURCES)
	@command -v cargo >/dev/null || { \
	  echo "eventfold needs a Rust toolchain: cargo was not found" >&2; exit 1; }
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin develop --release --skip-install --locked
	@touch $@

# The distribution itself, editable: its metadata and the command `eventfold`.
$(VENV)/.package: $(VENV)/.core pyproject.toml LICENSE
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pip install --quiet \
	  --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(BUF): tools/package.json tools/package-lock.json
	@command -v npm >/dev/null || { \
	  echo "make check needs Node.js with npm, for buf and tsc: npm was not found" >&2; exit 1; }
	cd tools && npm ci --ignore-scripts --no-progress
	@touch $@
