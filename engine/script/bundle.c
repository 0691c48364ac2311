/*
 * bundle.c -- calls the few entry points of lua/bundle.lua, with JSON in and out.
 *
 * After each call the machine is rewound.  Sanitizer builds cannot rewind it: they throw it away, and load it again before the next call
 * from copies of sources and settings.
 */
#include "script/bundle.h"

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "script/convert.h"
#include "script/host.h"

#include <stdio.h>
#include <string.h>

struct ao_bundle {
	ao_vm *vm; /* or NULL: to be loaded again */
	ao_limits limits;
	ao_sources sources;
	cJSON *settings;
	cJSON *manifest, *policies, *problems;
	char digest[AO_BUNDLE_DIGEST];
	char *failed_policy, *failed_hook;
	ao_vm_log_fn on_log;
	void *on_log_arg;
	ao_coverage *coverage;
};

static const char bundle_key; /* registry: the loaded bundle */

/* --- loading --- */

typedef struct loading {
	const ao_sources *sources;
	const cJSON *settings;
	ao_taken manifest, policies, problems;
} loading;

static void set_text(lua_State *L, const char *key, const char *text, size_t len)
{
	lua_pushlstring(L, text, len);
	lua_setfield(L, -2, key);
}

static void push_files(lua_State *L, const ao_sources *sources)
{
	lua_createtable(L, (int)sources->count, 0);
	for (size_t i = 0; i < sources->count; i++) {
		const ao_source *file = &sources->items[i];
		lua_createtable(L, 0, 3);
		set_text(L, "name", file->name, strlen(file->name));
		set_text(L, "source", file->text, file->len);
		set_text(L, "origin", file->origin, strlen(file->origin));
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
}

/** Pushes bundle[name] of the SDK and its arguments, the files. */
static void prepare(lua_State *L, const char *name, const ao_sources *sources)
{
	ao_host_open(L);
	ao_convert_open(L);
	ao_host_require(L, "bundle");
	lua_getfield(L, -1, name);
	push_files(L, sources);
}

static void take_from(lua_State *L, const char *method, ao_taken *taken)
{
	lua_getfield(L, -1, method);
	lua_pushvalue(L, -2);
	lua_call(L, 1, 1);
	ao_convert_take(L, -1, taken);
	lua_pop(L, 1);
}

static void load_body(lua_State *L, void *arg)
{
	loading *load = arg;
	prepare(L, "load", load->sources);
	ao_convert_push(L, load->settings);
	lua_getglobal(L, "host");
	lua_call(L, 3, 1);
	take_from(L, "manifest", &load->manifest);
	take_from(L, "policies", &load->policies);
	take_from(L, "problems", &load->problems);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &bundle_key);
}

static void peek_body(lua_State *L, void *arg)
{
	loading *load = arg;
	prepare(L, "peek", load->sources);
	lua_getglobal(L, "host");
	lua_call(L, 2, 1);
	ao_convert_take(L, -1, &load->manifest);
}

static int check_sizes(const ao_sources *sources, const ao_vm *vm, ao_err **reterr)
{
	for (size_t i = 0; i < sources->count; i++)
		if (sources->items[i].len > ao_vm_limits(vm)->string)
			return ao_err_set(reterr, -E2BIG, "%s: larger than %zu bytes", sources->items[i].name, ao_vm_limits(vm)->string);
	return 0;
}

/** Makes a machine and loads the bundle into it. @param load  gets manifest, policies and problems */
static int start(ao_bundle *bundle, loading *load, ao_err **reterr)
{
	ao_auto_vm ao_vm *vm = NULL;
	int r = ao_vm_new(&bundle->limits, &vm, reterr);
	if (r == 0)
		r = check_sizes(load->sources, vm, reterr);
	if (r < 0)
		return r;
	ao_vm_on_log(vm, bundle->on_log, bundle->on_log_arg);
	ao_vm_cover(vm, bundle->coverage);
	r = ao_vm_run(vm, load_body, load, NULL, reterr);
	if (r < 0)
		return r;
	ao_vm_keep(vm);
	bundle->vm = AO_TAKE(vm);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const ao_source *const *x = a, *const *y = b;
	return strcmp((*x)->name, (*y)->name);
}

