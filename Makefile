# The commands of the repository. They need Node 20 or newer, npm and make.

.PHONY: help demo demo-sql demo-stop build check test docs stress test-citus test-container bench package dist install uninstall installcheck
.DEFAULT_GOAL := help

# npm writes this file at the end of an installation.
modules := node_modules/.package-lock.json
bench_modules := tests/bench/$(modules)
application_modules := tests/applications/$(modules)
package_modules := tests/package/$(modules)
tool_modules := tests/tools/$(modules)
# Compiles TypeScript once; starts in half the time of tsx.
node := node --import ./tests/support/typescript.mjs
# What make check remembers of files that have not changed.
cache := node_modules/.cache/rolecall

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '%-20s %s\n' "$$name" "$$text"; done

demo: $(modules) ## start a PostgreSQL with the extension and an application in it, and show what each role can do; PG=14 picks the version
	@$(node) tests/demo/demo.ts

demo-sql: $(modules) ## a prompt for SQL on that server, where there is no psql; AS=clinic_raw logs in as that role
	@$(node) tests/demo/sql.ts

demo-stop: $(modules) ## stop that server and remove it
	@$(node) tests/demo/stop.ts

test: $(modules) $(application_modules) $(package_modules) $(tool_modules) ## run every test on every PostgreSQL version; PG="14 18" picks versions, ONLY=text files by path
	@$(node) tests/run.ts

stress: $(modules) ## many connections call for the same names at once, then for everything; and what is drawn at random; CONNECTIONS=48 DATABASES=4 ROUNDS=20 MINUTES=5 DOCUMENTS=2000 SEED=1, PG and ONLY as for test
	@node --import tsx tests/stress.ts

check: $(modules) $(application_modules) $(bench_modules) $(package_modules) $(tool_modules) ## types, lint, format, and whether sql/ and extension/ are what the generator makes
	npx tsc --noEmit --incremental --tsBuildInfoFile $(cache)/types
	npx eslint --cache --cache-strategy content --cache-location $(cache)/lint .
	npx prettier --cache --cache-strategy content --cache-location $(cache)/format --check .
	npx tsx generator/build.ts --check

docs: $(modules) ## run the sessions with psql in README.md and docs/ again, and write down what they print
	@node --import tsx tests/docs/write.ts

build: $(modules) ## generate sql/, extension/ and the reference page
	npx tsx generator/build.ts

test-citus: $(modules) ## a small test on the Citus cluster whose coordinator CITUS_URL names
	@node --import tsx --test tests/citus/citus.ts

test-container: $(modules) ## the extension on Debian's PostgreSQL in containers, and the image for users; PG="15 18" picks versions
	@node --import tsx tests/container/run.ts

bench: $(modules) $(bench_modules) ## measure against the bare statements and other tools; PG=17 picks the version, ONLY=text a benchmark, SIZE=small is quick
	@node --import tsx tests/bench/bench.ts

package: $(modules) ## make the npm package in dist/npm/
	npx tsx generator/package.ts

dist: ## make the release dist/rolecall-VERSION.tar.gz from the last commit
	@mkdir -p dist
	@name=rolecall-$$(git show HEAD:extension/rolecall.control | sed -n "s/^default_version = '\(.*\)'/\1/p") && \
	git -c tar.umask=0022 archive --prefix=$$name/ --output=dist/$$name.tar HEAD && \
	gzip -9nf dist/$$name.tar && echo dist/$$name.tar.gz

# These need no Node: see pgxs.mk.
install: ## install the extension into the server that PG_CONFIG belongs to
uninstall: ## remove it from there
installcheck: ## run the pgTAP files on a running server where it is installed
install uninstall installcheck:
	@$(MAKE) --no-print-directory -f pgxs.mk $@

$(modules): package.json package-lock.json
	npm ci
	@touch $@

tests/%/$(modules): tests/%/package.json tests/%/package-lock.json
	cd tests/$* && npm ci
	@touch $@
