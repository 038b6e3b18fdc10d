# Two commands do everything: `make run` shows the main job on the shipped sample, `make test` runs every test.
# Both install what they need: Debian packages that are missing, all other tools below $(TOOLS).

SHELL := /bin/bash
.DELETE_ON_ERROR:
TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
TOOLS ?= .tools
TOOLS_DIR := $(abspath $(TOOLS))
EMULATOR_VERSION := 0.12.0
DUCKDB_VERSION := 1.4.5
PROMETHEUS_CLIENT_VERSION := 0.26.0
MOTO_VERSION := 5.2.5
MINISTACK_VERSION := 1.5.33
CBOR2_VERSION := 6.3.0
CFN_LINT_VERSION := 1.58.0
PYTZ_VERSION := 2026.6
YAML_VERSION := 6.0.4
# the types of Grafana 11.6; the number before ! is the release of the SDK
GRAFANA_SDK_VERSION := 1769699379!11.6.0
PYSPARK_VERSION := 4.3.0
DATAFUSION_VERSION := 55.0.0
DENY_VERSION := 0.20.2
DEB_VERSION := 3.8.0
MATURIN_VERSION := 1.16.0
ZIGBUILD_VERSION := 0.24.1
ZIG_VERSION := 0.17.1
MDBOOK_VERSION := 0.5.4
FUZZ_VERSION := 0.13.1
EMULATOR := $(TOOLS_DIR)/bin/rustack
PROMETHEUS := $(TOOLS_DIR)/prometheus/usr/bin/prometheus
DENY := $(TOOLS_DIR)/bin/cargo-deny
MDBOOK := $(TOOLS_DIR)/bin/mdbook
FUZZ := $(TOOLS_DIR)/bin/cargo-fuzz
DEB := $(TOOLS_DIR)/bin/cargo-deb
PYTHON := $(TOOLS_DIR)/venv/bin/python
BENCH_PYTHON := $(TOOLS_DIR)/bench-venv/bin/python
BENCH_SCALE ?= full
BENCH_ONLY ?=
# rounds of the kill tests
KILLS ?= 300
FAULT_KILLS ?= 100
SEED ?= 1
# minutes of fuzzing per target
FUZZ_MINUTES ?= 1
FUZZ_TARGETS ?= decode decode_events inplace_json classify send_counts_csv settings alert_state parquet_segment
# length of the day of the soak test, and its messages
MINUTES ?= 30
MESSAGES ?= 50000
FLIPS ?= 1000
# events of the store of bench-bucket
EVENTS ?= 10000000
LAMBDA_MESSAGES ?= 20000
LAMBDA_TARGET := x86_64-unknown-linux-gnu
# The name lists the versions in the environment: other versions make a new environment.
VENV := $(TOOLS_DIR)/venv/.made-$(DUCKDB_VERSION)-$(PROMETHEUS_CLIENT_VERSION)-$(MOTO_VERSION)-$(MINISTACK_VERSION)-$(CFN_LINT_VERSION)-$(PYTZ_VERSION)-$(YAML_VERSION)-$(subst !,-,$(GRAFANA_SDK_VERSION))
# Debug builds and tests use one set of features, so that dependencies are built once. jemalloc is left out: it takes
# longer to build than any other dependency, and only release builds need it.
# The sample needs no account: `make run` leaves out the SDKs of `doctor`.
RUN_FEATURES := --no-default-features --features analyze
DEV_FEATURES := $(RUN_FEATURES),doctor,lambda
ALL_FEATURES := $(DEV_FEATURES),bouncewatch-fixtures/bench
# tools share this folder for their dependencies
TOOLS_TARGET := $(TARGET)/tools
export BOUNCEWATCH_TOOLS := $(TOOLS_DIR)
export CARGO_TERM_COLOR ?= auto

PAGE_TOOLS := $(TOOLS_DIR)/page-test
PAGES := $(abspath $(TARGET))/pages

.PHONY: help run test test-referee page-test page-browser picture ci fmt lint msrv deny doc docs man reference tools system referee engines deb wheel lambda lambda-test bench bench-bucket sisimai fuzz kill-test alert-kill-test soak flip-test clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

