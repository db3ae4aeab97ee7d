# SPDX-License-Identifier: GPL-2.0-or-later
#
# make                            build/dstfs, build/dstd, build/dstctl
# make test-unit                  build the unit tests and run them
# make check                      everything that is tested, see scripts/check
# make sim                        the simulator, build/sim: see test/sim/sim.h
# make fuzz                       the fuzzers of test/fuzz, with clang: build/fuzz/test/fuzz/*
# make install | uninstall        DESTDIR= PREFIX=/usr/local
# make SANITIZE=address,undefined BUILD=build/asan
#
# V=1 shows the commands, WERROR=1 makes warnings fatal; CC, CFLAGS, CPPFLAGS, LDFLAGS are yours.

VERSION    := 0.1.0
PREFIX     ?= /usr/local
BUILD      ?= build
CFLAGS     ?= -O2 -g
PKG_CONFIG ?= pkg-config
OBJCOPY    ?= objcopy
V          ?= 0
WERROR     ?= 0
SANITIZE   ?=

PKGS := fuse3 libevent_core libevent_pthreads libxxhash jansson inih

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	    -Wvla -Wundef -Wwrite-strings -Wformat=2 -Wno-unused-parameter
ifneq ($(WERROR),0)
WARNINGS += -Werror
endif

# Asserts stay on: no NDEBUG, in any build.
DST_CFLAGS := -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DFUSE_USE_VERSION=314 \
	      -DDST_VERSION_TEXT='"$(VERSION)"' -I. $(WARNINGS) -pthread \
	      $(shell $(PKG_CONFIG) --cflags $(PKGS))
DST_LIBS   := -Wl,--as-needed $(shell $(PKG_CONFIG) --libs $(PKGS)) -pthread
ifneq ($(SANITIZE),)
DST_CFLAGS += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer
DST_LIBS   += -fsanitize=$(SANITIZE)
endif

compile = $(CC) $(CFLAGS) $(DST_CFLAGS) $(CPPFLAGS) -MMD -MP
link    = $(CC) $(CFLAGS) $(DST_CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) \
	  -Wl,--start-group $(filter %.a,$^) -Wl,--end-group
quiet   = $(if $(filter 1,$(V)),,@printf '  %-4s %s\n' '$(1)' '$(2)';)
room    = $(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out %/main.c,$(wildcard $(1)/*.c)))

PROGRAMS := $(addprefix $(BUILD)/,dstfs dstd dstctl)
COMMON   := $(BUILD)/libcommon.a
DSTFS    := $(BUILD)/libdstfs.a $(COMMON)
SERVER   := $(BUILD)/libserver.a $(COMMON)

all: $(PROGRAMS)

# All but the mains goes through archives, so that a test links just what it needs.
$(BUILD)/libcommon.a: $(call room,common)
$(BUILD)/libdstfs.a: $(call room,dstfs)
$(BUILD)/libserver.a: $(call room,server)
$(BUILD)/libdstctl.a: $(call room,dstctl)

$(BUILD)/dstfs: $(BUILD)/obj/dstfs/main.o $(DSTFS)
$(BUILD)/dstd: $(BUILD)/obj/server/main.o $(SERVER)
$(BUILD)/dstctl: $(BUILD)/obj/dstctl/main.o $(BUILD)/libdstctl.a $(DSTFS)

$(PROGRAMS):
	$(call quiet,LD,$@)$(link) $(DST_LIBS)

$(BUILD)/%.a: $(BUILD)/flags
	@mkdir -p $(@D)
	$(call quiet,AR,$@)rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)

$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call quiet,CC,$<)$(compile) -c -o $@ $<

# Holds what things are compiled with; changes, and so rebuilds them, when that does.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@flags='$(subst ','\'',$(compile) $(LDFLAGS) $(DST_LIBS))'; \
	[ "$$flags" = "$$(cat $@ 2>/dev/null)" ] || printf '%s\n' "$$flags" >$@

# Tests. A unit test or fuzzer links the room whose headers it includes.
UNIT  := $(patsubst %.c,$(BUILD)/%,$(wildcard test/unit/test_*.c))
FUZZ  := $(patsubst %.c,$(BUILD)/%,$(wildcard test/fuzz/*.c))
TOOLS := $(patsubst %.c,$(BUILD)/%,$(filter-out %_preload.c,$(wildcard test/tools/*.c))) \
	 $(patsubst %.c,$(BUILD)/%.so,$(wildcard test/tools/*_preload.c))

including = $(patsubst %.c,$(BUILD)/%,$(shell grep -sl '"$(1)/' $(wildcard test/*/*.c)))

