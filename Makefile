# Everything here works on a bare Debian or Ubuntu with python3, git and make; `make` alone says what there is.

python := .venv/bin/python
berth := .venv/bin/berth
# official base images where Docker Hub can be reached, else stand-ins, which the target `images` has made
prefix = BERTH_TEST_BASE_IMAGE_PREFIX=$${BERTH_TEST_BASE_IMAGE_PREFIX-$$($(berth) base-images prefix)}

.DEFAULT_GOAL := help
.PHONY: help demo lint check test test-stacks bench fmt docker base-images clean dev images

help: ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: ## A server, a sample application, three pushes; stays up until Ctrl-C (CI=1: ends by itself)
	@.ci/bootstrap
	@$(python) -m bot.demo

lint: dev ## Style, types and architecture
	$(python) -m ruff check
	$(python) -m ruff format --check
	$(python) -m mypy
	.venv/bin/lint-imports

check: lint ## The same and the fast tests (no Docker)
	$(python) -m pytest -q -m "not docker and not slow" -n 2 --dist loadfile --reruns 1

test: dev docker images ## All tests: those without Docker with the branch coverage of bot/, then those with a real Docker
	.ci/with-postgresql $(python) -m pytest -q -m "not docker and not stacks" -n 2 --dist loadfile --reruns 1 --durations=15 --cov=bot --cov-branch --cov-report=term:skip-covered --cov-fail-under=85
	$(prefix) .ci/with-postgresql $(python) -m pytest -m "docker and not stacks" -n 3 --dist loadfile --reruns 1 --durations=25

test-stacks: dev docker images ## Real builds of applications of every stack, with their toolchains
	$(prefix) $(python) -m pytest -m stacks --durations=0

bench: dev docker images ## Measure Berth beside the same work by hand
	$(prefix) $(python) -m tests.bench

fmt: dev ## Format, and mend what can be mended mechanically
	$(python) -m ruff check --fix
	$(python) -m ruff format

docker: ## Make sure that a Docker Engine runs (as root: installs and starts it)
	@.ci/bootstrap
	@$(python) -m bot.demo.docker_engine

base-images: docker ## Build stand-ins for base images from Debian packages (for machines without Docker Hub)
	@$(berth) base-images build

clean: ## Remove the demo with all that it made, the virtual environment and caches
	@if [ -x $(python) ] && [ -d .berth/demo ]; then $(python) -m bot.demo --remove; fi
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage* .berth
	@find bot tests -name __pycache__ -prune -exec rm -rf {} +

dev:
	@.ci/bootstrap dev

images: docker
	@$(berth) base-images build --if-needed
