# asya-operator -- targets (`make help` prints this):
#
#   make              build build/asya-operator
#   make unit         C unit tests under ASAN and UBSAN (ROOMS="base json" or TEST=test_json_json narrows)
#   make help         this text
BUILD ?= build
CC ?= gcc
PKGS = lua5.4 libcurl yaml-0.1 libcjson libuv openssl librabbitmq
ROOMS ?= base json loop net kube transport script core cli
TEST ?= test_*

WARN = -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2
CPPFLAGS += -D_GNU_SOURCE -Iengine -I$(BUILD)/gen $(shell pkg-config --cflags $(PKGS))
CFLAGS ?= -O2 -g
CFLAGS += -std=c11 $(WARN) -MMD -MP
LIBS = $(shell pkg-config --libs $(PKGS)) -lhttp_parser -lpthread -lm
SAN = -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer

ROOM_SRC := $(foreach room,$(ROOMS),$(wildcard engine/$(room)/*.c))
LIB_OBJ := $(ROOM_SRC:%.c=$(BUILD)/obj/%.o)
SAN_OBJ := $(ROOM_SRC:%.c=$(BUILD)/san/%.o)
TEST_SRC := $(foreach room,$(ROOMS),$(filter engine/test/test_$(room)_%.c,$(wildcard engine/test/$(TEST).c)))
TEST_BIN := $(TEST_SRC:engine/test/%.c=$(BUILD)/san/%)

.PHONY: all help unit clean
all: $(BUILD)/asya-operator

help:
	@sed -n '/^# asya-operator/,/^[^#]/{s/^# \{0,1\}//p}' Makefile

$(BUILD)/asya-operator: $(BUILD)/obj/engine/main.o $(LIB_OBJ)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(BUILD)/san/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -DAO_SANITIZE $(CFLAGS) -O1 $(SAN) -c -o $@ $<

$(BUILD)/san/libengine.a: $(SAN_OBJ)
	@rm -f $@
	@ar rcs $@ $^

$(TEST_BIN): $(BUILD)/san/%: $(BUILD)/san/engine/test/%.o $(BUILD)/san/libengine.a
	$(CC) $(SAN) -o $@ $^ $(LIBS) -lcmocka

unit: $(TEST_BIN)
	@set -e; for t in $(TEST_BIN); do echo "== $$t"; $$t; done

clean:
	rm -rf $(BUILD)

-include $(LIB_OBJ:.o=.d) $(SAN_OBJ:.o=.d) $(TEST_SRC:%.c=$(BUILD)/san/%.d) $(BUILD)/obj/engine/main.d
