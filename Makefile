# Everything a developer types. Needs GNU make and Python 3.11 or newer; the rest goes into .venv.
PYTHON ?= python3
PYTEST_JOBS ?= 2
# where the benchmark tables lie
DATA ?= benchmarks/data
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: install compiled demo test fast check format bench golden clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "vaecli needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; \
		echo "Name another one: make install PYTHON=python3.12" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev,plot,remote]'
	touch $@

demo: install  ## the README's walk, on sample_data
	PATH="$(CURDIR)/$(BIN):$$PATH" bash sample_data/demo.sh

compiled: install
	@$(BIN)/python -m compileall -q vaecli  # once, not by each process that a test starts

test: compiled  ## every promise; what measures, or needs its size, is left to make bench
	$(BIN)/python -m pytest -n $(PYTEST_JOBS) --dist worksteal -m 'not slow'

fast: compiled  ## the tests that answer while you think
	$(BIN)/python -m pytest -n $(PYTEST_JOBS) --dist worksteal -m 'not slow and not s3 and not browser and not walk'

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install  ## quality, speed and memory beside peers; results are kept in benchmarks/results
	$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python benchmarks/adbench.py --data $(DATA)
	$(BIN)/python benchmarks/mixed.py --data $(DATA)
	$(BIN)/python benchmarks/false_alarms.py
	$(BIN)/python benchmarks/memory.py --work build/memory
	$(BIN)/python benchmarks/throughput.py --work build/throughput
	$(BIN)/python benchmarks/fit.py --work build/fit
	$(BIN)/python benchmarks/explain.py --data $(DATA) --work build/explain
	$(BIN)/python benchmarks/impute.py --data $(DATA)
	$(BIN)/python benchmarks/selftest.py --data $(DATA)
	$(BIN)/python benchmarks/encode.py
	$(BIN)/python benchmarks/sample.py --data $(DATA)
	$(BIN)/python benchmarks/digits.py
	$(BIN)/python -m pytest -m slow
	$(BIN)/python -m pytest -n $(PYTEST_JOBS) -m hypothesis --hypothesis-profile search

golden: install  ## a bundle of today's format for tests/golden; old ones are never touched
	$(BIN)/python tests/golden/make.py

clean:
	rm -rf build dist demo *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
