# `make bench` and `make test` are all the set-up there is: each makes .venv and installs first.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: bench test check gpu clean

bench: $(READY)
	$(BIN)/accel bench svd --weights mini --methods reference int8_weight_only fewer_steps:15 \
		fewer_steps:10 fewer_steps:4

test: $(READY)
	BIN=$(BIN) ci/test

check: $(READY)
	BIN=$(BIN) ci/check

gpu: $(READY)
	BIN=$(BIN) ci/gpu

$(READY): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	$(BIN)/accel fetch
	touch $(READY)

clean:
	rm -rf .venv runs