run: system ## build, ingest the shipped sample into .run/store, print rates and status, write .run/page.html (no AWS account needed)
	@echo "== building (about five minutes on the first run; most of it is polars)"
	cargo build --target-dir $(TARGET) $(RUN_FEATURES)
	@rm -rf .run/store && mkdir -p .run
	@echo; echo "== ingest: the sample (one week of mail of one account) into .run/store"
	$(TARGET)/debug/bouncewatch ingest fixtures/sample --store .run/store; \
		code=$$?; echo "exit code $$code (0 done, 1 done but documents were quarantined, 2 failed)"; test $$code -lt 2
	@echo; echo "== check: the status at the end of that week"
	$(TARGET)/debug/bouncewatch check --store .run/store --at 2026-11-20T00:00:00Z; \
		code=$$?; echo; echo "exit code $$code (0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN)"; test $$code -lt 3
	@echo; echo "== page: the same as an HTML page, with causes and what to do"
	$(TARGET)/debug/bouncewatch page --store .run/store --at 2026-11-20T00:00:00Z -o .run/page.html; \
		code=$$?; echo "exit code $$code; open .run/page.html in a browser"; test $$code -lt 3
	@echo; echo "== report: the campaign that causes it"
	$(TARGET)/debug/bouncewatch report --store .run/store --to 2026-11-20T00:00:00Z --from 2026-11-19T00:00:00Z \
		--every 1d --window 24h --by tag:campaign --top 5

test: tools ## run all tests
	@rm -rf $(PAGES)
	BOUNCEWATCH_PAGES=$(PAGES) cargo test --workspace $(ALL_FEATURES)
	$(MAKE) test-referee
	@if command -v npm >/dev/null; then $(MAKE) page-browser; \
		else echo "Node.js 20 is missing: the pages were not opened in a browser"; test -z "$$CI"; fi

test-referee: tools ## test the referee (DuckDB) on a small store with counts determined by hand
	$(PYTHON) -B fixtures/referee/test_referee.py

# the packages of the browser test are installed below the tools folder, Chromium as a Debian package
$(PAGE_TOOLS)/.made: tests/page/package.json tests/page/package-lock.json
	@command -v "$${CHROMIUM:-chromium}" >/dev/null || { echo "== installing Chromium"; apt-get update -qq && apt-get install -y -qq chromium; }
	@mkdir -p $(PAGE_TOOLS) && cp tests/page/package.json tests/page/package-lock.json $(PAGE_TOOLS)/
	cd $(PAGE_TOOLS) && npm ci --no-audit --no-fund --silent
	@touch $@

page-test: tools ## test the HTML page: its text and numbers, then in Chromium (needs Node.js 20)
	@rm -rf $(PAGES)
	BOUNCEWATCH_PAGES=$(PAGES) cargo test --workspace $(ALL_FEATURES) --test it page::
	$(MAKE) page-browser

page-browser: $(PAGE_TOOLS)/.made ## open the page of each state that a test wrote: accessibility, no requests, no foreign script, sorting, print
	PAGE_TOOLS=$(PAGE_TOOLS) node tests/page/page.mjs $(PAGES)

picture: run ## render the picture of the page in the docs from the sample (needs Chromium)
	chromium --headless --no-sandbox --hide-scrollbars --window-size=1280,1000 --screenshot=docs/src/page.png .run/page.html

ci: ## what CI runs: format, lints, API documentation, licences and bans of dependencies, tests
	cargo fmt --all --check
	$(MAKE) lint
	$(MAKE) doc
	$(MAKE) deny
	$(MAKE) test

fmt: ## format the code
	cargo fmt --all

lint: system ## clippy with warnings as errors
	cargo clippy --workspace --all-targets $(ALL_FEATURES) -- --deny warnings
	cargo clippy --package bouncewatch --no-default-features -- --deny warnings

msrv: ## build with the oldest supported compiler (rust-version in Cargo.toml)
	cargo +$$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) check --workspace --locked $(ALL_FEATURES)

deny: $(DENY) ## check licences, sources and banned dependencies (deny.toml)
	$(DENY) --all-features --workspace check --hide-inclusion-graph bans licenses sources

doc: ## API documentation of the crates, warnings as errors
	RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps $(ALL_FEATURES) --target-dir $(TARGET)

docs: $(MDBOOK) ## build the user guide into target/book
	$(MDBOOK) build docs

# the command generates its own pages; completions and man pages need all commands, so analyze is built
man: ## build man pages into target/man and completions for bash, zsh and fish into target/completions
	cargo run --quiet --target-dir $(TARGET) $(DEV_FEATURES) -- generate man --out $(TARGET)/man
	cargo run --quiet --target-dir $(TARGET) $(DEV_FEATURES) -- generate completions --out $(TARGET)/completions

reference: ## write docs/src/cli.md and docs/src/configuration.md
	cargo run --quiet --target-dir $(TARGET) $(DEV_FEATURES) -- generate reference --out docs/src

tools: system $(EMULATOR) $(PROMETHEUS) $(VENV) ## install what the tests need: an AWS emulator, Prometheus, DuckDB, a parser for metrics

