#: restsip. What make can do:
#:   run            build and run the whole system until Ctrl-C
#:   up             the same in the background; when it is up, say where
#:   status         which programs are up, and where the system is
#:   down           stop it
#:   reset          stop it and forget its data
#:   all            install what the build needs, and build
#:   test           the test suite; test-long, asan, fuzz, bench: more of it
#:   install        programs, units, nginx's files, pages and SQL (see README.md)
#:   deps           install what build, run and tests need
#:   clean          forget what was built
#:   format, format-check, deps-check   for who changes the source
#: Variables:
#:   BUILD=DIR      where to build (several people can build one tree at once)
#:   V=1            show the commands
#:   SECONDS=N      how long `make fuzz` runs each target (60)
#:   SANITIZE=1     with AddressSanitizer and UndefinedBehaviorSanitizer
#:   PREFIX, SYSCONFDIR, DESTDIR   for `make install`
#:   RESTSIP_...    how `run` and `up` do it: at the top of deploy/local/restsip

BUILD ?= build
# Seen from here: the path of a checkout may have blanks, which make splits at.
override BUILD := $(subst $(CURDIR)/,,$(BUILD))
ifneq ($(words $(BUILD)),1)
$(error make cannot build into a path with a blank: $(BUILD))
endif
SANITIZE ?=
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
SHARE = $(PREFIX)/share/restsip
export BUILD SANITIZE

CC = gcc
quiet = $(if $(V),,@printf '  %-4s %s\n' $(1) $@; )
# What a compiler call is made of; CFLAGS and LDFLAGS are the caller's to add.
FLAGS := -std=c11 -D_GNU_SOURCE -g -fstack-protector-strong -fPIE \
	-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
LINK := -pie -Wl,-z,relro,-z,now
ifeq ($(SANITIZE),1)
# Sanitized code makes gcc see uninitialised values where there are none.
SAN := -fsanitize=address,undefined -fno-sanitize-recover=all
FLAGS += -O1 -fno-omit-frame-pointer $(SAN) -Wno-maybe-uninitialized
LINK += $(SAN)
else
FLAGS += -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
endif

pc = $(shell pkg-config --$(1) $(2) 2>/dev/null)
LIBS_COMMON := $(call pc,libs,libpq yajl openssl libidn2 expat zlib libsystemd) \
	-linih -lcrypt
LIBS_API := -lfcgi $(LIBS_COMMON) -lpthread
LIBS_STREAM := $(LIBS_API)
LIBS_CTL := $(call pc,libs,libpq openssl libidn2) -linih -lcrypt
LIBS_AGENT := -lre $(LIBS_COMMON) -lpthread

# An include names the folder: "parse/hdr.h", "common/log.h". tests/deps-check
# has which folder may include which.
INC_COMMON := -I. $(call pc,cflags,libpq yajl openssl)
INC_API := -Ifcgi-app $(INC_COMMON)
INC_CTL := -DCTL_SYSCONFDIR='"$(SYSCONFDIR)"' $(INC_COMMON)
# libre's pkg-config file lacks what its headers need.
INC_AGENT := -Isip-agent $(INC_COMMON) -isystem /usr/include/re \
	-DHAVE_INTTYPES_H -DHAVE_STDBOOL_H -DHAVE_STDLIB_H -DHAVE_INET6 \
	-DUSE_OPENSSL -DUSE_TLS

SRC_COMMON := $(wildcard common/*.c common/*/*.c)
SRC_SHARED := $(wildcard fcgi-app/shared/*.c)
SRC_API := $(wildcard fcgi-app/worker/*.c fcgi-app/resources/*.c)
SRC_STREAM := $(filter-out %/main.c, \
	$(wildcard fcgi-app/stream/*.c fcgi-app/stream/*/*.c))
SRC_AGENT := $(filter-out %/main.c, $(wildcard sip-agent/*.c sip-agent/*/*.c sip-agent/*/*/*.c))
SRC_CTL := $(wildcard ctl/*.c ctl/*/*.c)

