# Everything a developer types. Needs GNU make and Python 3.11 or newer; the rest goes into .venv.
PYTHON ?= python3
PYTEST_JOBS ?= 2
# the tests to run: make test FILE=tests/data
FILE ?=
# where the benchmark tables lie
DATA ?= benchmarks/data
BIN := .venv/bin
INSTALLED := .venv/.installed
LOWEST := build/lowest/bin
# the other Pythons of the classifiers
PYTHONS ?= python3.12 python3.13
WITHOUT_TORCH := hypothesis import-linter jsonschema matplotlib pandas pytest pytest-xdist scikit-learn scipy
PYTEST := python -m pytest -n $(PYTEST_JOBS) --dist worksteal
FAST := not slow and not s3 and not browser and not walk

.DEFAULT_GOAL := help
.PHONY: help install compiled demo test fast coverage lowest pythons check format bench golden clean

help:  ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "Variables: FILE=tests/data (test, fast), PYTEST_JOBS=2, PYTHON=python3.12 (install, lowest), PYTHONS='python3.12 python3.13' (pythons), DATA=folder (bench)"

install: $(INSTALLED)  ## install vaecli and the development tools into .venv

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "vaecli needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; \
		echo "Name another one: make install PYTHON=python3.12" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev,plot,remote,spark]'
	touch $@

demo: install  ## run the README's example on sample_data; writes to demo/
	PATH="$(CURDIR)/$(BIN):$$PATH" bash sample_data/demo.sh

compiled: install
	@$(BIN)/python -m compileall -q vaecli  # once, not by each process that a test starts

test: compiled  ## run all tests but the slow ones (some five minutes); FILE=… runs some
	$(BIN)/$(PYTEST) -m 'not slow' $(FILE)

fast: compiled  ## run the tests that need no S3 server, browser or document walk (a minute or two)
	$(BIN)/$(PYTEST) -m '$(FAST)' $(FILE)

coverage: compiled  ## run the tests of `make test` with branch coverage; pages in build/coverage
	$(BIN)/$(PYTEST) -m 'not slow' --cov --cov-report=term:skip-covered --cov-report=html:build/coverage

lowest:  ## run the fast tests on the lowest promised versions of the dependencies
	test -x $(LOWEST)/python || $(PYTHON) -m venv build/lowest
	$(LOWEST)/python -m pip install -qq --disable-pip-version-check -c constraints-lowest.txt -e '.[dev,plot,remote]'
	$(LOWEST)/$(PYTEST) -m '$(FAST)' $(FILE)

pythons:  ## run the fast tests that need no torch (no fit) on Python 3.12 and 3.13
	for python in $(PYTHONS); do \
		test -x build/$$python/bin/python || $$python -m venv build/$$python || exit 1; \
		build/$$python/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt \
			-r requirements-scoring.txt $(WITHOUT_TORCH) || exit 1; \
		build/$$python/bin/python -m pip install -qq --disable-pip-version-check --no-deps -e . || exit 1; \
		build/$$python/bin/$(PYTEST) -m '$(FAST)' $(FILE) || exit 1; \
	done

check: install  ## lint, check the format, the types and the layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install  ## fix what ruff can fix, and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install  ## measure quality, speed and memory next to peers (hours); writes benchmarks/results
	$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python benchmarks/adbench.py --data $(DATA)
	$(BIN)/python benchmarks/mixed.py --data $(DATA)
	$(BIN)/python benchmarks/sensors.py --data $(DATA)
	$(BIN)/python benchmarks/sensor_speed.py --work build/sensors
	$(BIN)/python benchmarks/false_alarms.py
	$(BIN)/python benchmarks/reliability.py --work build/reliability
	$(BIN)/python benchmarks/fuzz.py --work build/fuzz
	$(BIN)/python benchmarks/soak.py --work build/soak
	$(BIN)/python benchmarks/known_files.py --work build/known_files
	$(BIN)/python benchmarks/bad_files.py --work build/bad_files
	$(BIN)/python benchmarks/usual_rows.py
	$(BIN)/python benchmarks/single_row.py
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

golden: install  ## write a golden bundle of the current format to tests/golden; existing ones stay
	$(BIN)/python tests/golden/make.py

clean:  ## remove build outputs and caches; .venv stays
	rm -rf build dist demo *.egg-info .coverage .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
