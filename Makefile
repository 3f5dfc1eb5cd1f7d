# SPDX-License-Identifier: Apache-2.0
# The thin front: each target is one command that also works without make.
.DEFAULT_GOAL := build
PREFIX ?= /usr/local
BUILD := build

.PHONY: build run test lint bench fuzz simulate soak install clean help

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18

build: ## build/serin
	@tools/install-deps build
	@[ -f $(BUILD)/build.ninja ] || meson setup $(BUILD)
	@ninja -C $(BUILD) serin

run: build ## a server with the example agents, until Ctrl-C
	@tools/run-example

test: ## everything: unit tests, sanitizers, lint, scenarios; ends with "N passed, N failed"
	@tools/run-tests

lint: ## layers, layout, clang-tidy
	@tools/run-tests --only lint

bench: ## figures, each beside a named peer in the same run; FIGURES="http push"
	@tools/install-deps build bench
	@[ -f $(BUILD)/build.ninja ] || meson setup $(BUILD)
	@ninja -C $(BUILD) bench-programs
	@bench/run $(FIGURES)

fuzz: ## fuzz what reads bytes from outside; SECONDS_EACH=60
	@tools/install-deps build test
	@tools/fuzz $(or $(SECONDS_EACH),60)

simulate: build ## the analysis's tables and traps through the real controller; RUNS=2000 SEED=1
	@tests/simulate/check_simulations.py $(BUILD)/serin --runs $(or $(RUNS),2000) --seed $(or $(SEED),1)

soak: ## the long forms of the proofs: hours; see tools/soak
	@tools/soak

install: build ## to DESTDIR and PREFIX
	@meson configure $(BUILD) --prefix=$(PREFIX)
	@meson install -C $(BUILD)

clean: ## forget what was built
	@rm -rf $(BUILD)