void ao_bundle_digest_of(const ao_sources *sources, const cJSON *settings, char ret[AO_BUNDLE_DIGEST])
{
	const ao_source **sorted = ao_xcalloc(sources->count + 1, sizeof(*sorted));
	for (size_t i = 0; i < sources->count; i++)
		sorted[i] = &sources->items[i];
	qsort(sorted, sources->count, sizeof(*sorted), by_name);
	uint64_t h = AO_HASH_INIT;
	for (size_t i = 0; i < sources->count; i++) {
		uint64_t len = sorted[i]->len;
		h = ao_hash(h, sorted[i]->name, strlen(sorted[i]->name) + 1);
		h = ao_hash(h, &len, sizeof(len));
		h = ao_hash(h, sorted[i]->text, sorted[i]->len);
	}
	free(sorted);
	ao_auto_str char *text = ao_json_canonical(settings);
	h = ao_hash(h, text, strlen(text));
	snprintf(ret, AO_BUNDLE_DIGEST, "%016llx", (unsigned long long)h);
}

int ao_bundle_load(const ao_sources *sources, const cJSON *settings, const ao_limits *limits, ao_bundle **ret, ao_err **reterr)
{
	return ao_bundle_load_covered(sources, settings, limits, NULL, ret, reterr);
}

int ao_bundle_load_covered(const ao_sources *sources, const cJSON *settings, const ao_limits *limits, ao_coverage *coverage,
			   ao_bundle **ret, ao_err **reterr)
{
	ao_auto_bundle ao_bundle *bundle = ao_xcalloc(1, sizeof(*bundle));
	bundle->limits = limits ? *limits : (ao_limits){0};
	bundle->coverage = coverage;
	bundle->settings = settings ? cJSON_Duplicate(settings, 1) : cJSON_CreateObject();
	ao_bundle_digest_of(sources, bundle->settings, bundle->digest);
	loading load = {.sources = sources, .settings = bundle->settings};
	int r = start(bundle, &load, reterr);
	bundle->manifest = AO_TAKE(load.manifest.tree);
	bundle->policies = AO_TAKE(load.policies.tree);
	bundle->problems = AO_TAKE(load.problems.tree);
	ao_taken_clear(&load.manifest);
	ao_taken_clear(&load.policies);
	ao_taken_clear(&load.problems);
	if (r < 0)
		return r;
	if (!ao_vm_rewind(bundle->vm))
		for (size_t i = 0; i < sources->count; i++) {
			const ao_source *s = &sources->items[i];
			ao_sources_put(&bundle->sources, s->name, s->text, s->len, s->origin);
		}
	*ret = AO_TAKE(bundle);
	return 0;
}

void ao_bundle_free(ao_bundle *bundle)
{
	if (!bundle)
		return;
	ao_vm_free(bundle->vm);
	ao_sources_clear(&bundle->sources);
	cJSON_Delete(bundle->settings);
	cJSON_Delete(bundle->manifest);
	cJSON_Delete(bundle->policies);
	cJSON_Delete(bundle->problems);
	free(bundle->failed_policy);
	free(bundle->failed_hook);
	free(bundle);
}

/** The manifest that was read last, never freed: while an operator starts, several rooms ask for that of the same sources. */
static struct {
	char digest[AO_BUNDLE_DIGEST];
	cJSON *manifest;
} last_peeked;

static void remember_peeked(const char *digest, const cJSON *manifest)
{
	cJSON_Delete(last_peeked.manifest);
	last_peeked.manifest = cJSON_Duplicate(manifest, 1);
	memcpy(last_peeked.digest, digest, AO_BUNDLE_DIGEST);
}

int ao_bundle_peek_manifest(const ao_sources *sources, cJSON **ret, ao_err **reterr)
{
	ao_auto_vm ao_vm *vm = NULL;
	char digest[AO_BUNDLE_DIGEST];
	ao_bundle_digest_of(sources, NULL, digest);
	if (strcmp(digest, last_peeked.digest) == 0) {
		*ret = cJSON_Duplicate(last_peeked.manifest, 1);
		return 0;
	}
	int r = ao_vm_new(NULL, &vm, reterr);
	if (r == 0)
		r = check_sizes(sources, vm, reterr);
	if (r < 0)
		return r;
	loading load = {.sources = sources};
	r = ao_vm_run(vm, peek_body, &load, NULL, reterr);
	if (r == 0) {
		remember_peeked(digest, load.manifest.tree);
		*ret = AO_TAKE(load.manifest.tree);
	}
	ao_taken_clear(&load.manifest);
	return r;
}

/* --- calls --- */

typedef struct call {
	const char *method;
	const cJSON *snapshot;
	ao_taken result;
} call;

static void call_body(lua_State *L, void *arg)
{
	call *c = arg;
	lua_rawgetp(L, LUA_REGISTRYINDEX, &bundle_key);
	lua_getfield(L, -1, c->method);
	lua_pushvalue(L, -2);
	ao_vm_admit(ao_vm_of(L), true);
	ao_convert_push(L, c->snapshot);
	ao_vm_admit(ao_vm_of(L), false);
	lua_call(L, 2, 1);
	ao_convert_take(L, -1, &c->result);
}

