# Two commands do all: `make run` shows the main job on the shipped sample, `make test` runs every test.
# Both install what they need: Debian packages where they are missing, the rest below $(TOOLS).

SHELL := /bin/bash
.DELETE_ON_ERROR:
TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
TOOLS ?= .tools
TOOLS_DIR := $(abspath $(TOOLS))
EMULATOR_VERSION := 0.12.0
DUCKDB_VERSION := 1.4.5
PROMETHEUS_CLIENT_VERSION := 0.26.0
MOTO_VERSION := 5.2.5
EMULATOR := $(TOOLS_DIR)/bin/rustack
PYTHON := $(TOOLS_DIR)/venv/bin/python
BENCH_PYTHON := $(TOOLS_DIR)/bench-venv/bin/python
BENCH_SCALE ?= full
BENCH_ONLY ?=
# of the kill test
KILLS ?= 300
FAULT_KILLS ?= 100
SEED ?= 1
# tells which packages are in the environment: one that has others is made again
VENV := $(TOOLS_DIR)/venv/.made-$(DUCKDB_VERSION)-$(PROMETHEUS_CLIENT_VERSION)-$(MOTO_VERSION)
export BOUNCEWATCH_TOOLS := $(TOOLS_DIR)
export CARGO_TERM_COLOR ?= auto

.PHONY: help sisimai run test ci fmt lint tools referee bench kill-test alarm-kill-test clean system

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: system ## build, drain the shipped sample into .run/store, print rates and verdict (no AWS account)
	@echo "== building (the first time some five minutes: most of it is polars)"
	cargo build --quiet --target-dir $(TARGET)
	@rm -rf .run/store && mkdir -p .run
	@echo; echo "== ingest: the sample (a week of mail of one account) into .run/store"
	$(TARGET)/debug/bouncewatch ingest fixtures/sample --store .run/store; \
		code=$$?; echo "exit code $$code (0 done, 1 done but something was set aside, 2 failed)"; test $$code -lt 2
	@echo; echo "== check: how do we stand at the end of that week?"
	$(TARGET)/debug/bouncewatch check --store .run/store --at 2026-11-20T00:00:00Z; \
		code=$$?; echo; echo "exit code $$code (0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN)"; test $$code -lt 3
	@echo; echo "== report: which campaign is it?"
	$(TARGET)/debug/bouncewatch report --store .run/store --to 2026-11-20T00:00:00Z --from 2026-11-19T00:00:00Z \
		--every 1d --window 24h --by tag:campaign --top 5

test: tools ## run all tests
	cargo test --workspace

ci: ## what CI runs: format, lints, tests
	cargo fmt --all --check
	$(MAKE) lint
	$(MAKE) test

fmt: ## format the code
	cargo fmt --all

lint: system
	cargo clippy --workspace --all-targets --features bouncewatch-fixtures/bench -- --deny warnings
	cargo clippy --package bouncewatch --no-default-features -- --deny warnings

tools: system $(EMULATOR) $(VENV) ## install what the tests need: servers for AWS, DuckDB, a parser for metrics

system:
	@command -v cargo >/dev/null || { echo "Rust is missing: install it from https://rustup.rs, then run make again"; exit 1; }
	@command -v cc >/dev/null || { echo "== installing a C compiler"; apt-get update -qq && apt-get install -y -qq gcc libc6-dev; }

$(EMULATOR):
	@echo "== installing the SQS and SNS server for the tests (a few minutes)"
	cargo install rustack-cli@$(EMULATOR_VERSION) --no-default-features --features sqs,sns,s3,logs --root $(TOOLS_DIR) \
		--target-dir $(TARGET)/tools --quiet

# the mark is set last, so that a half-made environment is made again
$(VENV):
	@echo "== installing DuckDB, the referee for the numbers, the S3 server for the tests, and the reader of metrics for Python"
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { apt-get update -qq && apt-get install -y -qq python3-venv; }
	python3 -m venv $(TOOLS_DIR)/venv
	$(TOOLS_DIR)/venv/bin/pip install --quiet duckdb==$(DUCKDB_VERSION) \
		prometheus-client==$(PROMETHEUS_CLIENT_VERSION) 'moto[s3]==$(MOTO_VERSION)' flask==3.1.3 flask-cors==6.0.5
	@touch $@

referee: tools ## a million events of each of five scenarios: every number against DuckDB, then again, repeated and compacted (EVENTS= SCENARIOS=)
	cargo build --release --workspace --target-dir $(TARGET)
	TARGET=$(TARGET) PYTHON=$(PYTHON) bash fixtures/referee/full.sh

# apart from the referee's: nothing that is only measured against is installed for tests
$(TOOLS_DIR)/bench-venv/.made: fixtures/bench/requirements.txt
	@echo "== installing what we are measured against: DuckDB, django-anymail"
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { apt-get update -qq && apt-get install -y -qq python3-venv; }
	python3 -m venv $(TOOLS_DIR)/bench-venv
	$(TOOLS_DIR)/bench-venv/bin/pip install --quiet --requirement fixtures/bench/requirements.txt duckdb==$(DUCKDB_VERSION)
	@touch $@

# what the classifier is measured against
sisimai:
	@perl -MSisimai -e 1 2>/dev/null || { echo "== installing Sisimai, which the classifier is measured against"; \
		apt-get update -qq && apt-get install -y -qq libsisimai-perl; }

bench: system sisimai $(EMULATOR) $(TOOLS_DIR)/bench-venv/.made ## speed against what people would use instead, as ratios (BENCH_SCALE=small, BENCH_ONLY=decode,classify)
	@echo "== building (the first time a quarter of an hour: most of it is polars)"
	cargo build --release --package bouncewatch --package bouncewatch-fixtures \
		--features bouncewatch-fixtures/bench --target-dir $(TARGET)
	$(BENCH_PYTHON) -B fixtures/bench/bench.py --programs $(TARGET)/release --tools $(TOOLS_DIR) --scale $(BENCH_SCALE) \
		--only "$(BENCH_ONLY)"

kill-test: tools ## kill -9 at any moment, a queue that fails, a full disk: no event is lost (20 minutes; KILLS= FAULT_KILLS= SEED=)
	cargo build --package bouncewatch --no-default-features --target-dir $(TARGET)
	cargo build --package bouncewatch-fixtures --bins --target-dir $(TARGET)
	$(PYTHON) -B fixtures/kill/kill_test.py --programs $(TARGET)/debug --server $(EMULATOR) --work .run/kill \
		--kills $(KILLS) --fault-kills $(FAULT_KILLS) --seed $(SEED)

alarm-kill-test: system ## kill -9 a check at any moment: each alarm is told, and at most twice (5 minutes; KILLS= SEED=)
	cargo build --package bouncewatch --target-dir $(TARGET)
	python3 -B fixtures/kill/alarms.py --program $(TARGET)/debug/bouncewatch --work .run/kill-alarms --kills $(KILLS) --seed $(SEED)

clean: ## remove what was built, tools and runs included
	cargo clean
	rm -rf $(TOOLS_DIR) .run