system:
	@command -v cargo >/dev/null || { echo "Rust is missing: install it from https://rustup.rs, then run make again"; exit 1; }
	@command -v cc >/dev/null || { echo "== installing a C compiler"; apt-get update -qq && apt-get install -y -qq gcc libc6-dev; }

$(EMULATOR):
	@echo "== installing the AWS emulator for the tests into $(TOOLS_DIR) (about five minutes)"
	cargo install rustack-cli@$(EMULATOR_VERSION) --no-default-features --features sqs,sns,s3,logs --root $(TOOLS_DIR) \
		--target-dir $(TOOLS_TARGET)

$(DENY):
	@echo "== installing cargo-deny into $(TOOLS_DIR) (about five minutes)"
	cargo install cargo-deny@$(DENY_VERSION) --locked --root $(TOOLS_DIR) --target-dir $(TOOLS_TARGET)

$(MDBOOK):
	@echo "== installing mdBook into $(TOOLS_DIR) (a few minutes)"
	cargo install mdbook@$(MDBOOK_VERSION) --locked --no-default-features --features search --root $(TOOLS_DIR) --target-dir $(TOOLS_TARGET)

# The package of Debian is unpacked, not installed: no service starts, and root is needed only for an old list of packages.
$(PROMETHEUS):
	@echo "== unpacking Prometheus into $(TOOLS_DIR)/prometheus"
	@rm -rf $(TOOLS_DIR)/prometheus && mkdir -p $(TOOLS_DIR)/prometheus
	cd $(TOOLS_DIR)/prometheus && { apt-get download -qq prometheus || { apt-get update -qq && apt-get download -qq prometheus; }; }
	cd $(TOOLS_DIR)/prometheus && dpkg-deb --extract prometheus_*.deb . && rm prometheus_*.deb

# the mark is created last: an environment whose installation failed is made again
$(VENV):
	@echo "== installing DuckDB (the referee of the numbers), AWS servers, a parser for metrics, types of Grafana, cfn-lint into $(TOOLS_DIR)/venv"
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { apt-get update -qq && apt-get install -y -qq python3-venv; }
	python3 -m venv $(TOOLS_DIR)/venv
	$(TOOLS_DIR)/venv/bin/pip install --quiet duckdb==$(DUCKDB_VERSION) pytz==$(PYTZ_VERSION) \
		prometheus-client==$(PROMETHEUS_CLIENT_VERSION) 'moto[s3]==$(MOTO_VERSION)' ministack==$(MINISTACK_VERSION) cbor2==$(CBOR2_VERSION) flask==3.1.3 flask-cors==6.0.5 \
		pyyaml==$(YAML_VERSION) cfn-lint==$(CFN_LINT_VERSION) 'grafana-foundation-sdk==$(GRAFANA_SDK_VERSION)'
	@touch $@

referee: tools ## compare every number with DuckDB, on a million events in each of six scenarios (EVENTS= SCENARIOS=)
	cargo build --release --workspace --target-dir $(TARGET)
	TARGET=$(TARGET) PYTHON=$(PYTHON) bash fixtures/referee/full.sh

# an environment of its own: Spark is large
$(TOOLS_DIR)/engines-venv/.made:
	@echo "== installing Spark and DataFusion into $(TOOLS_DIR)/engines-venv"
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { apt-get update -qq && apt-get install -y -qq python3-venv; }
	python3 -m venv $(TOOLS_DIR)/engines-venv
	$(TOOLS_DIR)/engines-venv/bin/pip install --quiet duckdb==$(DUCKDB_VERSION) pytz==$(PYTZ_VERSION) \
		pyspark==$(PYSPARK_VERSION) datafusion==$(DATAFUSION_VERSION)
	@touch $@

engines: system $(TOOLS_DIR)/engines-venv/.made ## compare the views in DuckDB, DataFusion and Spark with `report` and `check` (needs Java 17; ENGINES= ENGINE_SCENARIOS= ENGINE_EVENTS=)
	cargo build --package bouncewatch --package bouncewatch-fixtures $(ALL_FEATURES) --target-dir $(TARGET)
	TARGET=$(TARGET) PYTHON=$(TOOLS_DIR)/engines-venv/bin/python bash fixtures/referee/engines.sh

deb: $(DEB) tools ## build the Debian package in $(TARGET)/debian and test it on an empty system (needs root and debootstrap)
	cargo build --release --locked --package bouncewatch --target-dir $(TARGET)
	CARGO_TARGET_DIR=$(TARGET) $(DEB) --no-build --package bouncewatch
	$(PYTHON) -B fixtures/deploy/test_debian.py $(TARGET)/debian/bouncewatch_*.deb $(EMULATOR)

