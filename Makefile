# make run    sync accounts and balances once, show the cash positions (a simulated bank when nothing is configured)
# make dev    the Dagster UI with schedules and sensors running
# make quick  the tests that start no program and play no long history: before each commit
# make test   the whole suite, on up to four processors
# make lint   format, lint, types, layers, spelling and vocabulary
# make simulate  tenants' half-years with faults drawn from seeds: SEEDS=5000 (goes on where it ended) or SEED=1234
# make torture   kills the ledger's writers at random: CRASHES=300 of each kind, SEED=word
# make bench  what it costs, by comparison, into benchmarks/results (takes about twenty minutes)
# make docs   the documentation as a site, into build/docs
# make lock   renew requirements.lock after a change in pyproject.toml (needs uv)

PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
# One process more than there are processors, because many tests wait. pfo_pipeline_tests/conftest.py says which tests stay
# together, and which come first. Not in pyproject.toml: a single test starts at once, with a debugger.
# `make test PARALLEL=` runs the suite in one process.
PROCESSES := $(shell $(PYTHON) -c 'import os; print(min(os.cpu_count() + 1, 4))')
PARALLEL ?= --numprocesses $(PROCESSES) --dist loadscope --no-loadscope-reorder

.PHONY: run dev quick test torture lint simulate bench docs lock setup

run: $(READY)
	@$(VENV)/bin/pfo run

dev: $(READY)
	@$(VENV)/bin/pfo dev

quick: $(READY)
	$(VENV)/bin/pytest $(PARALLEL) -m "not long"

test: $(READY)
	$(VENV)/bin/pytest $(PARALLEL)

lint: $(READY)
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo
	$(VENV)/bin/codespell --dictionary - --dictionary docs/_ext/vocabulary.txt

# A day has its own seed: fresh ones find what fixed ones cannot. The names of the tests say what was covered.
torture: $(READY)
	@echo "CRASHES=$(or $(CRASHES),300) SEED=$(or $(SEED),$(shell date +%F))"
	CRASHES=$(or $(CRASHES),300) SEED=$(or $(SEED),$(shell date +%F)) $(VENV)/bin/pytest $(PARALLEL) -v pfo_pipeline_tests/ledger/test_crashes.py

SEEDS ?= 1000

simulate: $(READY)
	@$(VENV)/bin/python -m pfo_pipeline_tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))

bench: $(READY)
	$(VENV)/bin/python -m benchmarks

docs: $(READY)
	@$(VENV)/bin/python -m sphinx -b html -n -W --keep-going -q -d build/doctrees docs build/docs
	@echo "build/docs/index.html"

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "pfo-pipeline needs Python 3.11 or newer, this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 run")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)

lock:
	uv pip compile --quiet --universal --generate-hashes --no-header --no-strip-extras --python-version 3.11 \
		--extra dev --constraint constraints.txt --output-file requirements.lock pyproject.toml
