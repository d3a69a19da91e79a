# Installs the extension into the server that PG_CONFIG belongs to, by PGXS. It needs make and the server's
# development files, not Node. The Makefile hands install, uninstall and installcheck over to here, because PGXS has
# its own meaning for other targets of that file.

EXTENSION = extension/rolecall
DATA = $(wildcard extension/rolecall--*.sql)
# PGXS would run pg_regress; the tests are pgTAP.
NO_INSTALLCHECK = 1

PG_CONFIG ?= pg_config
PGXS := $(shell '$(PG_CONFIG)' --pgxs)
ifeq ($(wildcard $(PGXS)),)
$(error $(PG_CONFIG) knows no PGXS makefile: install the development files of the server, or see docs/installation.md)
endif
include $(PGXS)

# A server, and a superuser's connection to it by way of PGHOST and the like, with pgTAP installed; pg_prove.
PG_PROVE ?= pg_prove
TAP_FLAGS ?=
HELPERS = tests/pgtap/helpers.sql
TESTS ?= $(sort $(filter-out $(HELPERS),$(shell find tests/pgtap -name '*.sql')))
TEST_DATABASE ?= rolecall_installcheck

.PHONY: installcheck
installcheck:
	'$(bindir)/dropdb' --if-exists $(TEST_DATABASE)
	'$(bindir)/createdb' $(TEST_DATABASE)
	'$(bindir)/psql' -X -q -v ON_ERROR_STOP=1 -d $(TEST_DATABASE) -c 'CREATE EXTENSION rolecall' -c 'CREATE EXTENSION pgtap' -f $(HELPERS)
	$(PG_PROVE) $(TAP_FLAGS) --psql-bin '$(bindir)/psql' --dbname $(TEST_DATABASE) $(TESTS)
	'$(bindir)/dropdb' $(TEST_DATABASE)