AGENT_LIBS := $(BUILD)/libagent.a $(BUILD)/libcommon.a
SHARED_LIBS := $(BUILD)/libshared.a $(BUILD)/libcommon.a
API_LIBS := $(BUILD)/libapi.a $(SHARED_LIBS)
STREAM_LIBS := $(BUILD)/libstream.a $(SHARED_LIBS)

objects = $(patsubst %.c,$(BUILD)/%.o,$(1))
UNIT := $(patsubst tests/unit/%.c,$(BUILD)/unit/%, \
	$(wildcard tests/unit/test_*.c tests/unit/pg_*.c)) \
	$(BUILD)/clockstep.so $(BUILD)/fulldisk.so $(BUILD)/callload
# Built with clang in a folder of their own: see tests/fuzz/run.
FUZZ := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
# A program is built once its main exists.
PROGRAMS := $(BUILD)/restsip-supervisor \
	$(if $(wildcard fcgi-app/main.c),$(BUILD)/restsip-api) \
	$(if $(wildcard fcgi-app/stream/main.c),$(BUILD)/restsip-stream) \
	$(if $(wildcard sip-agent/main.c),$(BUILD)/restsip-agent) \
	$(if $(wildcard ctl/main.c),$(BUILD)/restsipctl)

.PHONY: all help programs unit fuzzers run up down status reset test test-long asan bench \
	fuzz format format-check deps-check deps install clean
.DELETE_ON_ERROR:
.SECONDARY:

all:
	@deploy/local/deps build
	@+$(MAKE) --no-print-directory programs

help:
	@sed -n 's/^#: \{0,1\}//p' Makefile

programs: $(PROGRAMS)

unit: $(UNIT)

fuzzers: $(FUZZ)

run up down status reset:
	@deploy/local/restsip $@

test:
	@deploy/local/deps build run test
	@tests/run

# Whether each include goes the way that it may.
deps-check:
	@tests/deps-check

test-long:
	@deploy/local/deps build run test
	@RESTSIP_LONG=1 tests/run

asan:
	@deploy/local/deps build run test
	@BUILD=build-asan SANITIZE=1 tests/run

bench:
	@deploy/local/deps build run test bench
	@bench/run

fuzz:
	@deploy/local/deps build test
	@tests/fuzz/run

deps:
	@deploy/local/deps build run test

C_FILES = $(shell git ls-files '*.c' '*.h')

format:
	clang-format -i $(C_FILES)

format-check:
	clang-format --dry-run --Werror $(C_FILES)

clean:
	rm -rf build build-asan

$(BUILD)/restsip-api: $(BUILD)/fcgi-app/main.o $(API_LIBS)
	$(call quiet,LINK)$(CC) $(LINK) $(LDFLAGS) -o $@ $^ $(LIBS_API)

$(BUILD)/restsip-stream: $(BUILD)/fcgi-app/stream/main.o $(STREAM_LIBS)
	$(call quiet,LINK)$(CC) $(LINK) $(LDFLAGS) -o $@ $^ $(LIBS_STREAM)

$(BUILD)/restsip-agent: $(BUILD)/sip-agent/main.o $(AGENT_LIBS)
	$(call quiet,LINK)$(CC) $(LINK) $(LDFLAGS) -o $@ $^ $(LIBS_AGENT)

$(BUILD)/restsipctl: $(call objects,$(SRC_CTL)) $(BUILD)/libcommon.a
	$(call quiet,LINK)$(CC) $(LINK) $(LDFLAGS) -o $@ $^ $(LIBS_CTL)

