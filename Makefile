# The words of this project. Python 3.11 or newer and make are all that a machine needs: the first word that runs
# something makes a virtual environment in .venv, and again whenever pyproject.toml changes; `make demo` installs only
# what the demo needs.

PYTHON ?= python3
WORKERS ?= 2
# Many tests wait for processes: one worker more keeps two cores busy.
TEST_WORKERS ?= 3
SEEDS ?= 50
# What is compiled once, tests with their assertions above all, is not compiled anew by each worker of each run.
unexport PYTHONDONTWRITEBYTECODE
BIN := .venv/bin
READY := .venv/ready
DEMO_READY := .venv/ready-demo
DOCS_READY := .venv/ready-docs
# The original Metaflow, to compare with; pinned, so that numbers and formats are those of one version.
ORIGINAL := 2.19.39
ORIGINAL_BIN := .venv-original/bin
ORIGINAL_READY := .venv-original/ready-$(ORIGINAL)-kubernetes

.DEFAULT_GOAL := help
.PHONY: help demo test seeds check bench interop live docs clean

help:
	@echo "make demo     run a real flow on real data and read its result back"
	@echo "make test     run the tests that need nothing but this machine"
	@echo "make seeds    kill engines at many random moments and resume; SEEDS=200 for more"
	@echo "make check    lint, format, types and the import contract"
	@echo "make bench    measure this project and the original in turn; ARGS='--quick --only hello' narrows it"
	@echo "make interop  test that this project and the original read each other's runs"
	@echo "make live     run the tests that need real services"
	@echo "make docs     build the guide as a web site, in build/guide"
	@echo "make clean    remove what these words made (runs in .metaflow stay)"

demo: $(DEMO_READY)
	$(BIN)/python examples/digits.py run
	@echo
	$(BIN)/python examples/read_back.py

test: $(READY)
	$(BIN)/python -m pytest -n $(TEST_WORKERS) tests --ignore=tests/interop --ignore=tests/live $(ARGS)

seeds: $(READY)
	MILLRACE_SEEDS=$(SEEDS) $(BIN)/python -m pytest -n $(WORKERS) tests/flows/test_resume.py -k killed $(ARGS)

check: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY) $(ORIGINAL_READY)
	MILLRACE_ORIGINAL_PYTHON=$(CURDIR)/$(ORIGINAL_BIN)/python $(BIN)/python -m benchmarks $(ARGS)

interop: $(READY) $(ORIGINAL_READY)
	MILLRACE_ORIGINAL_PYTHON=$(CURDIR)/$(ORIGINAL_BIN)/python $(BIN)/python -m pytest -n $(WORKERS) -m interop tests/interop $(ARGS)

# A service elsewhere may have a bad moment: what fails is tried once more, and the summary says so.
live: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --reruns 1 -m "not alone" tests/live $(ARGS)
	$(BIN)/python -m pytest --reruns 1 -m alone tests/live $(ARGS)

docs: $(DOCS_READY)
	$(BIN)/python -m sphinx --fail-on-warning --nitpicky --quiet docs/guide build/guide
	@echo "open build/guide/index.html"

clean:
	rm -rf .venv .venv-original build dist
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# $(1): a dependency group of pyproject.toml
define set-up
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . --group $(1)
endef

$(DEMO_READY): pyproject.toml
	$(call set-up,demo)
	@touch $@

$(DOCS_READY): pyproject.toml
	$(call set-up,docs)
	@touch $@

$(READY): pyproject.toml
	$(call set-up,dev)
	@touch $(DEMO_READY) $@

$(ORIGINAL_READY):
	$(PYTHON) -m venv --clear .venv-original
	$(ORIGINAL_BIN)/python -m pip install --quiet metaflow==$(ORIGINAL) numpy boto3 kubernetes
	@touch $@
