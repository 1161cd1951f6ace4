# Everything below needs Python 3.12 or later, git and make; PYTHON=… names an interpreter of your own.

BIN := .venv/bin
STAMP := .venv/.installed
KERNELS := .venv/.kernels
READY := $(STAMP) $(KERNELS)
CHECKOV := .checkov/bin/checkov
COMPILE := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.12 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header

ifeq ($(strip $(AWS_CA_BUNDLE)),)
unexport AWS_CA_BUNDLE # AWS clients take an empty one for a file that is not there
endif

.PHONY: help install kernels demo test lint format chaos bench bench-read bench-atlas fidelity bench-queue bench-producer \
	bench-start fuzz simulate test-infra test-images requirements
.DEFAULT_GOAL := help

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## the environment in .venv, with the three commands

$(STAMP): requirements/dev.txt pyproject.toml
	@PYTHON="$(PYTHON)" .ci/install

# numba keeps compiled kernels, and does not see that what one calls in another file has changed.
$(KERNELS): $(wildcard worker/matrices/*.py worker/stats/*.py) | $(STAMP)
	@rm -f worker/*/__pycache__/*.nb[ic]
	@touch $@

kernels: $(READY) ## compile them now, and not when they are first called
	@NUMBA_THREADING_LAYER=workqueue OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m worker.warm

demo: $(READY) ## the fleet on this machine: samples from queue to figures, kept in .demo; ARGS=--fresh starts over
	@exec $(BIN)/dpss-local demo $(ARGS) # exec: a signal to make is a signal to the demo

test: $(READY) ## all tests; ARGS='-k sample' some of them
	@exec $(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder --ignore=tests/images $(ARGS) # long files first

lint: $(STAMP) ## style, types, and who may import whom
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## style, where it can be put right by itself
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

test-images: $(READY) ## both images built and at work (docker, podman or buildah); BASE_IMAGE=python:3.13-slim-bookworm@sha256:…
	@exec $(BIN)/python -m pytest -s tests/images $(ARGS)

chaos: $(READY) ## three workers killed, frozen and cut off for minutes, and what became of each message; ARGS=--help
	@exec $(BIN)/python -m tests.chaos $(ARGS)

bench: $(READY) ## from archive to figures beside scanpy, as ratios of time and memory; ARGS='3000 30000 100000'
	@exec $(BIN)/python -m tests.bench.speed $(ARGS)

bench-read: $(READY) ## how fast an archive is read, beside scipy.io.mmread and beside inflating alone
	@exec $(BIN)/python -m tests.bench.reading $(ARGS)

bench-atlas: $(READY) ## 100,000 and 1.3 million cells: time by stage, and memory; ARGS='300000 --format h5ad'
	@exec $(BIN)/python -m tests.bench.atlas $(ARGS)

fidelity: $(READY) ## the worker's statistics beside those of scanpy in memory; ARGS=100000
	@exec $(BIN)/python -m tests.bench.fidelity $(ARGS)

bench-queue: $(READY) ## how fast a worker settles what is up to date, beside a bare receive-get-delete loop
	@exec $(BIN)/python -m tests.bench.queue $(ARGS)

bench-producer: $(READY) ## a day on which no project of a portal changed: requests beside the least possible; ARGS='1000 10000'
	@exec $(BIN)/python -m tests.bench.producer $(ARGS)

bench-start: $(READY) ## from a message to the first byte of its matrix, in a warm worker and in a cold process
	@exec $(BIN)/python -m tests.bench.start $(ARGS)

fuzz: $(READY) ## inputs searched for that break a parser's promises; ARGS='--minutes 5 --target market'
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/fuzz.txt
	@exec $(BIN)/python -m tests.fuzz $(ARGS)

simulate: $(STAMP) ## what the scaling policies in infra/*.tf do with a day and a burst: a table, and infra/simulation/scaling.png
	@exec $(BIN)/python -m infra.simulation $(ARGS)

$(CHECKOV): requirements/checkov.txt | $(STAMP)
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .checkov
	@VIRTUAL_ENV=.checkov $(BIN)/uv pip install --quiet --require-hashes --requirement requirements/checkov.txt
	@touch $@

test-infra: $(READY) $(CHECKOV) ## the Terraform checked, applied to the embedded server, worked on and destroyed; needs terraform
	@exec $(BIN)/python -m pytest -m terraform tests/infra $(ARGS)

requirements: $(STAMP) ## requirements/*.txt anew from pyproject.toml
	$(COMPILE) --extra worker --extra local --extra dev --output-file requirements/dev.txt
	$(COMPILE) --constraint requirements/dev.txt --output-file requirements/producer.txt
	$(COMPILE) --constraint requirements/dev.txt --extra worker --output-file requirements/worker.txt
	$(COMPILE) --constraint requirements/dev.txt --extra fuzz --output-file requirements/fuzz.txt
	$(subst pyproject.toml,requirements/checkov.in,$(COMPILE)) --output-file requirements/checkov.txt
