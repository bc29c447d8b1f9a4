# `make` alone lists the targets. Each does all of its own set-up, in .venv, from the hashed
# requirements; all that must be there beforehand is Python >= 3.11 and make.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
# The requirements files are complete, so nothing is left to resolve.
INSTALL := $(BIN)/python -m pip install -qq --no-deps --no-compile --no-input \
	--disable-pip-version-check

# Each is touched when its set-up is complete, and is older than its causes when it is not.
RUN_READY := $(VENV)/ready-to-run
TEST_READY := $(VENV)/ready-to-test
PEERS_READY := $(VENV)/ready-for-peers

# Off are the optional rules (ASYNC106, ASYNC9…); ASYNC109, of which ruff knows where it holds;
# ASYNC114, since `run` is a common name; and ASYNC124, which wants an `async def` without `await`
# made sync: what a Protocol makes async cannot be. What blocks goes to a thread.
ASYNC_RULES := --disable=ASYNC106,ASYNC109,ASYNC114,ASYNC124,ASYNC9 \
	--async200-blocking-calls='os.fsync->offload,os.fdatasync->offload,sqlite3.*->offload'

ASYNC_CHECKED := $(VENV)/async-checked
ASYNC_SOURCES := $(shell grep -rlE 'async |trio' --include='*.py' dynamo_py ring gossip tools tests)

# The newest Python that can make a virtual environment; `make PYTHON=… test` overrides.
PYTHON = $(shell for candidate in python3.14 python3.13 python3.12 python3.11 python3 python; do \
	$$candidate -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' \
		2>/dev/null && { command -v $$candidate; break; }; done)

.PHONY: help bench bench-peers demo test check lint ruff types imports tests up clean \
	sim sim-many sim-same sim-mutants gossip-study claim-table

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(RUN_READY) ## three real nodes, a shopping cart, a node killed and brought back
	@$(BIN)/python -m shopping_cart.demo

test: check tests ## lint, types, import rules and all tests

check: lint types imports ## lint, types and import rules alone

up: $(RUN_READY) ## a dev cluster of three nodes that stays, until Ctrl-C
	@$(BIN)/dyn-cli dev up

bench: $(TEST_READY) ## a short standard set on three nodes of this machine: OPTIONS=
	@$(BIN)/python -m bench.standard $(OPTIONS)

bench-peers: $(PEERS_READY) ## etcd and Valkey beside the store, in turns (some minutes): OPTIONS=
	@$(BIN)/python -m bench.peers.compare $(OPTIONS)

SEED ?= 1
FROM ?= 1
DURATION ?= 60
NODES ?= 5
FAULTS ?= bounded

sim: $(RUN_READY) ## a cluster in virtual time: SEED= DURATION= NODES= FAULTS=
	@$(BIN)/python -m dynamo_py.testing one --seed $(SEED) --duration $(DURATION) \
		--nodes $(NODES) --faults $(FAULTS)

sim-many: $(RUN_READY) ## many seeds: COUNT= FROM= DURATION= NODES= FAULTS=
	@$(BIN)/python -m dynamo_py.testing many --count $(or $(COUNT),300) --from $(FROM) \
		--duration $(DURATION) --nodes $(NODES) --faults $(FAULTS)

sim-same: $(RUN_READY) ## each seed twice, in two processes: COUNT= FROM=
	@$(BIN)/python -m dynamo_py.testing same --count $(or $(COUNT),50) --from $(FROM)

sim-mutants: $(RUN_READY) ## in how many seeds is each planted bug found? COUNT=
	@$(BIN)/python -m studies.mutants --count $(or $(COUNT),40)

gossip-study: $(TEST_READY) ## gossip of 10 to 1,000 nodes by simulation, some minutes: OPTIONS=
	@$(BIN)/python -m studies.gossip_study \
		$(or $(OPTIONS),--picture docs/design/gossip-study.png)

claim-table: $(RUN_READY) ## balance and moves of 3 to 200 nodes, beside other placements
	@$(BIN)/python -m studies.claim_table

clean: ## remove the virtual environment, caches and build products
	rm -rf $(VENV) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find dynamo_py ring gossip tools tests -name __pycache__ -type d -prune -exec rm -rf {} +

lint: ruff $(ASYNC_CHECKED)

ruff: $(TEST_READY)
	@$(BIN)/ruff check --quiet .

# flake8-async takes about half a second a file: it reads only those with something for it, and
# of them only those that changed since they last passed.
$(ASYNC_CHECKED): $(ASYNC_SOURCES) Makefile $(TEST_READY)
	@printf '%s\n' $(if $(filter-out %.py,$?),$(ASYNC_SOURCES),$?) \
		| xargs -n 8 -P 2 $(BIN)/flake8-async $(ASYNC_RULES)
	@touch $@

types: $(TEST_READY)
	@$(BIN)/mypy --no-error-summary

imports: $(TEST_READY)
	@$(BIN)/lint-imports --no-logo

tests: $(TEST_READY)
	@$(BIN)/python -m pytest --quiet

# Made anew when it was left half made, or when the Python that it points to is gone.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "make: no Python >= 3.11 with venv found:" \
		"install one, or say make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Setting up $(VENV) with $(PYTHON)"
	@"$(PYTHON)" -m venv --clear $(VENV)

$(RUN_READY): $(BIN)/python requirements.txt pyproject.toml
	@$(INSTALL) --require-hashes -r requirements.txt
	@$(INSTALL) --no-build-isolation -e .
	@touch $@

$(TEST_READY): requirements-dev.txt $(RUN_READY)
	@$(INSTALL) --require-hashes -r requirements-dev.txt
	@touch $@

$(PEERS_READY): requirements-peers.txt $(TEST_READY)
	@$(INSTALL) --require-hashes -r requirements-peers.txt
	@touch $@