$(DEB): | system
	@echo "== installing cargo-deb $(DEB_VERSION)"
	cargo install cargo-deb --version $(DEB_VERSION) --locked --root $(TOOLS_DIR) --target-dir $(TOOLS_TARGET)

wheel: system $(VENV) ## build the Python wheel in $(TARGET)/wheels, install it into an empty environment and test it
	$(TOOLS_DIR)/venv/bin/pip install --quiet maturin==$(MATURIN_VERSION)
	$(TOOLS_DIR)/venv/bin/maturin build --release --locked --target-dir $(TARGET) --out $(TARGET)/wheels
	$(PYTHON) -B python/test_wheel.py $(TARGET)/wheels/bouncewatch-*.whl

# a linker for the C library of Amazon Linux 2023
$(TOOLS_DIR)/zig-venv/.made-$(ZIGBUILD_VERSION)-$(ZIG_VERSION):
	@echo "== installing cargo-zigbuild and Zig into $(TOOLS_DIR)/zig-venv"
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { apt-get update -qq && apt-get install -y -qq python3-venv; }
	python3 -m venv $(TOOLS_DIR)/zig-venv
	$(TOOLS_DIR)/zig-venv/bin/pip install --quiet cargo-zigbuild==$(ZIGBUILD_VERSION) ziglang==$(ZIG_VERSION)
	@touch $@

# without doctor: the functions need no SDK of its services
lambda: system $(TOOLS_DIR)/zig-venv/.made-$(ZIGBUILD_VERSION)-$(ZIG_VERSION) ## build the zip of the functions of AWS Lambda (x86_64, glibc 2.34) in $(TARGET)/lambda and print its size
	PATH="$(TOOLS_DIR)/zig-venv/bin:$$PATH" cargo zigbuild --release --locked --package bouncewatch --target-dir $(TARGET) \
		--target $(LAMBDA_TARGET).2.34 $(RUN_FEATURES),lambda
	@mkdir -p $(TARGET)/lambda && cp $(TARGET)/$(LAMBDA_TARGET)/release/bouncewatch $(TARGET)/lambda/bootstrap
	cd $(TARGET)/lambda && rm -f bouncewatch.zip && python3 -m zipfile -c bouncewatch.zip bootstrap
	@cd $(TARGET)/lambda && echo "newest version of glibc that it needs: $$(grep -ao 'GLIBC_2\.[0-9]*' bootstrap | sort -Vu | tail -1)" \
		&& ls -l bootstrap bouncewatch.zip | awk '{ printf "%s: %.1f MB\n", $$NF, $$5 / 1e6 }'

lambda-test: tools ## 20,000 messages through the function ingest, with failures of the bucket: nothing is lost (LAMBDA_MESSAGES=)
	BOUNCEWATCH_LAMBDA_MESSAGES=$(LAMBDA_MESSAGES) \
		cargo test --package bouncewatch $(ALL_FEATURES) --test it lambda::only -- --nocapture

# an environment of its own: tests do not install the programs that we compare with
$(TOOLS_DIR)/bench-venv/.made: fixtures/bench/requirements.txt
	@echo "== installing the programs that we compare with: DuckDB, django-anymail"
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { apt-get update -qq && apt-get install -y -qq python3-venv; }
	python3 -m venv $(TOOLS_DIR)/bench-venv
	$(TOOLS_DIR)/bench-venv/bin/pip install --quiet --requirement fixtures/bench/requirements.txt duckdb==$(DUCKDB_VERSION)
	@touch $@

sisimai:
	@perl -MSisimai -e 1 2>/dev/null || { echo "== installing Sisimai, which the classifier is compared with"; \
		apt-get update -qq && apt-get install -y -qq libsisimai-perl; }

bench: system sisimai $(EMULATOR) $(TOOLS_DIR)/bench-venv/.made ## speed as ratios to other tools (BENCH_SCALE=small, BENCH_ONLY=decode,classify)
	@echo "== building (about fifteen minutes on the first run; most of it is polars)"
	cargo build --release --package bouncewatch --package bouncewatch-fixtures \
		--features bouncewatch-fixtures/bench,bouncewatch-fixtures/jemalloc --target-dir $(TARGET)
	cargo build --release --locked --manifest-path fixtures/bench/floor/Cargo.toml --target-dir $(TARGET)/floor
	$(BENCH_PYTHON) -B fixtures/bench/bench.py --programs $(TARGET)/release --floor $(TARGET)/floor/release/bench_floor \
		--tools $(TOOLS_DIR) --scale $(BENCH_SCALE) --only "$(BENCH_ONLY)"

