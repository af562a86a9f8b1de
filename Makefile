# Each target is one command a user could type; `make` lists them.
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/
DATASET ?= demo
ARGS   ?=
PEERS  ?=
# beartype checks shapes and types where tensors flow; it breaks torch.compile, so those tests run on their own, first.
CHECKED := --jaxtyping-packages=fastssl.methods,fastssl.augment,fastssl.models,fastssl.optim,fastssl.kernels,shapecheck.check
ALWAYS := not gpu and not network
# Two tests at a time, of different files; with a thread each, because threads that wait for a core slow one another.
WORKERS ?= 2
SIDE_BY_SIDE := -n $(WORKERS) --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all lint beton peers bench bench-quick bench-load bench-losses bench-probes page plots clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(VENV)/.ready  ## system packages (asks first where it must), virtual environment, this library

$(VENV)/.ready: pyproject.toml constraints.txt tools/setup.sh
	PYTHON=$(PYTHON) VENV=$(VENV) bash tools/setup.sh

demo: setup  ## the main job in three minutes: data -> train five methods -> probe -> accuracy against compute
	$(RUN)fastssl demo $(ARGS)

test: setup  ## the fast tests
	bash tools/browser.sh
	$(RUN)python -m pytest -m "$(ALWAYS) and not slow and compile" $(ARGS) || [ $$? -eq 5 ]  # 5: ARGS chose none of them
	OMP_NUM_THREADS=1 $(RUN)python -m pytest $(CHECKED) $(SIDE_BY_SIDE) -m "$(ALWAYS) and not slow and not compile" $(ARGS)

test-all: setup  ## every test, slow ones too
	bash tools/browser.sh
	$(RUN)python -m pytest -m "$(ALWAYS) and compile" $(ARGS) || [ $$? -eq 5 ]
	$(RUN)python -m pytest $(CHECKED) -m "$(ALWAYS) and not compile" $(ARGS)

lint: setup  ## ruff, pyright, import contracts
	$(RUN)ruff check . && $(RUN)ruff format --check . && $(RUN)pyright && $(RUN)lint-imports --no-cache

beton: setup  ## write a dataset: make beton DATASET=cifar10 ARGS="--root DIR"
	$(RUN)fastssl beton write $(DATASET) $(ARGS)

bench-quick: setup  ## the loaders beside three peers and the ceiling, all installed, in ten minutes
	$(RUN)python -m pip install -q --disable-pip-version-check -c constraints.txt --group bench
	$(RUN)python -m benchmarks.envs webdataset turbojpeg spdl
	$(RUN)fastssl bench load --quick

peers: setup  ## the loaders' peers, each in an environment of its own: make peers PEERS="webdataset dali"
	$(RUN)python -m pip install -q --disable-pip-version-check -c constraints.txt --group bench
	$(RUN)python -m benchmarks.envs $(PEERS)

bench: setup  ## time the augmentation beside its peers: make bench ARGS="--quick"
	$(RUN)python -m benchmarks $(ARGS)

bench-load: setup  ## time the loaders beside their peers: make bench-load ARGS="--quick"
	$(RUN)python -m pip install -q --disable-pip-version-check -c constraints.txt --group bench
	$(RUN)python -m benchmarks.bench_loaders $(ARGS)

bench-losses: setup .venv-peers  ## time the losses beside their peers: make bench-losses ARGS="--quick"
	$(RUN)python -m benchmarks.bench_losses $(ARGS)

bench-probes: setup  ## time the probes beside their ceilings and scikit-learn: make bench-probes ARGS="--quick"
	$(RUN)python -m benchmarks.bench_probes $(ARGS)

.venv-peers: constraints.txt  # their losses need torch alone, so what else they ask for (one pins a torch of 2021) stays out
	$(RUN)python -m pip install -q --disable-pip-version-check --no-deps -c constraints.txt --target $@ --upgrade lightly solo-learn
	touch $@

page: setup  ## one HTML file of all committed records: make page ARGS="--out page.html"
	$(RUN)fastssl report page results $(ARGS)

plots: setup  ## redraw every figure and table from the committed records
	$(RUN)python tools/plots.py

clean:  ## remove the environment and everything generated that git does not keep
	rm -rf $(VENV) .venv-peers .peers build dist runs .pytest_cache .ruff_cache
