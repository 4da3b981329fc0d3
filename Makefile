# Every target makes its own environment in .venv: with uv when it can be had, else with venv and hashed requirements.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export UV_LINK_MODE := copy
export UV_PROJECT_ENVIRONMENT := $(VENV)

.PHONY: run backtest test test-slow check format bench docs tools clean

# Four strategies on the embedded market with play money; SPEED market seconds pass in a second. Ctrl-C stops.
# The daemon says how to go on when it ends; make has nothing to add.
SPEED ?= 600
run: $(READY)
	@exec $(BIN)/basis run --config configs/paper.yaml --speed $(SPEED)

backtest: $(READY)
	@$(BIN)/basis backtest run btc_basis --start 2024-01-01 --end 2025-12-31 --capital 100000 --market embedded --seed 7

# Files are shared out to JOBS processes; tests of one file stay in one process and in order.
JOBS ?= 2
test: $(READY) tools
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile

# What some tests run beside the daemon; without it they skip and say why.
tools:
	@sh ops/install-test-tools.sh || true

test-slow: $(READY) tools
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile -m "slow or not slow"

# What CI runs: the generated pages, the contracts, and the tests with no skip that nobody agreed to.
check: $(READY) tools
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy components venues daemon
	$(BIN)/lint-imports
	$(BIN)/python -m ops.reference --check
	$(BIN)/python -m ops.rooms --check
	$(BIN)/python -m ops.grafana.generate --check
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile --agreed-skips tests/agreed-skips.txt

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)
	$(BIN)/python -m tests.bench

docs: $(READY)
	$(BIN)/python -m ops.reference
	$(BIN)/python -m ops.rooms

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis results

$(READY): pyproject.toml uv.lock requirements-dev.txt
	@sh ops/make-environment.sh "$(PYTHON)" "$(VENV)"
	@touch $@