# a store in a bucket: requests and bytes, counted by a proxy before an S3 server
bench-bucket: tools ## what check reads from a store in S3, as ingested and compacted: requests, bytes, time (15 minutes; EVENTS=10000000)
	cargo build --release --package bouncewatch --package bouncewatch-fixtures --bins --features bouncewatch/lambda --target-dir $(TARGET)
	$(PYTHON) -B fixtures/bench/bucket.py --programs $(TARGET)/release --tools $(TOOLS_DIR) --events $(EVENTS); as_ingested=$$?; \
	$(PYTHON) -B fixtures/bench/bucket.py --programs $(TARGET)/release --tools $(TOOLS_DIR) --store .run/bucket/store \
	  --work .run/bucket-compacted --compacted && exit $$as_ingested

$(FUZZ):
	@echo "== installing cargo-fuzz into $(TOOLS_DIR) (about two minutes)"
	cargo install cargo-fuzz@$(FUZZ_VERSION) --locked --root $(TOOLS_DIR) --target-dir $(TOOLS_TARGET)

# fuzz/seeds has the seeds of each target, which are fixtures, and the maximum length of an input: short inputs of a
# parser run much faster. Found inputs are kept in .run/fuzz and read again by the next run. A finding ends the run,
# and its file is in fuzz/artifacts.
fuzz: system $(FUZZ) ## fuzz decoder, JSON reader, classifier, CSV, settings, alert state, segments (FUZZ_MINUTES= per target, FUZZ_TARGETS=)
	@set -o pipefail; for target in $(FUZZ_TARGETS); do \
		seeds=$$(grep -v '^-' fuzz/seeds/$$target.txt); length=$$(grep '^-' fuzz/seeds/$$target.txt); mkdir -p .run/fuzz/$$target; \
		RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR= PATH="$(TOOLS_DIR)/bin:$$PATH" \
			cargo fuzz run --fuzz-dir fuzz --sanitizer none --target-dir $(abspath $(TARGET))/fuzz $$target .run/fuzz/$$target $$seeds \
			-- $$length -max_total_time=$$(($(FUZZ_MINUTES) * 60)) -rss_limit_mb=1024 -timeout=20 -print_final_stats=1 \
			> .run/fuzz/$$target.log 2>&1 || { tail -40 .run/fuzz/$$target.log; echo "== $$target: failed"; exit 1; }; \
		echo "$$target: $$(sed -n 's/^stat::number_of_executed_units: *//p' .run/fuzz/$$target.log) executions"; \
	done

kill-test: tools ## SIGKILL at any moment, a failing queue, a full disk: no event is lost (20 minutes; KILLS= FAULT_KILLS= SEED=)
	cargo build --package bouncewatch --no-default-features --target-dir $(TARGET)
	cargo build --package bouncewatch-fixtures --bins --target-dir $(TARGET)
	$(PYTHON) -B fixtures/kill/kill_test.py --programs $(TARGET)/debug --server $(EMULATOR) --work .run/kill \
		--kills $(KILLS) --fault-kills $(FAULT_KILLS) --seed $(SEED)

soak: tools ## a day of traffic, compaction, checks, kills, full disks and clock steps (30 minutes; MINUTES= MESSAGES= SEED=)
	cargo build --package bouncewatch $(DEV_FEATURES) --target-dir $(TARGET)
	cargo build --package bouncewatch-fixtures --bins --target-dir $(TARGET)
	$(PYTHON) -B fixtures/kill/kill_test.py --programs $(TARGET)/debug --server $(EMULATOR) --work .run/soak \
		--phases soak --soak-minutes $(MINUTES) --minutes 600 --messages $(MESSAGES) --seed $(SEED)

flip-test: system ## flip FLIPS random bits in every kind of file of a store: no number changes silently (10 minutes; SEED=)
	BOUNCEWATCH_FLIPS=$(FLIPS) BOUNCEWATCH_SEED=$(SEED) \
		cargo test --package bouncewatch $(DEV_FEATURES) --test it flipped_bit_changes_no_result_silently

alert-kill-test: system ## SIGKILL a check at any moment: each alert is delivered, at most twice (5 minutes; KILLS= SEED=)
	cargo build --package bouncewatch $(DEV_FEATURES) --target-dir $(TARGET)
	python3 -B fixtures/kill/alarms.py --program $(TARGET)/debug/bouncewatch --work .run/kill-alerts --kills $(KILLS) --seed $(SEED)

clean: ## remove build results, tools and runs
	cargo clean
	rm -rf $(TOOLS_DIR) .run
