# What there is to run. `make help` lists it; every target works in a fresh clone.
#
# BURNWATCH_SHARED=DIR (from the environment or on the command line) points the tests at recorded data
# that is too big for the repository; without it they say what they skip.

CARGO ?= cargo
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help test lint bench demo streams models memcheck deep

# Puts the real prometheus, promtool, alertmanager and amtool on PATH, fetched when missing. Where they
# cannot be had (status 3) the tests run without them and say what they skip.
with_tools = tools=$$(tests/tools.sh) || [ $$? -eq 3 ]; export PATH="$${tools:+$$tools:}$$PATH";

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test: ## every test, then the files of rules/ and deploy/ against the real Prometheus and Alertmanager
	@$(with_tools) $(CARGO) test && tests/deploy.sh && tests/alertmanager.sh

lint: ## formatting, clippy and documentation, warnings as errors
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --no-deps

# The peers are optional too. BENCH='--quick', BENCH='--row 3 --series 20000': see benches/compare/settings.rs.
bench: ## the table and plots of docs/PERFORMANCE.md: half an hour beside Prometheus and VictoriaMetrics
	@for peer in prometheus victoria-metrics vmalert; do tests/tools.sh $$peer >/dev/null || [ $$? -eq 3 ]; done
	$(CARGO) bench --bench compare -- --write $(BENCH)

demo: ## an incident played through burnwatch, from samples to notifications
	$(CARGO) run --release -- demo

# Replays labelled streams through the bundled rules: docs/DETECTION.md. Needs BURNWATCH_SHARED.
streams: ## how late and how often in vain drift and anomalies are found, as tables
	BURNWATCH_DEEP=1 $(CARGO) test --release --test streams
	BURNWATCH_DEEP=1 $(CARGO) test --release --test live the_anomalies_of_the_shuttle

models: ## every order in which threads may go on in what is lock-free, searched by loom
	RUSTFLAGS='--cfg model_check' CARGO_TARGET_DIR=target/models $(CARGO) test --lib -- models::

memcheck: ## what is unsafe, under valgrind where it is installed
	@command -v valgrind >/dev/null || { echo 'memcheck: skipped, no valgrind here'; exit 0; }; \
	CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER='valgrind --quiet --error-exitcode=9' \
	$(CARGO) test --lib -- storage::cold ingest::route_table

# PIECES='restart crash' runs some of it; tests/deep.sh lists them.
deep: models memcheck ## the tests again, optimised and with 40 times as many random cases, in pieces: an hour, not minutes
	@$(with_tools) CARGO='$(CARGO)' tests/deep.sh $(PIECES)