$(BUILD)/restsip-supervisor: $(call objects,$(wildcard deploy/local/supervisor/*.c))
	$(call quiet,LINK)$(CC) $(LINK) $(LDFLAGS) -o $@ $^

$(BUILD)/streams_client: $(BUILD)/bench/streams_client.o
	$(call quiet,LINK)$(CC) $(LINK) $(LDFLAGS) -o $@ $^

$(BUILD)/callload: $(call objects,$(wildcard bench/callload*.c) bench/load.c)
	$(call quiet,LINK)$(CC) $(LINK) $(LDFLAGS) -o $@ $^ $(call pc,libs,openssl)

# Everything but the mains, for unit tests and fuzzers to link with.
$(BUILD)/libcommon.a: $(call objects,$(SRC_COMMON))
$(BUILD)/libshared.a: $(call objects,$(SRC_SHARED))
$(BUILD)/libapi.a: $(call objects,$(SRC_API))
$(BUILD)/libstream.a: $(call objects,$(SRC_STREAM))
$(BUILD)/libagent.a: $(call objects,$(SRC_AGENT))
$(BUILD)/lib%.a:
	$(call quiet,AR)rm -f $@ && ar rcs $@ $^

# tests/unit/test_agent_*.c see the agent, test_stream_*.c the stream program,
# test_api_*.c the worker; all others only common/. pg_*.c want a database:
# tests/sql/race_driver.py runs them.
$(BUILD)/unit/pg_%: $(BUILD)/tests/unit/pg_%.o $(API_LIBS)
	$(call quiet,LINK)$(CC) $(LINK) $(LDFLAGS) -o $@ $^ -lcmocka $(LIBS_API)
$(BUILD)/unit/test_agent_%: $(BUILD)/tests/unit/test_agent_%.o $(AGENT_LIBS)
	$(call quiet,LINK)$(CC) $(LINK) $(LDFLAGS) -o $@ $^ -lcmocka $(LIBS_AGENT)
$(BUILD)/unit/test_stream_%: $(BUILD)/tests/unit/test_stream_%.o $(STREAM_LIBS)
	$(call quiet,LINK)$(CC) $(LINK) $(LDFLAGS) -o $@ $^ -lcmocka $(LIBS_STREAM)
$(BUILD)/unit/test_api_%: $(BUILD)/tests/unit/test_api_%.o $(API_LIBS)
	$(call quiet,LINK)$(CC) $(LINK) $(LDFLAGS) -o $@ $^ -lcmocka $(LIBS_API)
$(BUILD)/unit/test_%: $(BUILD)/tests/unit/test_%.o $(BUILD)/libcommon.a
	$(call quiet,LINK)$(CC) $(LINK) $(LDFLAGS) -o $@ $^ -lcmocka $(LIBS_COMMON) -lpthread

# Preloaded by tests: not a program's, so nothing but what it needs.
$(BUILD)/%.so: tests/lib/%.c $(BUILD)/flags
	$(call quiet,LINK)$(CC) -std=c11 -O2 -fPIC -shared -Wall -Wextra -Werror -o $@ $<

# tests/fuzz/fuzz_agent_*.c likewise.
FUZZER = $(LINK) -fsanitize=fuzzer
$(BUILD)/fuzz/fuzz_agent_%: $(BUILD)/tests/fuzz/fuzz_agent_%.o $(AGENT_LIBS)
	@mkdir -p $(@D)
	$(call quiet,LINK)$(CC) $(FUZZER) $(LDFLAGS) -o $@ $^ $(LIBS_AGENT)
$(BUILD)/fuzz/fuzz_stream_%: $(BUILD)/tests/fuzz/fuzz_stream_%.o $(STREAM_LIBS)
	@mkdir -p $(@D)
	$(call quiet,LINK)$(CC) $(FUZZER) $(LDFLAGS) -o $@ $^ $(LIBS_STREAM)
$(BUILD)/fuzz/fuzz_api_%: $(BUILD)/tests/fuzz/fuzz_api_%.o $(API_LIBS)
	@mkdir -p $(@D)
	$(call quiet,LINK)$(CC) $(FUZZER) $(LDFLAGS) -o $@ $^ $(LIBS_API)
$(BUILD)/fuzz/fuzz_common_%: $(BUILD)/tests/fuzz/fuzz_common_%.o $(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(call quiet,LINK)$(CC) $(FUZZER) $(LDFLAGS) -o $@ $^ $(LIBS_COMMON) -lpthread

$(BUILD)/common/%.o: INC = $(INC_COMMON)
$(BUILD)/fcgi-app/%.o: INC = $(INC_API)
$(BUILD)/sip-agent/%.o: INC = $(INC_AGENT)
$(BUILD)/ctl/%.o: INC = $(INC_CTL)
$(BUILD)/deploy/%.o: INC = -I.
$(BUILD)/tests/unit/%.o: INC = $(INC_API)
$(BUILD)/tests/unit/test_agent_%.o: INC = $(INC_AGENT)
$(BUILD)/tests/fuzz/%.o: INC = $(INC_API)
$(BUILD)/tests/fuzz/fuzz_agent_%.o: INC = $(INC_AGENT)
$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call quiet,CC)$(CC) $(FLAGS) $(INC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# Changes when the flags do, so that everything is built anew.
NOW_FLAGS := $(strip $(CC) $(FLAGS) $(LINK) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) $(SYSCONFDIR))
ifneq ($(NOW_FLAGS),$(strip $(file <$(BUILD)/flags)))
.PHONY: $(BUILD)/flags
endif
$(BUILD)/flags:
	@mkdir -p $(@D) $(BUILD)/unit
	@printf '%s\n' '$(NOW_FLAGS)' >$@

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

BIN = $(DESTDIR)$(PREFIX)/bin
UNITS = $(DESTDIR)$(PREFIX)/lib/systemd/system
USERS = $(DESTDIR)$(PREFIX)/lib/sysusers.d
NGINX = $(DESTDIR)$(SYSCONFDIR)/nginx
SITE = $(NGINX)/sites-available/restsip
ORIGINS = $(NGINX)/restsip/origins.conf
# Modes are set whatever umask root has. SQL and pages take the place of the old
# ones: a file that is no more must not be run again. What an operator edits is
# put there once.
install: all
	install -d $(BIN) $(UNITS) $(USERS) $(NGINX)/restsip $(dir $(SITE)) \
		$(DESTDIR)$(SYSCONFDIR)/restsip $(DESTDIR)$(SHARE)
	install $(filter-out %-supervisor,$(PROGRAMS)) $(BIN)
	rm -rf $(DESTDIR)$(SHARE)/sql $(DESTDIR)$(SHARE)/web
	cp -R sql web $(DESTDIR)$(SHARE)/
	sed 's|@SHARE@|$(SHARE)|' deploy/nginx/restsip.conf \
		>$(DESTDIR)$(SHARE)/nginx-site.conf
	chmod -R u=rwX,go=rX $(DESTDIR)$(SHARE)
	sed 's|@SYSCONFDIR@|$(SYSCONFDIR)|' deploy/certificate-renewed \
		>$(DESTDIR)$(SHARE)/certificate-renewed
	chmod 755 $(DESTDIR)$(SHARE)/certificate-renewed
	install -m 644 $(addprefix deploy/nginx/,http.conf limits.conf main.conf \
		page.conf pass.conf server.conf) $(NGINX)/restsip
	[ -e $(ORIGINS) ] || install -m 644 deploy/nginx/origins.conf $(ORIGINS)
	[ -e $(SITE) ] || install -m 644 $(DESTDIR)$(SHARE)/nginx-site.conf $(SITE)
	install -m 644 deploy/sysusers.conf $(USERS)/restsip.conf
	for unit in deploy/systemd/*; do to=$(UNITS)/$${unit##*/} && \
		sed 's|@PREFIX@|$(PREFIX)|; s|@SYSCONFDIR@|$(SYSCONFDIR)|' $$unit >$$to && \
		chmod 644 $$to || exit; done
	install -m 644 $(addprefix deploy/,nftables.conf restsip.ini.example \
		sysctl.conf) \
		$(DESTDIR)$(SYSCONFDIR)/restsip/
