# sluice. `make help` lists the targets.

PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR    ?= /lib/systemd/system
BUILD      ?= build
CC         ?= cc
V          ?= 0

ifeq ($(V),0)
Q = @
say = @printf '  %-7s %s\n'
else
Q =
say = @:
endif

# --- flags --------------------------------------------------------------------------------------------------------
VERSION  := $(shell cat VERSION)
PACKAGES := libwebsockets libuv libcurl libcjson libsodium inih sqlite3
SYSTEMD  := $(shell pkg-config --exists libsystemd && echo libsystemd)
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror=implicit
CFLAGS   ?= -O2 -g
HARDEN   := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
ALL_CPPFLAGS = -D_GNU_SOURCE -DSLUICE_VERSION='"$(VERSION)"' $(if $(SYSTEMD),-DSLUICE_SYSTEMD) -Iinclude -I$(BUILD)/gen \
               $(shell pkg-config --cflags-only-I $(PACKAGES) $(SYSTEMD)) $(CPPFLAGS)
ALL_CFLAGS   = -std=c17 $(WARNINGS) $(if $(SANITIZE),,$(HARDEN)) $(CFLAGS) $(SANITIZE) -pthread
ALL_LDFLAGS  = -pie -Wl,-z,relro,-z,now $(SANITIZE) -pthread $(LDFLAGS)
LIBS         = $(shell pkg-config --libs $(PACKAGES) $(SYSTEMD)) -lm

# --- layers, lowest first; what each may use stands in tools/layers.txt --------------------------------------------
LAYERS := base config proto http limit loop seal store upstream auth conversation response edge admin serve
# Every archive in link order: highest first.
ORDER  := serve admin edge response conversation auth upstream store seal loop limit http proto config base

