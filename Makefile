# Needs Python 3.11 or newer and GNU make; everything else goes into .venv.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help quickstart check test ray lint results clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

quickstart: $(VENV)/installed ## install, then protect, train and compare on the digits: minutes on two cores
	@$(BIN)/sepbench run quickstart

check: lint ## check style, format and types, then run the tests that take moments: for every edit
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal -m 'not slow and not gpu'

test: $(VENV)/installed-dev ## install with the development tools, then run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

ray: $(VENV)/installed-dev ## install Ray as well, and run the tests that need it
	@$(INSTALL) --editable '.[dev,ray]'
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/run/test_on_ray.py

lint: $(VENV)/installed-dev ## check style, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

results: $(VENV)/installed ## make tables, plots and the page in results/ anew from the committed records
	@$(BIN)/sepbench rebuild

clean: ## remove .venv, builds and the tools' caches; what experiments left in .sepbench stays
	rm -rf $(VENV) build dist sepbench.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "sepbench: installing into $(VENV), which takes minutes: torch alone is gigabytes"
	@$(INSTALL) --editable .
	@touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "sepbench: installing into $(VENV) with the development tools, which takes minutes: torch alone is gigabytes"
	@$(INSTALL) --editable '.[dev]'
	@touch $(VENV)/installed $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "sepbench needs Python 3.11 or newer, which $(PYTHON) is not: name one with make PYTHON=/path/to/python" >&2; \
		exit 1; }
	@$(PYTHON) -m venv $(VENV)