$(UNIT) $(FUZZ) $(filter-out %.so,$(TOOLS)): $(BUILD)/%: $(BUILD)/obj/%.o
# A tool of several files has a folder for those beside its main one.
$(BUILD)/test/tools/rawclient: $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard test/tools/rawclient/*.c))
$(call including,dstfs): $(BUILD)/libdstfs.a
$(call including,server): $(BUILD)/libserver.a
$(BUILD)/test/unit/test_dstctl: | $(BUILD)/dstctl # which it runs
$(UNIT): DST_LIBS += -lcmocka
$(FUZZ): DST_LIBS += -fsanitize=fuzzer

$(UNIT) $(FUZZ) $(filter-out %.so,$(TOOLS)): $(COMMON)
	@mkdir -p $(@D)
	$(call quiet,LD,$@)$(link) $(DST_LIBS)

# Loaded into a program under test, whatever sanitizers that has.
$(BUILD)/test/tools/%.so: test/tools/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call quiet,LD,$@)$(compile) -fno-sanitize=all -fPIC -shared -o $@ $<

# The simulator holds a client and a server. Both have a lane, a worker and more by the same names, so
# each side is linked into one object, of which only test/sim's own functions stay visible. What the
# simulator replaces is left out, so that both sides find it there; memory and threads are renamed.
SIM_REPLACES := loop_event clock random stream_socket offload backend_file% log
SIM_LEAVES_OUT := $(SIM_REPLACES:%=$(BUILD)/obj/common/%.o) $(BUILD)/obj/dstfs/fuse_%.o \
		  $(BUILD)/obj/dstfs/witness.o \
		  $(BUILD)/obj/server/listener.o $(BUILD)/obj/server/state.o
SIM_RENAMES  := malloc calloc realloc free strdup strndup posix_memalign aligned_alloc memset
SIM_RENAMES  := $(foreach f,$(SIM_RENAMES),--redefine-sym $(f)=heap_$(f)) \
		--redefine-sym mmap64=heap_mmap --redefine-sym munmap=heap_munmap \
		--redefine-sym pthread_create=system_thread_create \
		--redefine-sym pthread_join=system_thread_join \
		--redefine-sym pthread_setname_np=system_thread_setname \
		--redefine-sym pthread_cond_timedwait=system_cond_timedwait \
		--redefine-sym pthread_cond_wait=system_cond_wait
SIM_SIDES    := $(BUILD)/obj/sim/client.o $(BUILD)/obj/sim/server.o
SIM_OBJECTS  := $(patsubst %.c,$(BUILD)/obj/%.o, \
		  $(filter-out test/sim/client.c test/sim/server.c,$(wildcard test/sim/*.c)))

$(BUILD)/obj/sim/libclient.a: $(filter-out $(SIM_LEAVES_OUT),$(call room,common) $(call room,dstfs))
$(BUILD)/obj/sim/libserver.a: $(filter-out $(SIM_LEAVES_OUT),$(call room,common) $(call room,server))
$(BUILD)/obj/sim/client.o: $(BUILD)/obj/test/sim/client.o $(BUILD)/obj/sim/libclient.a
$(BUILD)/obj/sim/server.o: $(BUILD)/obj/test/sim/server.o $(BUILD)/obj/sim/libserver.a

$(SIM_SIDES):
	$(call quiet,LD,$@)$(LD) -r -o $@ $^ && $(OBJCOPY) $(SIM_RENAMES) \
		--wildcard --keep-global-symbol='sim_$(basename $(@F))_*' $@

$(BUILD)/sim: $(SIM_OBJECTS) $(SIM_SIDES) $(COMMON)
	$(call quiet,LD,$@)$(link) $(DST_LIBS)

sim: $(BUILD)/sim

test-programs: $(UNIT) $(TOOLS) $(BUILD)/sim

test-unit: $(UNIT)
	test/run --build $(BUILD) $(UNIT)

check:
	scripts/check

fuzz:
	$(MAKE) BUILD=$(BUILD)/fuzz CC=clang SANITIZE=fuzzer-no-link,address,undefined fuzzers

fuzzers: $(FUZZ)

# Installation: uninstall removes what install put there, and nothing else.
BINDIR  = $(DESTDIR)$(PREFIX)/bin
SBINDIR = $(DESTDIR)$(PREFIX)/sbin
MANDIR  = $(DESTDIR)$(PREFIX)/share/man
DOCDIR  = $(DESTDIR)$(PREFIX)/share/doc/dstfs
COMPDIR = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
MANUALS = $(wildcard man/*.[1-8])
UNITDIR = $(DESTDIR)$(PREFIX)/lib/systemd/system
UNITS   = dstd.service dstfs@.service
DOCS    = dstfs.conf.example README.md LICENSE

install: all
	install -d $(BINDIR) $(SBINDIR) $(DOCDIR) $(COMPDIR) $(UNITDIR)
	install -m 755 $(BUILD)/dstfs $(BUILD)/dstctl $(BINDIR)
	install -m 755 $(BUILD)/dstd $(SBINDIR)
	install -m 644 $(DOCS) $(DOCDIR)
	for m in $(MANUALS); do install -D -m 644 $$m $(MANDIR)/man$${m##*.}/$${m##*/} || exit; done
	for p in dstfs dstd dstctl; do \
		install -m 644 scripts/bash-completion/dstfs $(COMPDIR)/$$p || exit; done
	for u in $(UNITS); do \
		sed 's,@BINDIR@,$(PREFIX)/bin,; s,@SBINDIR@,$(PREFIX)/sbin,' scripts/systemd/$$u.in \
			>$(UNITDIR)/$$u && chmod 644 $(UNITDIR)/$$u || exit; done

uninstall:
	rm -f $(BINDIR)/dstfs $(BINDIR)/dstctl $(SBINDIR)/dstd
	rm -f $(addprefix $(DOCDIR)/,$(DOCS)) $(addprefix $(COMPDIR)/,dstfs dstd dstctl)
	rm -f $(addprefix $(UNITDIR)/,$(UNITS))
	for m in $(MANUALS); do rm -f $(MANDIR)/man$${m##*.}/$${m##*/}; done
	-rmdir $(DOCDIR) 2>/dev/null

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

FORCE:
.PHONY: all sim test-programs test-unit check fuzz fuzzers install uninstall clean FORCE
.SECONDARY:
