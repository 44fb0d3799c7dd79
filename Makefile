# Everything CI runs is a target a person can run. All builds are release builds: the C kernels are
# the product's speed, and a debug build of them is too slow to test with.

SWIFT   ?= swift
PREFIX  ?= /usr/local
RELEASE := -c release
# Tests use no @testable; saying so lets build and test share every object instead of compiling twice.
TESTING := $(RELEASE) --disable-testable-imports --disable-xctest
PARLEY  := .build/release/parley
MODEL   := weights/SmolLM2-135M-Instruct.Q4_1.gguf

.PHONY: help setup build test test-slow test-vocabularies fuzz test-tensorboard test-neon test-sanitizers demo weights weights-large weights-synthetic bench peers bench-peers bench-rollouts peers-train bench-train what-fits install lint format arrows clean

help:     ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:    ## Install what is missing: OpenMP, pkg-config, pip, OpenBLAS for the tests (quick when all is there)
	@bash tools/setup.sh

build: setup    ## Build the program: .build/release/parley
	$(SWIFT) build $(RELEASE)

test: setup weights    ## Build and pass every test
	@$(SWIFT) test $(TESTING) || { echo 'make test: FAILED, see the lines marked with ✘ or error above.'; exit 1; }
	@echo 'make test: all tests passed.'

test-slow: setup weights-large    ## Kill training fifty times and see it end the same; judge a real 1.5B model by float64 (minutes)
	PARLEY_KILLS=50 PARLEY_LARGE=1 $(SWIFT) test $(TESTING) --filter 'killedAgainAndAgain|largeModel'

test-vocabularies: setup    ## Compare token ids with the published vectors in the folder VOCABULARIES (models/ of llama.cpp's source)
	PARLEY_VOCABULARIES='$(abspath $(VOCABULARIES))' $(SWIFT) test $(TESTING) --filter VectorTests

fuzz: setup    ## Fuzz the readers of models, adapters, tokenizers and templates: MINUTES=10 for each kind
	@bash tools/fuzz.sh

test-tensorboard: build weights    ## Read what training writes for TensorBoard with the package itself (installs it under .build)
	@bash tools/test_tensorboard.sh

test-neon:  ## Check the NEON kernels against scalar: built for aarch64, run by QEMU (installs both from Debian)
	@bash tools/test_neon.sh

test-sanitizers:  ## Check every kernel table of this processor under the address, undefined-behaviour and thread sanitizers
	@bash tools/test_sanitizers.sh

demo: build weights    ## Run INPO on a small model into demo/, or go on with a run begun there
	$(PARLEY) inpo --config examples/demo.yaml --out demo $$(test -d demo && echo --resume)

weights: setup    ## Fetch or make the small models named in weights/MANIFEST and check their SHA-256
	@python3 weights/fetch.py

weights-large: setup    ## Fetch a real 1.5B model named in weights/MANIFEST-large, for the slow tests (1.1 GB)
	@python3 weights/fetch.py large

weights-synthetic: weights peers    ## Make models of LLaMA 1B and 8B shapes with random weights, to measure with (17 GB for a while)
	peers/venv/bin/python tools/make_synthetic.py

bench: build weights    ## Measure prefill, decode, batched decode and training rates
	$(PARLEY) bench $(MODEL)

peers:    ## Build llama.cpp and ik_llama.cpp for this processor, into peers/ (minutes, once)
	@bash tools/build_peers.sh

bench-peers: build weights-synthetic    ## Race them on the same files, append the table to LOG.md (hours; see tools/bench_peers.py --help)
	@python3 tools/bench_peers.py --append LOG.md

bench-rollouts: build weights    ## Measure sampling and scoring at scale, beside the peers of make peers, append the table to LOG.md (ten minutes a small model)
	@python3 tools/bench_rollouts.py --append LOG.md

peers-train:    ## Install torch for CPUs, transformers and PEFT into peers/train-venv
	@test -x peers/train-venv/bin/python || python3 -m venv peers/train-venv
	@peers/train-venv/bin/pip install --quiet torch==2.13.0+cpu transformers==5.24.0 peft==0.21.2 gguf

bench-train: build weights-synthetic peers-train    ## Race a training step against torch and PEFT, append the table to LOG.md
	@python3 tools/bench_train.py --append LOG.md

what-fits: build weights-synthetic    ## Train two steps of each model and size, write memory and rates into README.md (an hour)
	@python3 tools/what_fits.py --write README.md

install: build    ## Copy the program to PREFIX/bin (PREFIX=/usr/local)
	install -d '$(DESTDIR)$(PREFIX)/bin'
	install -m 755 $(PARLEY) '$(DESTDIR)$(PREFIX)/bin/parley'

lint: arrows    ## Check formatting, scripts, prompts, fixtures and arrows
	$(SWIFT) format lint -r --strict Sources Tests Package.swift
	@python3 tools/check_scripts.py
	@python3 tools/check_prompts.py
	@python3 tools/check_fixtures.py

format:   ## Format all Swift files in place
	$(SWIFT) format -i -r Sources Tests Package.swift

arrows:   ## Check that every target imports only what the house allows
	@python3 tools/arrows.py --self-test
	@python3 tools/arrows.py

clean:    ## Remove what was built; models and runs stay
	rm -rf .build
