# SPDX-License-Identifier: GPL-2.0-or-later
# make            build/dstfs, build/dstd, build/dstctl
# make SANITIZE=address,undefined BUILD=build/asan
# make install DESTDIR= PREFIX=/usr/local

VERSION  := 0.1.0
PREFIX   ?= /usr/local
BUILD    ?= build
CC       ?= gcc
CFLAGS   ?= -O2 -g
V        ?= 0
WERROR   ?= 0
SANITIZE ?=

PKGS     := fuse3 libevent_core libxxhash jansson inih
PKG_CONFIG ?= pkg-config

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	    -Wvla -Wundef -Wwrite-strings -Wformat=2 -Wno-unused-parameter
ifneq ($(WERROR),0)
WARNINGS += -Werror
endif

DST_CFLAGS := -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DFUSE_USE_VERSION=314 \
	      -DDST_VERSION_TEXT='"$(VERSION)"' -I. $(WARNINGS) -pthread \
	      $(shell $(PKG_CONFIG) --cflags $(PKGS))
DST_LIBS   := $(shell $(PKG_CONFIG) --libs $(PKGS)) -pthread
ifneq ($(SANITIZE),)
DST_CFLAGS += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer
DST_LIBS   += -fsanitize=$(SANITIZE)
endif

COMMON := $(patsubst %.c,$(BUILD)/%.o,$(wildcard common/*.c))
DSTFS  := $(patsubst %.c,$(BUILD)/%.o,$(wildcard dstfs/*.c))
SERVER := $(patsubst %.c,$(BUILD)/%.o,$(wildcard server/*.c))
DSTCTL := $(patsubst %.c,$(BUILD)/%.o,$(wildcard dstctl/*.c))

quiet = $(if $(filter 1,$(V)),,@printf '  %-4s %s\n' '$(1)' '$(2)';)

all: $(BUILD)/dstfs $(BUILD)/dstd $(BUILD)/dstctl

$(BUILD)/dstfs: $(DSTFS) $(COMMON)
$(BUILD)/dstd: $(SERVER) $(COMMON)
$(BUILD)/dstctl: $(DSTCTL) $(COMMON)

$(BUILD)/dstfs $(BUILD)/dstd $(BUILD)/dstctl:
	$(call quiet,LD,$@)$(CC) $(CFLAGS) $(DST_CFLAGS) $(LDFLAGS) -o $@ $^ $(DST_LIBS)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call quiet,CC,$<)$(CC) $(CFLAGS) $(DST_CFLAGS) $(CPPFLAGS) -MMD -MP -c -o $@ $<

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

clean:
	rm -rf $(BUILD)

.PHONY: all clean
