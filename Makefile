# Everything here needs Python 3.11+ and make, nothing else: nats-server and the compilers come as wheels.
#
#   make demo    shows the main job on real parts
#   make test    runs the tests
#   make lint    ruff and mypy
#   make bench   measures, prints a table, writes JSON to bench/results/; BASE=ref compares with a commit
#
# PYTHON chooses the interpreter that .venv is made with; ARGS is passed on: make test ARGS="-k ping".

SHELL := /bin/sh
# The first interpreter that really runs, is new enough and can make environments.
CHECK := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for each in python3 python3.14 python3.13 python3.12 python3.11 python; do \
  "$$each" -c '$(CHECK)' 2>/dev/null && { echo "$$each"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
BASE ?=

.PHONY: help demo test lint bench clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^#   //p' Makefile

# The stamps are newer than pyproject.toml once their extras are installed.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11+ with venv is needed: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.build: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[build]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.build

demo: $(VENV)/.build
	$(BIN)/lath demo $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 3 --dist loadgroup $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.dev
	$(BIN)/python -m bench $(if $(BASE),--base $(BASE)) $(ARGS)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis bench/results
