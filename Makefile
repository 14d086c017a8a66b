.DEFAULT_GOAL := help
.PHONY: help install up demo test test-all conformance kill-matrix honesty bench docs clean
.DELETE_ON_ERROR:
# Modules stay compiled between two runs, whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE

# A Python 3.13 is found by infra/local/find_python.sh; PYTHON=/path/to/python3.13 names one.
PY := .venv/bin/python
# Tests wait for storage as much as they compute: two processes on each of two cores.
TEST_PROCESSES ?= 4

PYTHON_PACKAGES := .venv/.installed
NODE_PACKAGES := infra/local/node_modules/.installed
SAMPLE_DATA := .cache/lifetimes/.downloaded
DLT_PEER := .cache/dlt/.installed
INSTALL := sh infra/local/install.sh

## Start here
help: ## show this list
	@awk '/^## /{printf "\n%s\n", substr($$0, 4)} \
	      /^[a-z-]+:.*## /{split($$0, part, ":.*## "); printf "  make %-11s %s\n", part[1], part[2]}' Makefile

demo: install ## the whole story on your machine: CSVs in, profiles out
	@$(PY) -m infra.local.demo

up: install ## the local stack in the foreground, until Ctrl-C
	@exec $(PY) -m infra.local.up --parent "$$PPID"

## Develop
install: $(PYTHON_PACKAGES) $(NODE_PACKAGES) ## everything into .venv and infra/local/node_modules

# Side by side: each takes about one core. Only what changed since the last time is typed again.
check: install ## in half a minute: linters, types, import rules, tests that need no storage
	@$(MAKE) --no-print-directory -j 2 --output-sync=target check-types check-tests

.PHONY: check check-types check-tests
check-types:
	@$(PY) -m ruff check --quiet .
	@$(PY) -m ruff format --quiet --check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports

check-tests:
	@$(PY) -m pytest -q --quick -n 2 --dist worksteal

test: install $(SAMPLE_DATA) ## linters, types, import rules and all tests
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	.venv/bin/lint-imports
	@$(MAKE) --no-print-directory -j 2 types all-tests

# Side by side: the types keep one core busy for a minute, and tests wait as much as they compute.
.PHONY: types all-tests
types:
	$(PY) -m mypy

all-tests:
	$(PY) -m pytest -n $(TEST_PROCESSES) --dist worksteal

test-all: ## the same with more examples of each property and the long tests
	@TEST_ALL=1 $(MAKE) test

# From make's command line alone: shells keep the name of the machine in HOST.
conformance: install ## what any functions host must do; HOST=http://127.0.0.1:7071 names one
	@CONFORMANCE_HOST='$(if $(filter command line,$(origin HOST)),$(HOST))' CONFORMANCE_STORAGE='$(STORAGE)' \
		CONFORMANCE_KEY='$(KEY)' $(PY) -m pytest tests/host

kill-matrix: install ## kill the process between any two steps; all must come out right
	@$(PY) -m tests.crashes

# dlt is a peer of one measurement, and is large.
bench: install $(if $(filter peers,$(or $(BENCH),peers)),$(DLT_PEER)) ## measure against peers and bars; BENCH="ingest scan" names some
	@$(PY) -m benchmarks $(BENCH)

honesty: install ## measure what becomes of dirty files: honesty, yield and attribution
	@$(PY) -m honesty

docs: install ## write docs/configuration.md anew from the settings
	@$(PY) -m infra.configuration_page

clean: ## remove what was installed, cached and stored locally
	rm -rf .venv infra/local/node_modules .cache .local .coverage .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(PYTHON_PACKAGES): requirements-dev.txt infra/local/install.sh infra/local/find_python.sh
	@$(INSTALL) python

$(NODE_PACKAGES): infra/local/package-lock.json infra/local/install.sh $(PYTHON_PACKAGES)
	@$(INSTALL) node

$(DLT_PEER): benchmarks/dlt-requirements.txt infra/local/install.sh | $(PYTHON_PACKAGES)
	@$(INSTALL) dlt

$(SAMPLE_DATA): infra/local/install.sh | $(PYTHON_PACKAGES)
	@$(INSTALL) sample-data