archive = $(BUILD)/lib/$(1).a
objects = $(patsubst src/%.c,$(BUILD)/obj/%.o,$(wildcard src/$(1)/*.c))
MAINS   := src/serve/sluiced.c src/admin/sluicectl.c
main_objects = $(patsubst src/%.c,$(BUILD)/obj/%.o,$(MAINS))
ARCHIVES := $(foreach l,$(ORDER),$(call archive,$(l)))

PROGRAMS := $(BUILD)/sluiced $(BUILD)/sluicectl $(BUILD)/sluice-demo-model
UNIT     := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))

# Programs of the bench that are made of the server's own code.
OWN_CODE := $(BUILD)/bench/fill $(BUILD)/bench/seal

FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))

.PHONY: all help deps run test unit scenario browser lint sanitize tsan fuzz fuzz-programs torture bench bench-smoke flame bench-faults restarts install clean
.DELETE_ON_ERROR:
.SECONDARY:

all: $(PROGRAMS)
	@:

help:
	@sed -n 's/^#: //p' Makefile

#: make deps      install what is missing (Debian packages, and npm packages for the tests)
deps:
	$(Q)tools/install-dependencies

#: make all       build build/sluiced, build/sluicectl, build/sluice-demo-model
#: make run       install what is missing, build, start the demo model and sluiced, print a sign-in address
run:
	$(Q)tools/install-dependencies build
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tools/run-demo $(BUILD)

#: make test      install what is missing, build, run every test
test:
	$(Q)tools/install-dependencies test
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(MAKE) --no-print-directory unit
	$(Q)$(MAKE) --no-print-directory scenario
	$(Q)$(MAKE) --no-print-directory browser

#: make unit      the unit tests (cmocka)
unit: $(UNIT)
	$(Q)tools/run-unit $(UNIT)

#: make scenario  the scenario suite: real server, real SDK, misbehaving upstream (node:test)
scenario: all
	$(Q)BUILD=$(abspath $(BUILD)) tools/run-node-tests tests/scenario

#: make browser   the page in headless Chromium
browser: all
	$(Q)BUILD=$(abspath $(BUILD)) tools/run-node-tests tests/browser

#: make lint      formatter, static analysers, layer check, call-cycle check
lint:
	$(Q)tools/install-dependencies lint
	$(Q)tools/lint

#: make sanitize  the whole suite under AddressSanitizer and UBSan, with two loops
sanitize:
	$(Q)tools/install-dependencies test
	$(Q)SLUICE_SERVER_LOOPS=2 $(MAKE) --no-print-directory BUILD=$(BUILD)/sanitize CFLAGS='-O1 -g -fno-omit-frame-pointer' \
		SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=undefined' all unit scenario

#: make tsan      the whole suite under ThreadSanitizer, with two loops
tsan:
	$(Q)tools/install-dependencies test
	$(Q)SLUICE_SERVER_LOOPS=2 $(MAKE) --no-print-directory BUILD=$(BUILD)/tsan \
		CFLAGS='-O1 -g -Wno-maybe-uninitialized' SANITIZE=-fsanitize=thread all unit scenario

#: make fuzz      the fuzz targets in tests/fuzz (clang), FUZZ_SECONDS each, or those that FUZZ_TARGETS names
fuzz:
	$(Q)tools/install-dependencies fuzz
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz CC=clang CFLAGS='-O1 -g -fno-omit-frame-pointer' \
		SANITIZE='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined' fuzz-programs
	$(Q)tools/run-fuzz $(BUILD)/fuzz $(FUZZ_SECONDS) $(FUZZ_TARGETS:%=$(BUILD)/fuzz/%)

#: make torture   thousands of random schedules of cuts, resumes, cancels and restarts, a thousand kills among them
torture: all
	$(Q)tools/install-dependencies test
	$(Q)BUILD=$(abspath $(BUILD)) tests/torture.js

#: make bench     every row of the budget, beside a bare relay and today's peers; writes docs/performance.md (BENCH: options)
bench: all $(OWN_CODE)
	$(Q)tools/install-dependencies bench
	$(Q)BUILD=$(abspath $(BUILD)) tests/bench/run.mjs $(BENCH)

#: make bench-smoke  a minute of it, which shows only that it runs
bench-smoke: all $(OWN_CODE)
	$(Q)tools/install-dependencies test
	$(Q)BUILD=$(abspath $(BUILD)) tests/bench/run.mjs --smoke

#: make flame     a flame graph of the server under load, docs/performance/flame.svg
flame: all
	$(Q)tools/install-dependencies bench
	$(Q)BUILD=$(abspath $(BUILD)) tests/bench/flame.mjs docs/performance/flame.svg

#: make bench-faults  what a kill loses, how soon a cancel reaches the model, what a live response weighs
bench-faults: all
	$(Q)tools/install-dependencies test
	$(Q)BUILD=$(abspath $(BUILD)) tests/bench/faults.mjs

#: make restarts  restart it twenty times under load and count who was refused
restarts: all
	$(Q)BUILD=$(abspath $(BUILD)) tests/bench/restarts.mjs

# --- programs -----------------------------------------------------------------------------------------------------
$(BUILD)/sluiced: $(BUILD)/obj/serve/sluiced.o $(ARCHIVES)
$(BUILD)/sluicectl: $(BUILD)/obj/admin/sluicectl.o $(ARCHIVES)
$(BUILD)/sluiced $(BUILD)/sluicectl:
	$(say) LINK $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/sluice-demo-model: $(call objects,demo) $(call archive,base)
	$(say) LINK $@
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

define archive_rule
$(call archive,$(1)): $(filter-out $(main_objects),$(call objects,$(1)))
	$$(say) AR $$@
	$$(Q)mkdir -p $$(@D) && rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach l,$(LAYERS),$(eval $(call archive_rule,$(l))))

$(BUILD)/obj/%.o: src/%.c
	$(say) CC $<
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CPPFLAGS) -Isrc/$(firstword $(subst /, ,$*)) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# Migrations become one C array, so that the server carries its own schema.
$(BUILD)/gen/migrations.inc: $(wildcard db/*.sql) tools/embed-migrations
	$(say) GEN $@
	$(Q)mkdir -p $(@D) && tools/embed-migrations $(sort $(wildcard db/*.sql)) > $@
$(call objects,store): | $(BUILD)/gen/migrations.inc

# --- unit tests: tests/unit/test_LAYER_*.c links LAYER and what it may use ------------------------------------------
layer_of = $(word 2,$(subst _, ,$(basename $(notdir $(1)))))
# Words of the form LAYER:LOWER, asked for once.
stands_on := $(shell tools/layers --below | awk '{for (i = 2; i <= NF; i++) print $$1 $$i}')
below    = $(foreach l,$(ORDER),$(if $(filter $(l) $(1):$(l),$(1) $(filter $(1):%,$(stands_on))),$(call archive,$(l))))

define unit_rule
$(BUILD)/tests/$(notdir $(basename $(1))): $(1) $(call below,$(call layer_of,$(1)))
	$$(say) TEST $$@
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(CC) $$(ALL_CPPFLAGS) -Isrc/$(call layer_of,$(1)) -Itests/unit $$(ALL_CFLAGS) $$(ALL_LDFLAGS) -MMD -MP -o $$@ \
		$(1) $(call below,$(call layer_of,$(1))) $$(LIBS) -lcmocka
endef
$(foreach t,$(wildcard tests/unit/test_*.c),$(eval $(call unit_rule,$(t))))

#: make check-LAYER    the unit tests of one layer
check-%:
	$(Q)$(MAKE) --no-print-directory $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_$*_*.c))
	$(Q)tools/run-unit $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_$*_*.c))

# --- fuzz targets: tests/fuzz/fuzz_*.c links the layers that it includes and what they may use ------------------------
fuzz_layers   = $(shell sed -n 's|^\#include "\([a-z]*\)/.*|\1|p' $(1) tests/fuzz/fuzz.h | sort -u)
fuzz_archives = $(sort $(foreach l,$(call fuzz_layers,$(1)),$(call below,$(l))))

define fuzz_rule
$(BUILD)/$(1): tests/fuzz/$(1).c $(call fuzz_archives,tests/fuzz/$(1).c)
	$$(say) FUZZ $$@
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(CC) $$(ALL_CPPFLAGS) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) -fsanitize=fuzzer -MMD -MP -o $$@ \
		tests/fuzz/$(1).c -Wl,--start-group $(call fuzz_archives,tests/fuzz/$(1).c) -Wl,--end-group $$(LIBS)
endef
$(foreach t,$(FUZZ_TARGETS),$(eval $(call fuzz_rule,$(t))))

fuzz-programs: $(FUZZ_TARGETS:%=$(BUILD)/%)
	@:

# --- what fills a store for benchmarks, and what seals: the server's own code up to a layer -----------------------------
define own_code_rule
$(BUILD)/bench/$(1): tests/bench/$(1).c $(call below,$(2))
	$$(say) LINK $$@
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(CC) $$(ALL_CPPFLAGS) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) -MMD -MP -o $$@ tests/bench/$(1).c $(call below,$(2)) $$(LIBS)
endef
$(eval $(call own_code_rule,fill,conversation))
$(eval $(call own_code_rule,seal,seal))

# --- install ------------------------------------------------------------------------------------------------------
#: make install   DESTDIR and PREFIX are honoured
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/sluice/www $(DESTDIR)$(SYSCONFDIR)/sluice $(DESTDIR)$(UNITDIR) \
		$(DESTDIR)$(PREFIX)/share/doc/sluice/docs/performance
	install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	cp -R www/. $(DESTDIR)$(PREFIX)/share/sluice/www
	install -m 644 README.md LICENSE $(DESTDIR)$(PREFIX)/share/doc/sluice
	install -m 644 docs/*.* $(DESTDIR)$(PREFIX)/share/doc/sluice/docs
	install -m 644 docs/performance/* $(DESTDIR)$(PREFIX)/share/doc/sluice/docs/performance
	for unit in sluiced.service sluiced.socket; do \
		sed 's|@PREFIX@|$(PREFIX)|g' systemd/$$unit > $(DESTDIR)$(UNITDIR)/$$unit || exit 1; \
	done
	test -e $(DESTDIR)$(SYSCONFDIR)/sluice/sluice.conf || \
		sed 's|@PREFIX@|$(PREFIX)|g' systemd/sluice.conf > $(DESTDIR)$(SYSCONFDIR)/sluice/sluice.conf

#: make clean     remove what was built
clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
