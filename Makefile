# `make demo` and `make test` do everything, on a machine with Python >= 3.11 and make.

PYTHON ?= python3
CORES ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
BIN := .venv/bin

.PHONY: demo paper features bench test checkers soak cluster-test lint docs lock clean

demo: .venv/installed  ## the demo study, from data to report
	@$(BIN)/assay run demo --cores $(CORES)
	@echo "All numbers: $(BIN)/assay show demo"

paper: .venv/installed  ## the PCam paper in miniature, with every baseline, threat and check
	@$(BIN)/assay run phantom --cores $(CORES)
	@echo "All numbers: $(BIN)/assay show phantom"

features: .venv/installed  ## feature denoising (Xie et al. 2019) in miniature
	@$(BIN)/assay run feature-denoising --cores $(CORES)
	@echo "All numbers: $(BIN)/assay show feature-denoising"

bench: .venv/installed  ## every kind of purifier under one protocol, on the phantom's kinds of tissue
	@$(BIN)/assay run purifiers --cores $(CORES)
	@echo "All numbers: $(BIN)/assay show purifiers"

test: .venv/installed  ## all tests; those of single modules run beside those of the workflow, and are shown after them
	@log=$$(mktemp); trap "rm -f $$log" EXIT; \
	$(BIN)/python -m pytest tests/unit tests/browser > $$log 2>&1 & unit=$$!; \
	$(BIN)/python -m pytest tests/workflow; workflow=$$?; \
	wait $$unit; unit=$$?; cat $$log; exit $$((unit || workflow))

checkers: .venv/installed  ## planted defences through a whole study, and the verdict that each gets
	$(BIN)/python benchmarks/checkers.py --cores $(CORES)

soak: .venv/installed  ## what takes hours: kills at random moments, whole studies, ten thousand cells, odd configs
	$(BIN)/python -m pytest -s -m soak tests/unit tests/workflow

cluster-test: .venv/installed  ## the slurm profile on a real Slurm, with real containers (see containers/README.md)
	$(BIN)/python -m pytest -s -rs tests/cluster

lint: .venv/installed  ## ruff, snakefmt, snakemake --lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

docs: .venv/installed  ## the config's documentation, from its models
	$(BIN)/python scripts/document_config.py

lock:  ## requirements/lock.txt, from pyproject.toml
	requirements/make_lock.sh

clean:  ## everything that can be made again, but for results
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis src/*.egg-info

.venv/installed: requirements/lock.txt requirements/torch.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: $(PYTHON) is older than Python 3.11; name another: make PYTHON=python3.12"; exit 1; }
	@echo "Setting up .venv: fetches and installs torch and the other packages, once; this takes some minutes."
	@$(PYTHON) -m venv .venv \
	  || { echo "error: $(PYTHON) cannot make a virtual environment; install its venv module (python3-venv)"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/lock.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-warn-conflicts -r requirements/torch.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