static int start_again(ao_bundle *bundle, ao_err **reterr)
{
	loading load = {.sources = &bundle->sources, .settings = bundle->settings};
	int r = start(bundle, &load, reterr);
	ao_taken_clear(&load.manifest);
	ao_taken_clear(&load.policies);
	ao_taken_clear(&load.problems);
	return r;
}

static void note_failure(ao_bundle *bundle, const char *policy, const char *hook)
{
	free(bundle->failed_policy);
	free(bundle->failed_hook);
	bundle->failed_policy = ao_xstrdup(policy);
	bundle->failed_hook = ao_xstrdup(hook);
}

static int run(ao_bundle *bundle, const char *method, const cJSON *snapshot, cJSON **ret, ao_call_stats *stats, ao_err **reterr)
{
	note_failure(bundle, NULL, NULL);
	if (stats)
		*stats = (ao_call_stats){0};
	if (!bundle->vm) {
		int r = start_again(bundle, reterr);
		if (r < 0)
			return r;
	}
	call c = {.method = method, .snapshot = snapshot};
	int r = ao_vm_run(bundle->vm, call_body, &c, stats, reterr);
	if (r == 0)
		*ret = AO_TAKE(c.result.tree);
	else
		note_failure(bundle, ao_vm_policy(bundle->vm), ao_vm_hook(bundle->vm));
	ao_taken_clear(&c.result);
	if (!ao_vm_rewind(bundle->vm)) {
		ao_vm_free(bundle->vm);
		bundle->vm = NULL;
	}
	return r;
}

int ao_bundle_plan(ao_bundle *bundle, const cJSON *snapshot, cJSON **ret, ao_call_stats *stats, ao_err **reterr)
{
	return run(bundle, "plan", snapshot, ret, stats, reterr);
}

int ao_bundle_status(ao_bundle *bundle, const cJSON *snapshot, cJSON **ret, ao_call_stats *stats, ao_err **reterr)
{
	return run(bundle, "status", snapshot, ret, stats, reterr);
}

int ao_bundle_case(ao_bundle *bundle, const cJSON *case_, cJSON **ret, ao_err **reterr)
{
	return run(bundle, "case", case_, ret, NULL, reterr);
}

int ao_bundle_shared(ao_bundle *bundle, cJSON **ret, ao_call_stats *stats, ao_err **reterr)
{
	return run(bundle, "shared", NULL, ret, stats, reterr);
}

int ao_bundle_objects(ao_bundle *bundle, const cJSON *options, cJSON **ret, ao_err **reterr)
{
	return run(bundle, "objects", options, ret, NULL, reterr);
}

int ao_bundle_relate(ao_bundle *bundle, const cJSON *snapshot, cJSON **ret, ao_call_stats *stats, ao_err **reterr)
{
	return run(bundle, "relate", snapshot, ret, stats, reterr);
}

/* --- look-ups --- */

bool ao_bundle_relates(const ao_bundle *bundle)
{
	const cJSON *policy;
	cJSON_ArrayForEach (policy, bundle->policies)
		if (cJSON_IsTrue(ao_json_at(policy, "relate")))
			return true;
	return false;
}

const cJSON *ao_bundle_manifest(const ao_bundle *bundle) { return bundle->manifest; }

const cJSON *ao_bundle_settings(const ao_bundle *bundle) { return bundle->settings; }

const cJSON *ao_bundle_policies(const ao_bundle *bundle) { return bundle->policies; }

uint64_t ao_bundle_finalize_seconds(const ao_bundle *bundle)
{
	uint64_t most = 0;
	const cJSON *policy;
	cJSON_ArrayForEach (policy, bundle->policies) {
		const cJSON *seconds = ao_json_at(policy, "finalize");
		if (cJSON_IsNumber(seconds) && seconds->valuedouble > (double)most)
			most = (uint64_t)seconds->valuedouble;
	}
	return most;
}

const cJSON *ao_bundle_problems(const ao_bundle *bundle) { return bundle->problems; }

const ao_limits *ao_bundle_limits(const ao_bundle *bundle) { return &bundle->limits; }
const char *ao_bundle_digest(const ao_bundle *bundle) { return bundle->digest; }

const char *ao_bundle_failed_policy(const ao_bundle *bundle) { return bundle->failed_policy ? bundle->failed_policy : ""; }

const char *ao_bundle_failed_hook(const ao_bundle *bundle) { return bundle->failed_hook ? bundle->failed_hook : ""; }

void ao_bundle_on_log(ao_bundle *bundle, ao_vm_log_fn fn, void *arg)
{
	bundle->on_log = fn;
	bundle->on_log_arg = arg;
	if (bundle->vm)
		ao_vm_on_log(bundle->vm, fn, arg);
}
