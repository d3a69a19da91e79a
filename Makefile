# The commands of the repository. They need Node 20 or newer, npm and make.

.PHONY: help build check test
.DEFAULT_GOAL := help

# npm writes this file at the end of an installation.
modules := node_modules/.package-lock.json

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '%-20s %s\n' "$$name" "$$text"; done

test: $(modules) ## run every test on every PostgreSQL version; PG="14 18" picks versions, ONLY=text files by path
	@node --import tsx tests/run.ts

check: $(modules) ## types, lint, format, and whether sql/ and extension/ are what the generator makes
	npx tsc --noEmit
	npx eslint .
	npx prettier --check .
	npx tsx generator/build.ts --check

build: $(modules) ## generate sql/, extension/ and the reference page
	npx tsx generator/build.ts

$(modules): package.json package-lock.json
	npm ci
	@touch $@
