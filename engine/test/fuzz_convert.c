/* fuzz_convert.c -- any JSON text: what the parser takes goes into Lua and comes back as itself. */
#include "fuzz.h"

#include "base/log.h"
#include "script/convert.h"
#include "script/host.h"

typedef struct trip {
	const cJSON *in;
	ao_taken out;
} trip;

static void open_body(lua_State *L, void *arg)
{
	(void)arg;
	ao_host_open(L);
	ao_convert_open(L);
}

static void trip_body(lua_State *L, void *arg)
{
	trip *t = arg;
	ao_convert_push(L, t->in);
	ao_convert_take(L, -1, &t->out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static ao_vm *vm; /* nothing of a call stays in it but garbage */
	if (!vm) {
		ao_require(ao_vm_new(NULL, &vm, NULL) == 0);
		ao_require(ao_vm_run(vm, open_body, NULL, NULL, NULL) == 0);
	}
	ao_auto_json cJSON *value = NULL;
	if (ao_json_parse((const char *)data, len, &value, NULL) < 0)
		return 0;
	trip t = {.in = value};
	int r = ao_vm_run(vm, trip_body, &t, NULL, NULL);
	ao_require(r <= 0 && (r < 0 || fuzz_has_duplicates(value) || ao_json_equal(value, t.out.tree)));
	ao_taken_clear(&t.out);
	return 0;
}
