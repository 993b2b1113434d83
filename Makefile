# The two commands are `make repro` and `make test`; the others are conveniences. `make help` lists all.
SHELL := /bin/bash
.DEFAULT_GOAL := install
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
UV := 0.13.9
EXTRAS := beam,formats,gcp,aws,train,transcribe,ctranslate2,demo,flow,bench,dev
NAME ?= whisper
ALIAS ?= champion
# What the tests of a file share is made once.
FAULTS := $(CURDIR)/.faults
IN_TWO := -n 2 --dist loadfile --no-loadscope-reorder
export PATH := $(CURDIR)/$(BIN):$(PATH)
export VIRTUAL_ENV := $(CURDIR)/$(VENV)

.PHONY: install repro test test-all test-faults bench mend dataflow-check image data-report ui demo compare promote publish lock clean help

install: $(VENV)/installed  ## make .venv and install every locked version into it

# torch comes through pip, whose configuration says which build this machine gets; uv installs the rest, faster, and
# compiles it once: otherwise the first import of each package does, in the middle of a stage. Where uv gets nothing,
# because only pip is told of a mirror or a certificate, pip installs it all.
$(VENV)/installed: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
		|| { echo "error: Python 3.11 is needed, and '$(PYTHON)' is not; install it, or: make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (the first time about 3 GB on disk)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock uv==$(UV) torch
	@$(BIN)/uv pip install --quiet --system-certs --compile-bytecode --constraint requirements.lock --editable '.[$(EXTRAS)]' \
		|| { echo "uv failed; installing with pip, which takes some minutes more"; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[$(EXTRAS)]'; }
	@touch $@

repro: install  ## run whatever is out of date; RECIPE=name merges recipes/name.yaml into params.yaml first
ifdef RECIPE
	@python -m asr.recipes $(RECIPE)
endif
	@python -m asr.lock && dvc repro

test: install  ## the proof that it works: style, types, unit tests and a flow from audio to report
	@ruff check .
	@ruff format --check .
	@mypy
	@pytest $(IN_TWO) -m "not slow"

test-all: install  ## the same with the slow tests
	@pytest $(IN_TWO)

test-faults: install  ## every fault of docs/reliability.md, injected into the real stages; writes that page
	@rm -rf $(FAULTS) && FAULTS_SEEN=$(FAULTS) pytest -n 3 --dist worksteal tests/faults
	@python -m tests.faults.table $(FAULTS) docs/reliability.md && rm -rf $(FAULTS)

bench: install  ## the measurements that the docs quote
	@status=0; for file in benchmarks/[a-z]*.py; do echo "== $$file"; python $$file || status=1; done; exit $$status

dataflow-check: install  ## the job for Dataflow against its golden file, and its graph run here; no account needed
	@test -e data/base/tokenizer.json || dvc repro fetch
	@python -m pipelines.dataflow_check data/base

image:  ## build and push the worker image: make image IMAGE=REGION-docker.pkg.dev/PROJECT/REPOSITORY/NAME:TAG
	docker build --platform linux/amd64 --tag $(IMAGE) . && docker push $(IMAGE)

data-report: install  ## a look at the data: runs up to the features, and names data/features/report.html
	@dvc repro preprocess
	@echo "the data: data/features/report.html"

mend: install  ## look for files that a disk has damaged, and take them away, so that dvc repro makes them again
	@python -m asr.damage

ui: install  ## MLflow's pages on this machine
	@python -m asr.tracking ui

demo: install  ## a page that shows what the checkpoint hears, before and after: DEMO_PORT=7860
	@python -m asr.demo

compare: install  ## two experiments on a page: make compare A=main B=fast
	@python -m asr.pages.comparison $(A) $(B)

promote: install  ## register data/model in MLflow, as NAME under ALIAS, if it is better than what has the alias
	@python -m asr.experiments.promotion data/run.json data/report $(NAME) $(ALIAS) --checkpoint data/model

publish: install  ## push data/export/hub to the hub: make publish REPO=me/whisper-sw
	@python -m asr.publishing data/export/hub "$(REPO)" $(if $(PRIVATE),--private) $(if $(YES),--yes)

lock:  ## resolve requirements.lock anew
	@$(BIN)/uv pip compile pyproject.toml --all-extras --python-version 3.11 --no-annotate --no-header --upgrade --output-file requirements.lock

clean:  ## remove .venv and all that was generated, but not DVC's cache or the experiments
	rm -rf $(VENV) data/base data/corpus data/listing.json data/checkpoint.json data/sets.json data/agreement.json data/cleaning.json data/exports.json data/manifest data/features data/sets data/agreement data/selection data/model data/baseline data/baseline_sets data/report data/export data/run.json data/work data/training

help:
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 16
