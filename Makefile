# make demo | test | lint | bench | ablation: each sets itself up first, on a fresh machine too.
#   PYTHON=python3.12     the interpreter for .venv (default: the first of python3, python3.13 ... python3.10 that fits)
#   PIP_ARGS=...          more arguments for pip, as: --extra-index-url https://download.pytorch.org/whl/cpu
#   ARGS=...              more arguments for demo, test, bench or ablation
#   DATA=...              ablation: the folder of NYUv2
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow lint format bench ablation clean

BIN := .venv/bin
export PYTHON PIP_ARGS

help:
	@sed -n 's/^#   /  /p; s/^# //p' Makefile

setup:
	@.ci/setup

demo: setup
	@$(BIN)/scene-understanding demo $(ARGS)

test: setup
	$(BIN)/python -m pytest $(ARGS)

test-slow: setup
	$(BIN)/python -m pytest -m slow $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	@for file in bench/bench_*.py; do echo "== $$file"; $(BIN)/python $$file $(ARGS) || exit 1; done

ablation: setup
	$(if $(DATA),,$(error make ablation needs DATA=folder of NYUv2))
	$(BIN)/python bench/ablation_nyu.py --data nyuv2:$(DATA) $(ARGS)

clean:
	rm -rf .venv build install log dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
