# Everything installs itself: only Python 3.11 or 3.12 with venv is needed. `make` alone prints this help.
PYTHON  ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV    ?= .venv
EXTRAS  ?= java,clip,cpu,download,language,ocr,nsfw,faces,tokenizers,s3,tensorboard,dev
WORK    ?= work
TESTERS ?= 2
POOL    ?= $(WORK)/sample/pool
OUT     ?= $(WORK)/sample/release
IMAGES  ?= $(WORK)/sample/images
RUN     ?= $(WORK)/sample/run
BIN      = $(VENV)/bin
CURATE   = $(BIN)/curate
JOB      = $(BIN)/python jobs
.DEFAULT_GOAL := help
.PHONY: help setup sample sample-clip worldwide test test-slow check faults doors lint docs bench image dist clean ingest download metadata balance score prune embed \
        dedup shards train report verify

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(VENV)/.ready ## install the package with its pinned dependencies into .venv

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' \
	  || { echo "Python 3.11 or 3.12 is needed, found: $$($(PYTHON) --version); set PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --progress-bar off -c constraints.txt -e '.[$(EXTRAS)]'
	touch $@

sample-clip: setup ## train the packaged model again and install it into the package (about half an hour)
	$(BIN)/python sample/train_clip.py --work $(WORK)/sample --install

sample: setup ## the main job on a small real pool: fetch, ingest, curate, verify, train a few steps, report
	$(BIN)/python sample/sample.py --work $(WORK)/sample

worldwide: setup ## entry lists and the recipe metaclip_worldwide on captions in 78 languages
	$(BIN)/python sample/worldwide.py --work $(WORK)/sample

test: setup ## all tests but the slow ones, in TESTERS=2 processes (each has a Spark session: some 4 GB)
	$(BIN)/python -m pytest -n $(TESTERS) --dist loadfile

test-slow: setup ## the few tests that make test leaves out: compiled code, training beside the peer (two minutes)
	$(BIN)/python -m pytest -m slow

check: lint test ## style, generated docs up to date, and make test

faults: setup ## kill, stop, cut, starve and alter real runs at POINTS=200 seeded points (docs/reliability.md)
	$(BIN)/python -m faults --points $(or $(POINTS),200) --seed $(or $(SEED),0) --work $(WORK)/faults $(FLAGS)

doors: setup dist ## the same bytes through each door: local, spark-submit, a cluster, other orders, locales, paths (docs/deployment.md)
	$(BIN)/python -m doors --work $(WORK)/doors $(FLAGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python docs/generate.py --check

docs: setup ## write the generated reference in docs/
	$(BIN)/python docs/generate.py

dist: dist/curation.zip ## the package as one zip, for spark-submit --py-files

dist/curation.zip: $(shell find curation -type f -not -path '*/__pycache__/*')
	mkdir -p dist && rm -f $@
	$(PYTHON) -m zipfile -c $@ curation

bench: setup ## measure beside the peer: make bench NAME=match FLAGS=... (all without NAME)
	for name in $(or $(NAME),$(basename $(notdir $(wildcard benchmarks/*.py)))); do \
	  $(BIN)/python benchmarks/$$name.py $(FLAGS) || exit 1; done

image: ## the container image for driver, executors and trainer (DEVICE=cpu or gpu)
	docker build -f docker/Dockerfile --build-arg DEVICE=$(or $(DEVICE),cpu) -t curation:$(or $(DEVICE),cpu) .

ingest: setup ## SOURCES... -> POOL
	$(CURATE) ingest $(SOURCES) --out $(POOL) $(FLAGS)

download: setup ## the images of the URL pairs of POOL -> the pool IMAGES, e.g. FLAGS='--contact URL'
	$(CURATE) download $(POOL) --out $(IMAGES) $(FLAGS)

metadata: setup ## an entry list: make metadata WORDNET=DIR OUT=DIR, or FLAGS='--dump de=FILE --pageviews FILE' (metadata/)
	$(CURATE) metadata $(if $(WORDNET),--wordnet $(WORDNET)) --out $(OUT) $(FLAGS)

embed: setup ## image and caption embeddings of POOL
	$(CURATE) score $(POOL) image_embedding caption_embedding $(FLAGS)

score: setup ## CLIP scores of POOL, plain and number-masked
	$(CURATE) score $(POOL) clip_score number_masked_clip_score $(FLAGS)

balance: setup ## MetaCLIP balancing of POOL into OUT
	$(CURATE) run metaclip $(POOL) $(OUT) $(FLAGS)

prune: setup ## WFPP word-frequency pruning of POOL into OUT
	$(CURATE) run wfpp $(POOL) $(OUT) $(FLAGS)

dedup: setup ## near-duplicate pictures of POOL: a stage table in the store
	$(JOB)/dedup_embeddings.py --pairs $(POOL) $(FLAGS)

shards: setup ## the whole recipe `full` on POOL: subset, tar shards, manifest in OUT
	$(CURATE) run full $(POOL) $(OUT) $(FLAGS)

verify: setup ## read the shards of OUT as the trainer would, name every fault
	$(CURATE) verify $(OUT)

train: setup ## train on the shards of OUT, into RUN (SCALE=tiny)
	$(CURATE) train $(OUT) --scale $(or $(SCALE),tiny) --out $(RUN) $(FLAGS)

report: setup ## the HTML report of OUT
	$(CURATE) report $(OUT)

clean: ## remove what was made here, downloads included (not .venv)
	rm -rf dist build $(WORK) *.egg-info
