# Two commands do everything on a fresh Debian with Python 3.11 and make: `make quickstart`, `make test`.
PYTHON ?= python3
VENV ?= .venv
TENSORFLOW ?= .venv-tensorflow
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: quickstart paper-mini test test-slurm test-tensorflow soak lint clean

quickstart: $(VENV)/.installed  ## install, train the quickstart, print its table
	$(BIN)/simclr-spec run quickstart
	$(BIN)/simclr-spec report quickstart

paper-mini: $(VENV)/.installed  ## every table and figure of the paper at scale digits, in under two hours on two cores: out/index.html
	$(BIN)/simclr-spec run --all --scale digits
	$(BIN)/simclr-spec report --all --scale digits

test: $(VENV)/.installed-test  ## install with the test tools, run every test that needs no cluster
	$(BIN)/python -m pytest -q -n 2 --ignore=tests/slurm

test-slurm: $(VENV)/.installed-test  ## as root on a Debian: install Slurm, run the tests on a cluster that is this machine alone
	tests/slurm/install.sh
	$(BIN)/python -m pytest -q tests/slurm

test-tensorflow: $(VENV)/.installed-test $(TENSORFLOW)/.installed  ## checkpoints against TensorFlow itself, in an environment of its own
	SIMCLR_SPEC_TENSORFLOW=$(abspath $(TENSORFLOW)/bin/python) $(BIN)/python -m pytest -q tests/tensorflow

soak: $(VENV)/.installed-test  ## the tests that take minutes, on a cluster too
	tests/slurm/install.sh
	$(BIN)/python -m pytest -q -m soak

lint: $(VENV)/.installed-test  ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:  ## remove the environment; results in runs/ stay
	rm -rf $(VENV) $(TENSORFLOW)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one with make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "$(PYTHON) cannot make environments: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# A stamp is younger than pyproject.toml when its installation is up to date; the checkout itself is used in place.
$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(call install,.)
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(BIN)/python
	$(call install,'.[test]')
	@touch $@ $(VENV)/.installed

# basic-pitch for its saved model alone: nothing imports it.
$(TENSORFLOW)/.installed:
	$(PYTHON) -m venv $(TENSORFLOW)
	$(TENSORFLOW)/bin/python -m pip --quiet --disable-pip-version-check install tensorflow-cpu
	$(TENSORFLOW)/bin/python -m pip --quiet --disable-pip-version-check install --no-deps basic-pitch
	@touch $@

# Compiled on all cores, the checkout too: where PYTHONDONTWRITEBYTECODE is set, as in many containers, nothing ever would be later.
# compileall fails where one file of a package is for a newer Python than this.
define install
$(PIP) install --no-compile --editable $(1)
@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib simclr_spec || true
endef
