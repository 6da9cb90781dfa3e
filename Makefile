# `make` alone lists the targets. Everything is installed into .venv from the lock files.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help run run-live-sim test test-fast lint format gen release-contract docs train-tools ray-tools train-demo bench mutate lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-17s %s\n", $$1, $$2}'

run: $(VENV)/.serve ## install what serves, start everything, and stop on Ctrl-C
	@ls inference/models/consensus/*/model.onnx >/dev/null 2>&1 || $(MAKE) train-demo
	@$(BIN)/python tools/stack.py run

run-live-sim: $(VENV)/.serve ## the same, trading live on an account of the simulated exchange
	@ls inference/models/consensus/*/model.onnx >/dev/null 2>&1 || $(MAKE) train-demo
	@$(BIN)/python tools/stack.py run --live-sim

test: $(VENV)/.dev ## run every test, the whole stack through Envoy included
	$(BIN)/pytest tests

test-fast: $(VENV)/.dev ## run the tests that need no running stack
	$(BIN)/pytest tests --ignore=tests/e2e --ignore=tests/crash

lint: $(VENV)/.dev ## check format, rules, types, contracts of import and of the wire, and generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	cd proto && buf lint && buf format -d --exit-code
	cd proto && buf breaking --against released.binpb --path trading --path open_inference
	$(BIN)/python tools/gen.py --check
	$(BIN)/python tools/docs.py --check

format: $(VENV)/.dev ## format the code and the contract
	$(BIN)/ruff format .
	cd proto && buf format -w

gen: $(VENV)/.dev ## generate gen/ from proto/
	$(BIN)/python tools/gen.py

release-contract: $(VENV)/.dev ## promise the contract as it stands: buf breaking compares with it from now on
	cd proto && buf build --exclude-source-info --path trading --path open_inference -o released.binpb

docs: $(VENV)/.dev ## generate the tables in docs/ from the code
	$(BIN)/python tools/docs.py

train-tools: $(VENV)/.train ## install what `python -m inference.train` needs, beside what serves

ray-tools: $(VENV)/.ray ## install what sweeps on a Ray cluster need as well

train-demo: $(VENV)/.train ## train the demonstration model on the simulated market
	$(BIN)/python -m inference.train demo

bench: $(VENV)/.bench ## measure Tollgate beside its peers, in one run
	$(BIN)/python bench/run.py

mutate: $(VENV)/.mutation ## break the verdict, the sizing, the states and the evidence, one place at a time
	PYTHONPATH=gen $(BIN)/mutmut run
	PYTHONPATH=gen $(BIN)/mutmut results

lock: $(VENV)/.dev ## pin the newest versions that the .in files allow
	$(BIN)/python tools/lock.py

clean: ## remove what was installed and generated for this machine; the journal in var/ is kept
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# One stamp for each set of packages; a larger set holds the smaller ones.
$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Tollgate needs Python 3.11 or later, not " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.%: requirements/%.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	@printf '%s\n%s\n' "$(CURDIR)" "$(CURDIR)/gen" > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/tollgate.pth"
	@printf '#!%s\nimport sys\nfrom gateway.cli import main\nsys.exit(main())\n' "$(CURDIR)/$(BIN)/python" > $(BIN)/tollgate && chmod +x $(BIN)/tollgate
	@touch $@
