# Needs Python 3.11 or newer and GNU make; everything else goes into .venv, .venv-oldest and .venv-newest.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OLDEST := $(VENV)-oldest
NEWEST := $(VENV)-newest
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
INSTALL := $(BIN)/python $(PIP_INSTALL) --constraint constraints.txt
PYTEST := -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help quickstart check test test-oldest test-newest ray lint results clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

quickstart: $(VENV)/installed ## install, then protect, train and compare on the digits: minutes on two cores
	@$(BIN)/sepbench run quickstart

check: lint ## check style, format and types, then run the tests that take moments: for every edit
	OMP_NUM_THREADS=1 $(BIN)/python $(PYTEST) -m 'not slow and not gpu'

test: $(VENV)/installed-dev ## install with the development tools, then run the tests
	OMP_NUM_THREADS=1 $(BIN)/python $(PYTEST)

test-oldest: $(OLDEST)/installed ## run the tests on the oldest versions that pyproject.toml allows, with Python 3.11 or 3.12
	OMP_NUM_THREADS=1 $(OLDEST)/bin/python $(PYTEST)

test-newest: $(NEWEST)/bin/python ## run the tests on the newest versions that pip finds today
	@echo "sepbench: installing into $(NEWEST), which takes minutes where anything is new"
	@$(NEWEST)/bin/python $(PIP_INSTALL) --upgrade --upgrade-strategy eager --editable '.[dev]'
	OMP_NUM_THREADS=1 $(NEWEST)/bin/python $(PYTEST)

ray: $(VENV)/installed-dev ## install Ray as well, and run the tests that need it
	@$(INSTALL) --editable '.[dev,ray]'
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/run/test_on_ray.py tests/run/test_ray_nodes_apart.py

lint: $(VENV)/installed-dev ## check style, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

results: $(VENV)/installed ## make tables, plots and the page in results/ anew from the committed records
	@$(BIN)/sepbench rebuild

clean: ## remove .venv and its like, builds and the tools' caches; what experiments left in .sepbench stays
	rm -rf $(VENV) $(OLDEST) $(NEWEST) build dist sepbench.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "sepbench: installing into $(VENV), which takes minutes: torch alone is gigabytes"
	@$(INSTALL) --editable .
	@touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "sepbench: installing into $(VENV) with the development tools, which takes minutes: torch alone is gigabytes"
	@$(INSTALL) --editable '.[dev]'
	@touch $(VENV)/installed $@

$(OLDEST)/installed: $(OLDEST)/constraints.txt | $(OLDEST)/bin/python
	@echo "sepbench: installing into $(OLDEST), which takes minutes: torch alone is gigabytes"
	@$(OLDEST)/bin/python $(PIP_INSTALL) --constraint $< --editable '.[dev]'
	@touch $@

$(OLDEST)/constraints.txt: pyproject.toml
	@mkdir -p $(@D)
	@sed -n 's/^    "\([^>]*\)>=\([^",]*\).*",$$/\1==\2/p' $< > $@

$(BIN)/python $(OLDEST)/bin/python $(NEWEST)/bin/python: %/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "sepbench needs Python 3.11 or newer, which $(PYTHON) is not: name one with make PYTHON=/path/to/python" >&2; \
		exit 1; }
	@$(PYTHON) -m venv $*
