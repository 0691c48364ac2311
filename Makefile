# asya-operator -- a Lua-scriptable Kubernetes operator engine.
#
#   make              build build/asya-operator (missing Debian packages are installed, or named); DEBUG=1: build/debug/asya-operator, for a debugger
#   make demo         a real control plane, the operator, the example actors (KEEP=1 leaves it running)
#   make test         unit, spec, runtime, cluster: what to run before a commit; ends with one line of counts
#   make test-all     that, and histories, fuzz (a minute of each), keda, and node with the oldest servers: what CI runs
#   make unit         C unit tests under ASAN and UBSAN (ROOMS="base json" or TEST=test_json_json narrows)
#   make spec         busted specs of SDK, policies and command line, unit tests without a checkout under Lua 5.4: what needs no cluster
#   make rock         build/rock/asya-VERSION-1.all.rock, the SDK for `luarocks install`
#   make runtime      tests of the runtime script that actors run
#   make cluster      the operator against a real API server (SPEC=spec/cluster/spine_spec.lua narrows, BED=DIR, SERVER=oldest)
#   make histories    a table of faults, chaos, outages: what takes minutes (SPEC=spec/histories/fault_table_spec.lua narrows)
#   make chaos        two replicas under everything that can go wrong (SEED=1 MINUTES=10, ACTORS=200, REWIND=1: etcd is set back, too)
#   make tsan         the threads of the AMQP transport under ThreadSanitizer, against a broker
#   make soak         memory, files and threads of the release build under churn (MINUTES=30)
#   make keda         actors scaled by a real KEDA (SPEC=spec/keda/scaling_spec.lua narrows); it is built once, in some ten minutes
#   make node         helm and the image on a real node, with real pods; wants root (SPEC=spec/node/image_spec.lua narrows)
#   make bench        what an actor costs, or a parent of EXAMPLE=indexedjob, beside a plain client doing the same work (ACTORS="500 2000",
#                     BASELINE="another-operator --flags")
#   make fuzz         each fuzzer for FUZZ_SECONDS=60, under ASAN and UBSAN (FUZZ=fuzz_json narrows); inputs are kept in build/corpus
#   make docker-build   the image that the chart asks for (or IMG=asya-operator:dev); make sbom writes build/sbom.spdx.json of it
#   make chart        what helm installs: build/asya-operator.tgz
#   make lint         format, static analysis, include directions, file sizes
#   make format       clang-format everything
#   make clean        remove build/ (the cached control plane stays: spec/bed/bed build says where)
#   make help         this text
ifeq ($(MAKELEVEL)$(word 2,$(MAKECMDGOALS)),0) # on all cores, unless -j says otherwise; of several suites each waits for the one before
MAKEFLAGS += -j$(shell nproc)
endif
BUILD ?= $(if $(DEBUG),build/debug,build)
CC ?= gcc
ROOMS ?= $(filter-out test,$(patsubst engine/%/,%,$(wildcard engine/*/)))
TEST ?= test_*
VERSION ?= $(shell git describe --always --dirty 2>/dev/null || echo unknown)

PKGS = lua5.4 libcurl yaml-0.1 libcjson libuv openssl librabbitmq
# Asked once, at first use: the packages may be installed by the `deps` step of this very run.
PKG_CFLAGS = $(eval PKG_CFLAGS := $$(shell pkg-config --cflags $(PKGS)))$(PKG_CFLAGS)
PKG_LIBS = $(eval PKG_LIBS := $$(shell pkg-config --libs $(PKGS)))$(PKG_LIBS)

WARN = -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wno-format-nonliteral
DEFS = -D_GNU_SOURCE -Iengine
OPT ?= -O2 -g
FLAGS = -std=c11 $(DEFS) $(PKG_CFLAGS) $(WARN) $(OPT) $(CFLAGS)
COMPILE = $(CC) $(FLAGS) -MMD -MP
LIBS = $(PKG_LIBS) -lhttp_parser -lpthread -lm
ifneq ($(DEBUG),) # in a BUILD of its own: objects of the two kinds do not mix
FLAGS += -O0 -g3
endif
SAN = -DAO_SANITIZE -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer

# A room is a folder, named by its path below engine/; ROOMS takes those inside with it.
$(foreach room,$(ROOMS),$(if $(wildcard engine/$(room)/.),,$(error ROOMS: there is no room engine/$(room))))
ROOM_SRC := $(sort $(shell find $(ROOMS:%=engine/%) -name '*.c'))
EMBEDDED := $(if $(filter script,$(ROOMS)),$(BUILD)/gen/embedded.c)
GENERATED := $(EMBEDDED) $(if $(filter kube,$(ROOMS)),$(BUILD)/gen/merge_keys.c)
TEMPLATE_FILES := $(shell find policies/template policies/init -type f)
EMBED_FILES := $(wildcard lua/*.lua lua/asya/*) $(filter-out policies/README.md,$(wildcard policies/*.*)) $(wildcard policies/profiles/*/*.lua) crds/openapi/schemas.json $(TEMPLATE_FILES) $(wildcard engine/cli/shells/*)
LIB_OBJ := $(ROOM_SRC:%.c=$(BUILD)/obj/%.o) $(GENERATED:%.c=%.o)
SAN_OBJ := $(ROOM_SRC:%.c=$(BUILD)/san/%.o) $(GENERATED:%.c=%.o)
TEST_SRC := $(sort $(foreach room,$(ROOMS),$(filter engine/test/test_$(subst /,_,$(room))_%.c,$(wildcard engine/test/$(TEST).c))))
TEST_BIN := $(TEST_SRC:engine/test/%.c=$(BUILD)/san/%)

.PHONY: all rock tsan docker-build chart sbom deps demo test test-all unit unit-build fuzz spec runtime cluster histories chaos soak keda node bench lint format clean help always
all: $(BUILD)/asya-operator $(BUILD)/compile_commands.json

help:
	@sed -n '/^# asya-operator/,/^[^#]/{s/^# \{0,1\}//p}' Makefile

deps: $(BUILD)/.deps
$(BUILD)/.deps: engine/deps.sh
	@mkdir -p $(@D)
	@engine/deps.sh
	@touch $@

$(BUILD)/asya-operator: $(BUILD)/obj/engine/main.o $(LIB_OBJ)
	@echo "  LINK $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/san/asya-operator: $(BUILD)/san/engine/main.o $(SAN_OBJ)
	@echo "  LINK $@"
	@$(CC) $(SAN) -o $@ $^ $(LIBS)

$(BUILD)/obj/engine/main.o $(BUILD)/san/engine/main.o $(BUILD)/obj/engine/operator/controller.o $(BUILD)/san/engine/operator/controller.o $(BUILD)/obj/engine/policy/record.o $(BUILD)/obj/engine/cli/session.o $(BUILD)/obj/engine/cli/version.o $(BUILD)/obj/engine/cli/release.o: \
	DEFS += -DAO_VERSION='"$(VERSION)"'

$(BUILD)/gen/embedded.c: engine/script/embed.lua $(EMBED_FILES) | $(BUILD)/.deps
	@mkdir -p $(@D)
	lua5.4 engine/script/embed.lua $@ $(EMBED_FILES)

$(BUILD)/gen/merge_keys.c: engine/kube/merge_keys.lua lua/merge_keys.lua | $(BUILD)/.deps
	@mkdir -p $(@D)
	lua5.4 engine/kube/merge_keys.lua $@ lua/merge_keys.lua

$(BUILD)/gen/%.o: $(BUILD)/gen/%.c
	@echo "  CC   $@"
	@$(COMPILE) -c -o $@ $<

$(BUILD)/obj/%.o: %.c | $(BUILD)/.deps
	@mkdir -p $(@D)
	@echo "  CC   $@"
	@$(COMPILE) -c -o $@ $<

$(BUILD)/san/%.o: %.c | $(BUILD)/.deps
	@mkdir -p $(@D)
	@echo "  CC   $@"
	@$(COMPILE) $(SAN) -c -o $@ $<

# How each C file is compiled, for clangd and for lint. __VERSION__ is a text that needs no quotes in JSON.
$(BUILD)/compile_commands.json: Makefile $(shell find engine -type d) | $(BUILD)/.deps
	@find engine -name '*.c' | sort | \
	sed 's|.*|{"directory": "$(CURDIR)", "file": "&", "command": "$(CC) $(FLAGS) -DAO_VERSION=__VERSION__ -c &"},|; 1s|^|[|; $$s|,$$|]|' >$@

# Made anew when ROOMS are others than the last time, too.
$(BUILD)/san/members: always
	@mkdir -p $(@D)
	@echo '$(SAN_OBJ)' | cmp -s - $@ || echo '$(SAN_OBJ)' >$@
$(BUILD)/san/libengine.a: $(SAN_OBJ) $(BUILD)/san/members
	@rm -f $@
	@ar rcs $@ $(SAN_OBJ)

$(TEST_BIN): $(BUILD)/san/%: $(BUILD)/san/engine/test/%.o $(BUILD)/san/libengine.a
	@echo "  LINK $@"
	@$(CC) $(SAN) -o $@ $^ $(LIBS) -lcmocka

# What runs Lua is tested a second time without sanitizers: only there the machine lives in its arena, as in the product.
ARENA_BIN := $(patsubst $(BUILD)/san/%,$(BUILD)/arena/%,$(filter $(BUILD)/san/test_script_%,$(TEST_BIN)))
$(ARENA_BIN): $(BUILD)/arena/%: $(BUILD)/obj/engine/test/%.o $(LIB_OBJ)
	@mkdir -p $(@D)
	@echo "  LINK $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS) -lcmocka

unit-build: $(TEST_BIN) $(ARENA_BIN)
unit: unit-build
	@BUILD=$(BUILD) spec/run unit $(TEST_BIN) $(ARENA_BIN)

FUZZ ?= fuzz_*
FUZZ_SECONDS ?= 60
FUZZ_SAN = -DAO_SANITIZE -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=undefined -fsanitize=address,undefined
FUZZ_OBJ := $(ROOM_SRC:%.c=$(BUILD)/fuzz/%.o) $(GENERATED:$(BUILD)/gen/%.c=$(BUILD)/fuzz/%.o)
FUZZ_BIN := $(patsubst engine/test/%.c,$(BUILD)/fuzz/%,$(wildcard engine/test/$(FUZZ).c))

$(BUILD)/fuzz/.deps: $(BUILD)/.deps
	@mkdir -p $(@D)
	@engine/deps.sh fuzz
	@touch $@

$(BUILD)/fuzz/%.o: %.c | $(BUILD)/fuzz/.deps
	@mkdir -p $(@D)
	@echo "  CC   $@"
	@clang-14 -std=c11 $(DEFS) -DAO_VERSION='"fuzz"' $(PKG_CFLAGS) $(FUZZ_SAN),fuzzer-no-link -MMD -MP -c -o $@ $<

$(BUILD)/fuzz/%.o: $(BUILD)/gen/%.c | $(BUILD)/fuzz/.deps
	@clang-14 -std=c11 $(DEFS) -c -o $@ $<

$(FUZZ_BIN): $(BUILD)/fuzz/%: $(BUILD)/fuzz/engine/test/%.o $(FUZZ_OBJ)
	@echo "  LINK $@"
	@clang-14 $(FUZZ_SAN),fuzzer -o $@ $^ $(LIBS)

fuzz: $(FUZZ_BIN)
	@for fuzzer in $^; do spec/fuzz $$fuzzer $(BUILD)/corpus $(FUZZ_SECONDS) || exit 1; done

spec: $(BUILD)/san/asya-operator
	@BUILD=$(BUILD) spec/run busted spec/sdk spec/policies spec/cli spec/author

ROCK_VERSION = $(shell sed -n 's/^appVersion: *"\{0,1\}\([0-9.]*\).*/\1/p' chart/Chart.yaml)
ROCKS = luarocks --lua-version 5.4 --tree tree
rock: $(BUILD)/.deps
	@lua5.4 spec/sdk/rock.lua $(BUILD)/rock $(ROCK_VERSION)
	@cd $(BUILD)/rock && rm -rf tree && $(ROCKS) make asya-$(ROCK_VERSION)-1.rockspec >rock.log 2>&1 && $(ROCKS) pack asya $(ROCK_VERSION) >>rock.log 2>&1 || { cat rock.log; exit 1; }
	@echo "  ROCK $(BUILD)/rock/asya-$(ROCK_VERSION)-1.all.rock"

runtime:
	@spec/run python spec/runtime

# One spec wants no C tests.
cluster: $(BUILD)/asya-operator $(BUILD)/san/asya-operator $(BUILD)/asya-operator.tgz $(if $(filter %.lua,$(SPEC)),,unit-build)
	@BUILD=$(BUILD) spec/run cluster $(or $(SPEC),spec/cluster)

histories: all $(BUILD)/san/asya-operator
	@BUILD=$(BUILD) spec/run histories $(or $(SPEC),spec/histories)

SEED ?= 1
chaos: all $(BUILD)/san/asya-operator
	@BUILD=$(BUILD) SEED=$(SEED) MINUTES=$(or $(MINUTES),10) ACTORS=$(or $(ACTORS),200) spec/run histories spec/histories/chaos_spec.lua

# The one room with threads, under ThreadSanitizer.
tsan:
	@$(MAKE) BUILD=$(BUILD)/tsan SAN="-DAO_SANITIZE -O1 -fsanitize=thread -fno-omit-frame-pointer" TEST='test_transport_rabbitmq*' unit-build
	@BUILD=$(BUILD)/tsan spec/run cluster units/transport_rabbitmq

soak: all
	@BUILD=$(BUILD) MINUTES=$(or $(MINUTES),30) spec/run histories spec/soak

keda: $(BUILD)/san/asya-operator
	@BUILD=$(BUILD) spec/run keda $(or $(SPEC),spec/keda)

node: $(BUILD)/.deps $(BUILD)/asya-operator.tgz
	@BUILD=$(BUILD) spec/run node $(or $(SPEC),spec/node)

bench: all
	@BUILD=$(BUILD) spec/bench/run $(if $(EXAMPLE),--example $(EXAMPLE)) $(if $(BASELINE),--baseline "$(BASELINE)") $(ACTORS)

test: all unit-build $(BUILD)/san/asya-operator $(BUILD)/asya-operator.tgz
	@BUILD=$(BUILD) TEST_BIN="$(TEST_BIN) $(ARENA_BIN)" spec/run quick

test-all: all unit-build $(BUILD)/san/asya-operator $(BUILD)/asya-operator.tgz $(FUZZ_BIN)
	@BUILD=$(BUILD) TEST_BIN="$(TEST_BIN) $(ARENA_BIN)" FUZZ_BIN="$(FUZZ_BIN)" spec/run all

demo: all
	@BUILD=$(BUILD) spec/demo

IMG ?= asya-operator:$(shell sed -n 's/^appVersion: "\(.*\)"/\1/p' chart/Chart.yaml)
EPOCH = $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
DOCKER_BUILD = docker build --network=host --build-arg VERSION=$(VERSION) --build-arg SOURCE_DATE_EPOCH=$(EPOCH)

# What helm installs: the files themselves, where the tree has links, so that helm has nothing to say about links. Always the same bytes.
CHART_FILES := $(wildcard chart/* chart/*/* chart/*/*/* chart/*/*/*/*)
chart: $(BUILD)/asya-operator.tgz
$(BUILD)/asya-operator.tgz: $(CHART_FILES)
	@mkdir -p $(@D)
	@sed 's|/$$||' chart/.helmignore | tar --exclude-from=- --dereference --hard-dereference --transform 's|^chart|asya-operator|' \
		--sort=name --mtime=@$(EPOCH) --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw -cf - chart | gzip -n >$@
	@echo "  CHART $@"

docker-build:
	$(DOCKER_BUILD) -t $(IMG) .

sbom:
	$(DOCKER_BUILD) --target sbom -t $(IMG)-sbom .
	@id=$$(docker create $(IMG)-sbom none) && docker cp $$id:/sbom.spdx.json $(BUILD)/ && docker rm $$id >/dev/null

C_FILES = $(shell git ls-files --cached --others --exclude-standard 'engine/*.[ch]')
format: $(BUILD)/.deps
	@clang-format-14 -i $(C_FILES)

lint: $(BUILD)/.deps
	@clang-format-14 --dry-run -Werror $(C_FILES)
	@lua5.4 spec/lint.lua $(C_FILES)
	@luacheck -q lua policies spec
	@cppcheck --quiet --error-exitcode=1 --std=c11 -Iengine -D__GNUC__ --include=/usr/include/cjson/cJSON.h --enable=warning,portability --inline-suppr \
		--suppress=missingIncludeSystem $(filter engine/%.c,$(C_FILES))

clean:
	rm -rf $(BUILD)

-include $(LIB_OBJ:.o=.d) $(SAN_OBJ:.o=.d) $(TEST_SRC:%.c=$(BUILD)/san/%.d) $(FUZZ_OBJ:.o=.d) $(BUILD)/obj/engine/main.d $(BUILD)/san/engine/main.d
