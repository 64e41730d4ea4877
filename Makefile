# Two commands: `make round` and `make test`. Targets are relative, so a path may hold spaces.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export DVC_NO_ANALYTICS = 1
export MLFLOW_DISABLE_TELEMETRY = true

.PHONY: round test slow faults fuzz audit bench oracles bench-peers

## one active-learning round on the shipped campaign
round: $(VENV)/.installed
	@$(BIN)/al repair
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro
	@$(BIN)/al status

## linters, type checker, import floors and the bounded test suite
test: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --config .importlinter
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest -n 2 -m "not slow"

## statistics over many seeds (minutes)
slow: $(VENV)/.installed-test
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest -m slow

## 200 kills of a small campaign, each beside an undisturbed round (half an hour of CPU)
faults: $(VENV)/.installed-test
	PATH="$(CURDIR)/$(BIN):$$PATH" OMP_NUM_THREADS=1 PYTHONPATH="$(CURDIR)" $(BIN)/python tests/faults/kills.py --kills 200
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest tests/faults

## any bytes in place of a file: 10,000 cases of each reader, then guided by coverage (an hour)
fuzz: $(VENV)/.installed-trust
	$(BIN)/pytest -m slow tests/fuzz
	$(BIN)/python tests/fuzz/guided.py 20000

## licences and known weaknesses of the dependencies; ends with 3 where the service cannot be asked
audit: $(VENV)/.installed-trust
	$(BIN)/python tests/audit.py

## start-up and time of the stages (benchmarks/)
bench: $(VENV)/.installed
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python benchmarks/stages.py

## beside other active-learning libraries, in an environment of its own (.venv-oracles)
oracles: .venv-oracles/.installed
	.venv-oracles/bin/pytest -n 2 -m peers

## time and memory beside them (15 minutes)
bench-peers: .venv-oracles/.installed
	.venv-oracles/bin/python benchmarks/peers.py

.venv-oracles/.installed: pyproject.toml constraints.txt benchmarks/peers-requirements.txt
	test -x .venv-oracles/bin/python || $(PYTHON) -m venv .venv-oracles
	.venv-oracles/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test,oracles]"
	.venv-oracles/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r benchmarks/peers-requirements.txt
	touch $@

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'al-plugin needs Python 3.11 or newer')"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.installed-trust: $(VENV)/.installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[trust]"
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test,oracles]"
	touch $@
