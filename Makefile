# make demo: the place to start. make lint test: what CI runs. `make help` lists the rest.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help setup demo serve test chaos lint format bench bench-method bench-reliability screenshots lock clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
DONE := $(VENV)/.setup-done

# Two OpenMP threads that spin on busy cores make a training step a hundred times slower; torch reads this on import.
export OMP_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export OMP_WAIT_POLICY := PASSIVE

# What data:// means to `make serve`, and where it keeps its database, runs and artifacts.
DATA ?= examples
STATE ?= var
# Where the data sets of `make bench-method` lie.
SETS ?= ../shared/data
# Three processes: the suite waits for child processes and clocks a third of its time. `make test PYTEST=-x` stops
# at the first failure; anything that pytest understands can stand there.
PYTEST ?= -n 3 --dist worksteal
# Of `make chaos`, per back-end: what is drawn from the seed, units, and after how many minutes faults end at the latest.
SEED ?= 1
UNITS ?= 1500
MINUTES ?= 45

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

setup: $(DONE) ## a virtual environment in .venv with everything that the lock names

$(DONE): pyproject.toml client/pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' || { \
	  echo "setup: Python 3.11 to 3.14 is needed; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true)." >&2; \
	  echo "       Name another one: make setup PYTHON=python3.12" >&2; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) || { \
	  rm -rf $(VENV); echo "setup: '$(PYTHON) -m venv' failed (on Debian: apt-get install python3-venv)" >&2; exit 1; }
	@echo "setup: installing into $(VENV) what constraints.txt names; about two minutes the first time ..."
	@$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]' -e ./client
	@touch $@
	@echo "setup: done"

demo: setup ## train six strategies over HTTP on spoken and handwritten digits, and compare them
	@exec $(PY) -m examples.demo

serve: setup ## the whole service on this machine, at port 8000; DATA=FOLDER says what data:// means
	@exec $(BIN)/gblend-server up --state-dir $(STATE) --data $(DATA)

test: setup ## the test suite, with a sample of the fault suite
	$(PY) -m pytest -m 'not chaos' $(PYTEST)

chaos: setup ## the whole fault suite, 22 minutes on two cores: kills and outages by the hundred, negative controls, report
	@status=0; \
	for backend in sqlite postgres; do \
	  $(PY) -m tests.chaos run --backend $$backend --units $(UNITS) --seed $(SEED) --minutes $(MINUTES) || status=1; \
	done; \
	$(PY) -m pytest tests/chaos || status=1; \
	$(PY) -m tests.chaos report; \
	exit $$status

lint: setup ## style, types, directions of imports, migrations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PY) -m core.persistence.migrate check

format: setup ## put the code into the style that lint asks for
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## measure start-up times and the like
	$(PY) -m benchmarks

bench-method: setup ## strategies x seeds x data sets below SETS (two hours on two cores); writes benchmarks/method/results.*
	$(PY) -m benchmarks.method --data $(SETS)
	$(PY) -m benchmarks.method.coverage --data $(SETS)

bench-reliability: setup ## what the engine promises, measured: kills, cancels, streams, idle CPU (ten minutes)
	$(PY) -m benchmarks.reliability

screenshots: setup ## pictures of every page of the dashboard, for docs/dashboard.md (two minutes; needs Chromium)
	$(PY) -m examples.screenshots

lock: ## write constraints.txt anew from the newest versions that pyproject.toml allows
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	$(PYTHON) -m venv "$$folder"; \
	"$$folder/bin/python" -m pip install --quiet --disable-pip-version-check '.[dev]' ./client; \
	{ grep '^#' constraints.txt; \
	  "$$folder/bin/python" -m pip freeze --exclude gblend --exclude gblend-client \
	    | sed -E 's/\+[a-z0-9.]+$$//' | LC_ALL=C sort -f; } > constraints.new; \
	mv constraints.new constraints.txt

clean: ## remove what tools leave behind; .venv and var stay
	rm -rf build dist client/dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
