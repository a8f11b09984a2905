# Every target sets up what it needs; ARGS is passed to its command.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
PORT ?= 5000
READY := $(VENV)/.ready

.PHONY: help setup data train lesson study sweep report test test-all lint docs ui bench prepare repro dvc-deps clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(READY) ## create .venv with the pinned versions

# torch first, in its exact version: other builds pull in gigabytes of GPU libraries
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("error: Python 3.11, 3.12 or 3.13 is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.11 ...") if not (3, 11) <= sys.version_info < (3, 14) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV), some minutes the first time. Step 1 of 3: PyTorch"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt torch
	@echo "Step 2 of 3: all other packages"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@echo "Step 3 of 3: compile the layers for this processor"
	@$(BIN)/python -m depthlab.compiler
	@touch $@

data: setup ## fetch and verify the raw files (DATASET=pubmed: only that dataset; DEPTHLAB_MIRROR: see docs/guides/data.md)
	@$(BIN)/python -m src.fetch $(if $(DATASET),--dataset $(DATASET))

train: setup ## train one network, GCNII with 64 layers on Cora (ARGS="model=gcn depth=8" changes it)
	@$(BIN)/python -m src.fetch; code=$$?; \
	if [ $$code -eq 3 ] && [ -z "$(findstring dataset=,$(ARGS))" ]; then \
		echo "raw data is not available: training on the embedded graph, dataset=digits"; \
		$(BIN)/python -m src.train dataset=digits $(ARGS); \
	elif [ $$code -eq 0 ] || [ $$code -eq 3 ]; then $(BIN)/python -m src.train $(ARGS); else exit $$code; fi

lesson: setup ## see the collapse: five trainings and a page that explains it, three minutes (ARGS="dataset=digits")
	@$(BIN)/python -m src.lesson $(ARGS)

study: setup ## run a study along depth (ARGS="study=cora" one of conf/study; the default takes some minutes)
	@$(BIN)/python -m src.fetch
	@$(BIN)/python -m src.study $(ARGS)

sweep: setup ## search hyperparameters (ARGS="model=gcnii dataset=cora depth=32 trials=40")
	@$(BIN)/python -m src.fetch
	@$(BIN)/python -m src.sweep $(ARGS)

report: setup ## write a study's tables, figures and page to results/ (ARGS="study=cora")
	@$(BIN)/python -m src.report $(ARGS)

test: setup ## run the quick tests (those on real data if it is available)
	@$(BIN)/python -m src.fetch; code=$$?; \
	if [ $$code -eq 3 ]; then echo "the tests on real data are skipped"; else exit $$code; fi
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

test-all: ## run all tests: also slow ones and injected faults
	@$(MAKE) test ARGS="-m '' $(ARGS)"

lint: setup ## ruff and mypy
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

docs: setup ## build the site in docs/_build/html, warnings as errors (the tutorials run once, some minutes)
	@$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html $(ARGS)
	@echo "open docs/_build/html/index.html"

ui: setup ## open the records: an MLflow server on 127.0.0.1 (PORT=5000)
	@$(BIN)/python -m src.ui --port $(PORT) $(ARGS)

bench: setup ## time steps and epochs beside PyG's own layers (docs/performance.md)
	@$(BIN)/python -m src.fetch
	@$(BIN)/python -m benchmarks $(ARGS)

prepare: setup ## run the dataset stages of dvc.yaml
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro prepare generate $(ARGS)

repro: setup ## run the stages of dvc.yaml that are out of date: prepare, the small study, its report
	@$(BIN)/python -m src.fetch
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro $(ARGS)

dvc-deps: setup ## write the modules that each stage depends on into dvc.yaml
	@$(BIN)/python -m tests.dvc_deps

clean: ## remove caches, prepared files and checkpoints; records (mlflow.db, mlartifacts, sweeps), data and .venv stay
	@rm -rf .pytest_cache .mypy_cache .ruff_cache docs/_build checkpoints outputs prepared/*.pt prepared/rewired/*-*-*
	@find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
