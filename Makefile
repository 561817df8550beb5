# The first target that needs it makes .venv, from constraints.txt; later ones use it as it is.
#   make run PYTHON=python3.12      another interpreter than python3 (3.11, 3.12 or 3.13)
#   make run ARGS="--since 2025-01-17"      arguments for run, test or bench

PYTHON ?= python3
ARGS ?=
PYTHON_VERSIONS = 3.11 3.12 3.13

IN_VENV = .venv/bin
STAMP = .venv/.installed
VERSION_STAMPS = $(PYTHON_VERSIONS:%=.venv-%/.installed)
PACKAGING = pyproject.toml setup.cfg constraints.txt
# several files of tests at a time; make test PARALLEL= for one after the other
PARALLEL = -n auto --dist loadfile --no-loadscope-reorder
# trials need nothing of each other
SPREAD = -n auto --dist worksteal
# quiet twice: errors only, since pip warns of each folder of its own settings that is not there
PIP_INSTALL = python -m pip install --quiet --quiet --disable-pip-version-check -c constraints.txt
# pyspark is a download of 400 MB, so only what needs it installs it
SPARK_STAMP = .venv/.spark
# hundreds of processes would each compile the package
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test test-all prove check test-pythons bench bench-peers bench-api bench-cluster house docs clean $(PYTHON_VERSIONS:%=test-%)

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(STAMP)  ## set up, then run the pipeline on data/
	$(IN_VENV)/python -m pipeline run $(ARGS)

test: $(STAMP)  ## set up, then the tests (minutes)
	$(IN_VENV)/python -m pytest $(PARALLEL) $(ARGS)

test-all: $(SPARK_STAMP)  ## set up, then all tests, also the deep ones, a real cron, a Spark cluster and the image
	TESTS=all $(IN_VENV)/python -m pytest $(PARALLEL) $(ARGS)

prove: $(STAMP)  ## set up, then kills, power cuts, disk faults and races by the hundred (half an hour; ARGS=--all: all)
	TESTS=prove $(IN_VENV)/python -m pytest $(SPREAD) $(ARGS) tests/prove

check: $(STAMP)  ## set up, then the linters, the generated pages and the tests of the pages
	$(IN_VENV)/ruff check
	$(IN_VENV)/ruff format --check
	$(IN_VENV)/mypy
	$(IN_VENV)/lint-imports --no-logo
	$(IN_VENV)/hadolint Dockerfile
	$(IN_VENV)/python docs/generate.py --check
	TESTS=all $(IN_VENV)/python -m pytest -q tests/test_pages.py

test-pythons: $(PYTHON_VERSIONS:%=test-%)  ## the tests on Python 3.11, 3.12 and 3.13

bench: $(STAMP)  ## set up, then the benchmarks (many minutes)
	$(IN_VENV)/python benchmarks/bench.py $(ARGS)

bench-peers: $(STAMP)  ## set up, then the pipeline beside other tools on the same dump; writes benchmarks/RESULTS.md
	$(IN_VENV)/python benchmarks/bench_peers.py $(ARGS)

bench-api: $(STAMP)  ## set up, then the benchmarks of the REST source (minutes)
	$(IN_VENV)/python benchmarks/bench_api.py $(ARGS)

bench-cluster: $(SPARK_STAMP)  ## set up, then the pipeline on a Spark cluster of this machine; writes benchmarks/CLUSTER.md
	$(IN_VENV)/python benchmarks/bench_cluster.py $(ARGS)

docs: $(STAMP)  ## set up, then write docs/SETTINGS.md and docs/CLI.md
	$(IN_VENV)/python docs/generate.py

house: $(STAMP)  ## set up, then the figures of the code that docs/DESIGN.md speaks of
	$(IN_VENV)/python benchmarks/house.py

clean:  ## remove what set-up and tools made; output/ and duckdb_db/ stay
	rm -rf .venv .venv-* build *.egg-info .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find pipeline mock_shop tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

# $(call runs,PYTHON,CONDITION): PYTHON itself when it starts and the condition on its version v holds
runs = $(shell $(1) -c 'import sys; v = sys.version_info[:2]; sys.exit(not ($(2)))' 2>/dev/null && echo $(1))
# $(call interpreter,3.12): one from pyenv, else from PATH
candidates = $(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/$(1).*/bin/python) python$(1)
interpreter = $(firstword $(foreach python,$(candidates),$(call runs,$(python),v == ($(subst .,$(comma) ,$(1))))))
comma = ,

# $(call install,PYTHON): into the stamp's folder; the build backend first, so that it is the pinned one too
define install
	@echo "setting up $(@D) with $(1), about a minute"
	@rm -f $@
	@$(1) -m venv --clear $(@D)
	@$(@D)/bin/$(PIP_INSTALL) setuptools
	@$(@D)/bin/$(PIP_INSTALL) --no-build-isolation -e '.[mock,ops,report,test,check,bench]'
	@touch $@
endef

WRONG_PYTHON = $(PYTHON) is not Python 3.11, 3.12 or 3.13; name one: make $(MAKECMDGOALS) PYTHON=python3.12

$(STAMP): $(PACKAGING)
	$(if $(call runs,$(PYTHON),(3, 11) <= v < (3, 14)),,$(error $(WRONG_PYTHON)))
	$(call install,$(PYTHON))

$(SPARK_STAMP): $(STAMP)
	@echo "installing pyspark, about a minute"
	@$(IN_VENV)/$(PIP_INSTALL) --no-build-isolation -e '.[spark]'
	@touch $@

$(VERSION_STAMPS): .venv-%/.installed: $(PACKAGING)
	$(if $(call interpreter,$*),,$(error no Python $* found, neither with pyenv nor as python$* on PATH))
	$(call install,$(call interpreter,$*))

$(PYTHON_VERSIONS:%=test-%): test-%: .venv-%/.installed
	.venv-$*/bin/python -m pytest $(PARALLEL) $(ARGS)
