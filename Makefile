# Everything a stranger needs: `make demo`, `make test`. Python 3.11 and a package index are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo fetch test mutants fuzz check lint install bench readme docs notebooks wheel clean help

help:            ## List the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/  /'

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

install: $(VENV)/.installed   ## Make .venv and install pinned dependencies

demo: install    ## Assay a small model of ours, then a real one on real text; write reports
	$(BIN)/unexplained demo

fetch: install   ## Fetch the model and the text that a few tests need
	$(BIN)/unexplained models get smollm2-135m
	$(BIN)/unexplained texts get webmix

# Tiny models gain nothing from threads: two processes of one thread each take half the time.
test: fetch      ## Run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

mutants: install ## Make the code wrong in many places: a test must notice each
	$(BIN)/python tests/mutants.py

fuzz: install    ## Try made-up input for twenty minutes; counts go to docs/fuzzing.md
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/fuzz.py

lint: install    ## ruff, types, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test ## Everything that CI runs

bench: install   ## Time the engine against its peers (own virtual environment)
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet -c constraints.txt torch
	.venv-bench/bin/python -m pip install --quiet -c constraints.txt -r benchmarks/requirements.txt
	.venv-bench/bin/python -m pip install --quiet --no-deps -e .
	.venv-bench/bin/python benchmarks/engine.py
	.venv-bench/bin/python benchmarks/sweeps.py

readme: install  ## Write the README's tables from benchmarks/results
	$(BIN)/python benchmarks/readme.py

$(VENV)/.documented: pyproject.toml constraints.txt $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@

docs: $(VENV)/.documented   ## Build the site into site/, strictly
	NO_MKDOCS_2_WARNING=1 DISABLE_MKDOCS_2_WARNING=true $(BIN)/mkdocs build --quiet
	@echo "site/index.html"

notebooks: $(VENV)/.documented  ## Run the notebooks of the tutorial and of the 135M model, for the site to show
	$(BIN)/python docs/notebook.py --execute

wheel: install   ## Build the wheel, install it in a clean environment, and measure with it elsewhere
	rm -rf dist .venv-wheel
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps -w dist .
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt dist/*.whl
	cd dist && ../.venv-wheel/bin/unexplained --version
	cd dist && ../.venv-wheel/bin/unexplained assay rung-2 --heads L1.H0 --text pydocs --documents 16 --out .

clean:           ## Remove the environments and the site
	rm -rf $(VENV) .venv-bench .venv-wheel site dist
