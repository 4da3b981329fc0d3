# Every target makes its own environment in .venv: with uv when it can be had, else with venv and hashed requirements.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export UV_LINK_MODE := copy
export UV_PROJECT_ENVIRONMENT := $(VENV)

.PHONY: run test test-slow check format bench docs clean

run: $(READY)
	@$(BIN)/basis backtest run btc_basis --start 2024-01-01 --end 2025-12-31 --capital 100000 --market embedded --seed 7

test: $(READY)
	$(BIN)/python -m pytest -q

test-slow: $(READY)
	$(BIN)/python -m pytest -q -m "slow or not slow"

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy components venues daemon
	$(BIN)/lint-imports
	$(BIN)/python -m daemon.docs_reference --check
	$(BIN)/python -m pytest -q

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)
	$(BIN)/python -m tests.bench

docs: $(READY)
	$(BIN)/python -m daemon.docs_reference

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis results

$(READY): pyproject.toml uv.lock requirements-dev.txt
	@sh ops/make-environment.sh "$(PYTHON)" "$(VENV)"
	@touch $@
