# Two commands: `make run` serves on http://localhost:8000, `make test` proves it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Compiled once, whatever the shell says: the tests start the service a hundred times.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup run run-cluster test quick test-crash test-long fuzz check format screenshots load bench bench-faults bench-lanes lock clean

help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(BIN)/slideloom  ## .venv with the service in it

$(BIN)/slideloom: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed (set PYTHON=...)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "Python's venv module is missing: apt-get install python3-venv"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV) ..."
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.cluster: $(BIN)/slideloom requirements-cluster.lock
	@echo "setting up what several processes need ..."
	@$(PIP) install --require-hashes -r requirements-cluster.lock
	@touch $@

$(VENV)/.dev: $(BIN)/slideloom tests/requirements.lock
	@echo "setting up the test tools ..."
	@$(PIP) install --require-hashes -r tests/requirements.lock
	@touch $@

run: setup  ## serve on http://localhost:8000
	@exec $(BIN)/slideloom serve

run-cluster: $(VENV)/.cluster  ## the same on Redis with two workers, on this machine
	@SLIDELOOM_ONLY=redis-server sh tests/support/tools.sh
	@exec sh docs/operations/run-cluster.sh

# They look at the clock, or start many processes: one after the other, with the machine to themselves.
# In a browser each, two at once.
PAIRED := $(wildcard tests/browser/test_s*.py tests/browser/test_o*.py tests/browser/test_access.py)
ALONE := $(addprefix tests/,browser cluster crash crowds faults load exports/test_served.py test_cli.py \
	test_lane_sockets.py test_shared_lane_sockets.py)

test: $(VENV)/.dev  ## every test
	@sh tests/support/tools.sh
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 $(addprefix --ignore=,$(ALONE)) tests
	@$(BIN)/python -m pytest -n 2 $(PAIRED)
	@$(BIN)/python -m pytest $(ALONE) $(addprefix --ignore=,$(PAIRED))

quick: $(VENV)/.dev  ## the tests that take seconds
	@$(BIN)/python -m pytest -n auto -m "not slow and not long"

test-crash: $(VENV)/.dev  ## kill -9 at random points and at every write, and 10,000 histories
	@sh tests/support/tools.sh
	@$(BIN)/python -m pytest -m "long or not long" --timeout 3600 tests/crash tests/engine/test_histories.py

test-long: $(VENV)/.dev  ## the full figures of the issues, minutes
	@SLIDELOOM_LONG=1 sh tests/support/tools.sh
	@$(BIN)/python -m pytest -m "long or not long" --timeout 1800

fuzz:  ## follow the branches of what reads strangers' bytes, for FUZZ_SECONDS (600)
	@sh tests/fuzz/fuzz.sh

check: $(VENV)/.dev  ## format, lint, types, import layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: $(VENV)/.dev  ## let the formatter decide
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

screenshots: $(VENV)/.dev  ## the pictures of the page in docs/
	@sh tests/support/tools.sh
	@$(BIN)/python -m tests.browser.screenshots

load: $(VENV)/.dev  ## a thousand who poll, readers, decks, idle connections, for LOAD_SECONDS (300)
	@$(BIN)/python -m tests.load

bench: $(VENV)/.dev  ## ours beside a plain baseline and the floor
	@SLIDELOOM_ONLY=wrk sh tests/support/tools.sh || :
	@$(BIN)/python -m tests.bench

bench-faults: $(VENV)/.dev  ## every known way an upstream goes wrong: class and paid calls
	@$(BIN)/python -m tests.bench.faults

bench-lanes: $(VENV)/.dev  ## how near the lanes come to one who knows the limit, simulated
	@$(BIN)/python -m tests.bench.lanes

lock: $(VENV)/.dev  ## resolve the lock files anew
	@$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet \
		--group build pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet \
		--group build --extra cluster -c requirements.lock pyproject.toml -o requirements-cluster.lock
	@$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet \
		--group build --group dev -c requirements-cluster.lock pyproject.toml -o tests/requirements.lock
	@$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet \
		--group moto -o tests/moto.lock
	@$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet \
		--group fuzz -c requirements.lock -o tests/fuzz/requirements.lock

clean:  ## remove what setup made
	rm -rf $(VENV)
