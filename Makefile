# Every way into the project. Each target sets up what it needs; run them in any order.
.DEFAULT_GOAL := help
.PHONY: help setup doctor run lab stop test faults mutants check format bench docs lock browser clean

VENV := .venv
PY := $(VENV)/bin/python
export WORKBENCH_DATA ?= $(CURDIR)/data
# Where it is set, each of our many processes would compile all of its code anew.
unexport PYTHONDONTWRITEBYTECODE

help:  ## say what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(VENV)/ready  ## make the environment in .venv

$(VENV)/ready: requirements.lock pyproject.toml setup.sh
	@./setup.sh $(VENV)
	@touch $@

doctor: setup  ## say what is there, what is missing and the remedy
	@$(VENV)/bin/workbench doctor

run: setup  ## open the workbench in a browser page
	@$(VENV)/bin/workbench app

lab: setup  ## open JupyterLab on the same hub
	@$(VENV)/bin/workbench lab

browser: setup
	@$(PY) tests/browser/chromium.py

# More at once than there are cores: much of the time a test waits, for a page or a process. With
# several browsers on two cores one that waits fails by chance: it gets a second try, and
# the first is shown at the end (RERUN), for it may be a fault that is rare.
test: setup  ## pass every test, browser included
	@$(MAKE) --no-print-directory --jobs=2 browser static
	@$(PY) -m pytest -p no:cacheprovider --numprocesses 3 --dist loadfile --no-loadscope-reorder \
	  --second-try --rerun-show-tracebacks

.PHONY: static
static: setup
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-cache

check: static  ## format, lint, types, imports and the fast tests, in seconds
	@$(PY) -m pytest -q tests/core tests/test_house.py

format: setup
	@$(VENV)/bin/ruff format .
	@$(VENV)/bin/ruff check --fix .

mutants: setup  ## what faults in the Runes codec, index and questions no test notices (needs mutmut)
	@$(PY) -m tests.mutants

stop: setup  ## drain the running hub and stop it
	@$(VENV)/bin/workbench stop

faults: setup  ## the long form of the fault tests, 1,000 tasks (FAULT_TASKS=10000)
	@FAULT_TASKS=$${FAULT_TASKS:-1000} FAULT_ROUNDS=20 $(PY) -m pytest -s -p no:cacheprovider tests/faults

bench: setup  ## measure against limits, in the same run
	@set -e; for file in benchmarks/[a-z]*.py; do echo; echo "== $$file"; $(PY) $$file; done

docs: setup  ## run every example of the documentation
	@$(PY) -m pytest -q tests/test_docs.py

lock:  ## resolve the dependencies anew (needs uv); LOCK_FLAGS=--upgrade takes the newest
	uv pip compile pyproject.toml --extra local --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate $(LOCK_FLAGS) -q -o requirements.lock
	$(PY) tests/environment.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
