# Everything that a checkout needs is set up by the target that needs it. On the machine: make, and Python 3.11 or newer.
#
#   make demo ARGS="--help"            arguments for the command behind a target
#   make setup PYTHON=/path/to/python  the interpreter to build .venv from, once

UV_VERSION := 0.13.9
# `override`: what is removed below is never a folder that somebody named.
override VENV := .venv
BIN := $(VENV)/bin
# uv lives in an environment of its own, where syncing the project's cannot remove it.
UV_HOME := $(VENV)/.uv
UV := $(UV_HOME)/$(UV_VERSION)/bin/uv

# Which of the two sets of packages is installed. Both are dated against the files that say what belongs to it.
RUN := $(VENV)/.ready-to-run
DEV := $(VENV)/.ready-to-develop
LOCK := pyproject.toml uv.lock

# The interpreter is the project's own, and nothing outside decides otherwise.
unexport VIRTUAL_ENV
unexport PYTHONHOME
# Compiling what is imported takes seconds, which every process that a test starts would spend again.
unexport PYTHONDONTWRITEBYTECODE
export UV_PROJECT_ENVIRONMENT := $(VENV)
export UV_PYTHON := $(BIN)/python
export UV_PYTHON_DOWNLOADS := never
# As pip does: a network may have a certificate of its own, which the machine knows.
export UV_SYSTEM_CERTS ?= true

SUPPORTED := import sys; sys.exit(sys.version_info < (3, 11))

# An environment that was moved, or whose interpreter has gone, is built anew; no file's date would tell.
ifneq ($(filter-out help clean,$(MAKECMDGOALS)),)
ifneq ($(shell $(BIN)/python -c '$(SUPPORTED)' >/dev/null 2>&1 && { test ! -f $(VENV)/.place || test "`cat $(VENV)/.place`" = "`pwd -P`"; } && echo sound),sound)
$(shell rm -rf '$(VENV)')
endif
endif

# No server, and under a minute: what builds the package is left to `test`.
FAST := tests/unit $(filter-out tests/test_packaging.py,$(wildcard tests/test_*.py))

.DEFAULT_GOAL := help
.PHONY: help setup demo unit test proof lint format docs bench clean

help: ## Show the targets
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' Makefile | while IFS='	' read -r name what; do printf '  %-8s %s\n' "$$name" "$$what"; done

setup: $(DEV) ## Install everything into .venv

demo: $(RUN) ## Decide in a browser what an agent may do
	$(BIN)/kern demo $(or $(ARGS),--desk)

unit: $(DEV) ## Run the tests that need no server, in under a minute
	$(BIN)/pytest $(FAST) $(ARGS)

test: $(DEV) ## Run the tests, except the slow proofs
	$(BIN)/pytest $(ARGS)

proof: $(DEV) ## Run the slow proofs
	$(BIN)/pytest -m slow -n 0 $(ARGS)

lint: $(DEV) ## Check style, types and layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports

format: $(DEV) ## Format the code and fix what can be fixed safely
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(DEV) ## Write the reference pages of docs/ from the code
	$(BIN)/python -m tests.support.reference

bench: $(DEV) ## Measure
	$(BIN)/python -m benchmarks $(ARGS)

clean: ## Remove what the other targets made; .kern, where runs are kept, stays
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A shim may stand on the PATH for an interpreter that is not installed, so each candidate has to run.
$(BIN)/python:
	@for python in $(if $(PYTHON),'$(PYTHON)',python3.13 python3.12 python3.11 python3 python); do \
	  if "$$python" -c '$(SUPPORTED)' >/dev/null 2>&1; then \
	    echo "Creating $(VENV) with $$python"; \
	    "$$python" -m venv --without-pip $(VENV); \
	    exit $$?; \
	  fi; \
	done; \
	echo "No Python 3.11 or newer was found$(if $(PYTHON), at $(PYTHON)). Install one, or name it: make PYTHON=/path/to/python" >&2; \
	exit 1

$(UV): | $(BIN)/python
	rm -rf $(UV_HOME)
	$(BIN)/python -m venv $(UV_HOME)/$(UV_VERSION)
	$(UV_HOME)/$(UV_VERSION)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@pwd -P > $(VENV)/.place

# --inexact: the demonstration takes nothing away from an environment that tests were run in.
$(RUN): $(LOCK) | $(UV)
	$(UV) sync --locked --no-dev --inexact
	@touch $@

$(DEV): $(LOCK) | $(UV)
	$(UV) sync --locked --extra notify --compile-bytecode
	@touch $(RUN) $@
