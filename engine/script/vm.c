/*
 * vm.c -- holds a Lua state within its limits.
 *
 * Steps: the count hook fires every HOOK_EVERY instructions and the allocator adds what it hands out.  Once anything is spent the
 * hook fires at every instruction and raises each time, so a pcall that catches the error gets no further.
 * Memory: the allocator refuses growth past the heap cap and strings past the string cap.  Lua then collects and asks again; refused
 * twice in a row is spent.  The collector is stopped after loading: a call is short, and what it leaves is wiped.
 * Clock: the time the thread has run, not the time that has passed, looked at in the hook.  It ends what steps do not show (long strings
 * compared, many arguments passed on).
 * Coverage: only where somebody counts lines, Lua also calls the hook at each of them; steps are counted as ever.
 * Errors: the message handler notes text and position in plain C memory, because there may be none left in Lua.
 */
#include "script/vm.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "script/arena.h"
#include "script/text.h"

#include <stdio.h>
#include <string.h>

#define HOOK_EVERY 100
#define DEFAULT_STEPS 1000000
#define DEFAULT_MS 500
#define LOAD_FACTOR 4 /* to compile everything takes longer than a call, but happens seldom */
#define STEP_BYTES 64
#define MAX_ADMITTED ((size_t)2 << 20) /* bytes; an object in the API server is smaller */
#define STRING_SLACK 64                /* a string's header and end */
#define MAX_REFUSALS 16                /* collections that a call may force by running into the heap cap */
#define MAX_LEVELS 250                 /* of the call stack, searched for a policy's frame; C calls nest to 200 */
#define MAX_FRAMES 8                   /* shown */
#define MAX_MESSAGE 2048
#define MAX_LOG_LINES 100 /* of one call */
#define SDK_PREFIX "sdk/" /* chunk names of trusted code */
#define LOADING "load"    /* the hook that lua/bundle.lua enters with a file in the policy's place while it runs the file */

struct ao_vm {
	lua_State *L;
	ao_arena *arena; /* NULL in sanitizer builds, which use malloc */
	ao_limits limits;
	uint64_t max_steps, max_ms; /* of this call: loading may take longer */
	size_t heap, kept_heap, heap_peak;
	bool kept, running;

	uint64_t instructions, allocated, growths; /* of this call */
	uint64_t cpu_start_ms, ask_ms;             /* the thread's time when it began; when to ask for it next, monotonic */
	unsigned refusals, log_lines;
	bool admitting; /* strings come from the snapshot, and may be as long as the API server allows */
	bool refused;   /* the last request for more memory was refused */
	ao_spent spent;

	char policy[128], hook[32];
	uint64_t entered_ns; /* when that hook began */
	ao_hook_time times[AO_HOOK_TIMES];
	size_t time_count;
	char where[LUA_IDSIZE + 16]; /* "x.lua:7" when the limit was hit */
	char *message;               /* of the first error that was not caught */
	char *frames;

	ao_vm_log_fn on_log;
	void *on_log_arg;
	ao_coverage *coverage; /* borrowed; NULL: lines are not counted */
};

uint64_t ao_vm_fail_at;

ao_vm *ao_vm_of(lua_State *L) { return *(ao_vm **)lua_getextraspace(L); }

/* --- where we are --- */

static bool is_policy_frame(lua_State *L, lua_Debug *ar)
{
	lua_getinfo(L, "Sl", ar);
	return ar->currentline > 0 && strncmp(ar->short_src, SDK_PREFIX, strlen(SDK_PREFIX)) != 0;
}

/** Notes the innermost line that is not in the SDK. Allocates nothing. */
static void note_where(ao_vm *vm)
{
	lua_Debug ar;
	vm->where[0] = '\0';
	for (int level = 0; level < MAX_LEVELS && lua_getstack(vm->L, level, &ar); level++)
		if (is_policy_frame(vm->L, &ar)) {
			snprintf(vm->where, sizeof(vm->where), "%s:%d", ar.short_src, ar.currentline);
			for (char *c = vm->where; *c; c++)
				*c = (unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f ? '?' : *c;
			return;
		}
}

/** Lists the frames of policies, innermost first. Lists none when the message alone says as much. */
static void note_frames(ao_vm *vm)
{
	int least = strncmp(vm->message, SDK_PREFIX, strlen(SDK_PREFIX)) == 0 ? 1 : 2;
	ao_auto_buf ao_buf out = ao_buf_init(MAX_FRAMES * (LUA_IDSIZE + 128));
	lua_Debug ar;
	int shown = 0;
	for (int level = 1; level < MAX_LEVELS && shown < MAX_FRAMES && lua_getstack(vm->L, level, &ar); level++) {
		if (!is_policy_frame(vm->L, &ar))
			continue;
		lua_getinfo(vm->L, "n", &ar);
		ao_buf_printf(&out, "\n\t%s:%d", ar.short_src, ar.currentline);
		if (ar.name)
			ao_buf_printf(&out, ": in %s '%.80s'", *ar.namewhat ? ar.namewhat : "function", ar.name);
		shown++;
	}
	free(vm->frames);
	vm->frames = shown >= least ? ao_text_clean(out.data, out.len, out.len) : NULL;
}

/* --- limits --- */

static uint64_t steps_of(const ao_vm *vm) { return vm->instructions + vm->allocated / STEP_BYTES; }

/** The thread's time takes a system call: it is asked for only once it can be up. */
bool ao_vm_is_out_of_time(ao_vm *vm)
{
	uint64_t now = ao_mono_ms();
	if (now < vm->ask_ms)
		return false;
	uint64_t ran = ao_cpu_ms() - vm->cpu_start_ms;
	if (ran >= vm->max_ms)
		return true;
	vm->ask_ms = now + vm->max_ms - ran;
	return false;
}

static void on_count(lua_State *L, lua_Debug *ar)
{
	(void)ar;
	ao_vm *vm = ao_vm_of(L);
	if (!vm->spent) {
		vm->instructions += HOOK_EVERY;
		if (steps_of(vm) > vm->max_steps)
			ao_vm_spend(vm, AO_SPENT_STEPS);
		else if (ao_vm_is_out_of_time(vm))
			ao_vm_spend(vm, AO_SPENT_CLOCK);
		else
			return;
	}
	lua_pushliteral(L, "spent");
	lua_error(L);
}

/** The hook in place of on_count() while lines are counted. */
static void on_count_or_line(lua_State *L, lua_Debug *ar)
{
	if (ar->event != LUA_HOOKLINE) {
		on_count(L, ar);
		return;
	}
	lua_getinfo(L, "S", ar);
	ao_coverage_note(ao_vm_of(L)->coverage, ar->source, ar->currentline);
}

void ao_vm_spend(ao_vm *vm, ao_spent what)
{
	if (vm->spent || !vm->running)
		return;
	vm->spent = what;
	note_where(vm);
	lua_sethook(vm->L, on_count, LUA_MASKCOUNT, 1);
}

void ao_vm_charge(ao_vm *vm, size_t bytes)
{
	vm->allocated += bytes;
	if (vm->running && steps_of(vm) > vm->max_steps)
		ao_vm_spend(vm, AO_SPENT_STEPS);
}

void ao_vm_admit(ao_vm *vm, bool admitting) { vm->admitting = admitting; }

bool ao_vm_is_spent(const ao_vm *vm) { return vm->spent != AO_SPENT_NOTHING; }

/** @return AO_SPENT_NOTHING when the block may grow */
static ao_spent refuse(ao_vm *vm, bool is_string, size_t old, size_t size)
{
	vm->growths++;
	if (ao_vm_fail_at && vm->growths >= ao_vm_fail_at)
		return AO_SPENT_HEAP;
	if (is_string && size > (vm->admitting ? MAX_ADMITTED : vm->limits.string) + STRING_SLACK)
		return AO_SPENT_STRING;
	if (size - old > vm->limits.heap - vm->heap || vm->refusals > MAX_REFUSALS)
		return AO_SPENT_HEAP;
	return AO_SPENT_NOTHING;
}

static void note_refusal(ao_vm *vm, ao_spent why)
{
	vm->refusals++;
	if (vm->refused)
		ao_vm_spend(vm, why);
	else if (vm->running && !vm->spent)
		note_where(vm);
	vm->refused = true;
}

static void *resize(ao_vm *vm, void *block, size_t old, size_t size)
{
	if (vm->arena)
		return ao_arena_realloc(vm->arena, block, old, size);
	return realloc(block, size);
}

static void *allocate(void *ud, void *block, size_t old, size_t size)
{
	ao_vm *vm = ud;
	bool is_string = !block && old == LUA_TSTRING; /* without a block, `old` says what the memory is for */
	if (!block)
		old = 0;
	if (size == 0) {
		vm->heap -= old;
		if (vm->arena)
			ao_arena_release(vm->arena, block, old);
		else
			free(block);
		return NULL;
	}
	ao_spent why = size > old ? refuse(vm, is_string, old, size) : AO_SPENT_NOTHING;
	void *moved = why ? NULL : resize(vm, block, old, size);
	if (!moved) {
		note_refusal(vm, why ? why : AO_SPENT_HEAP);
		return NULL;
	}
	vm->heap = vm->heap - old + size;
	if (size <= old)
		return moved;
	vm->refused = false;
	if (vm->heap > vm->heap_peak)
		vm->heap_peak = vm->heap;
	ao_vm_charge(vm, size - old);
	return moved;
}

/* --- life --- */

static ao_limits with_defaults(const ao_limits *limits)
{
	ao_limits l = limits ? *limits : (ao_limits){0};
	l.steps = l.steps ? l.steps : DEFAULT_STEPS;
	l.heap = l.heap ? l.heap : (size_t)16 << 20;
	l.string = l.string ? l.string : (size_t)256 << 10;
	l.output = l.output ? l.output : (size_t)2 << 20;
	l.cpu_ms = l.cpu_ms ? l.cpu_ms : DEFAULT_MS;
	return l;
}

int ao_vm_new(const ao_limits *limits, ao_vm **ret, ao_err **reterr)
{
	ao_auto_vm ao_vm *vm = ao_xcalloc(1, sizeof(*vm));
	vm->limits = with_defaults(limits);
#ifndef AO_SANITIZE
	vm->arena = ao_arena_new(2 * vm->limits.heap); /* twice the cap: rounding and holes take some of it */
	if (!vm->arena)
		return ao_err_set(reterr, -E2BIG, "cannot reserve %zu bytes of address space", 2 * vm->limits.heap);
#endif
	vm->L = lua_newstate(allocate, vm);
	if (!vm->L)
		return ao_err_set(reterr, -E2BIG, "no memory for a Lua state");
	*(ao_vm **)lua_getextraspace(vm->L) = vm;
	*ret = AO_TAKE(vm);
	return 0;
}

void ao_vm_free(ao_vm *vm)
{
	if (!vm)
		return;
	if (vm->L && !vm->arena)
		lua_close(vm->L);
	ao_arena_free(vm->arena);
	free(vm->message);
	free(vm->frames);
	free(vm);
}

void ao_vm_keep(ao_vm *vm)
{
	lua_gc(vm->L, LUA_GCCOLLECT);
	lua_gc(vm->L, LUA_GCSTOP);
	vm->kept = true;
	vm->kept_heap = vm->heap;
	if (vm->arena)
		ao_arena_snapshot(vm->arena);
}

bool ao_vm_rewind(ao_vm *vm)
{
	if (!vm->arena)
		return false;
	ao_arena_restore(vm->arena);
	vm->heap = vm->kept_heap;
	return true;
}

size_t ao_vm_image(const ao_vm *vm) { return vm->arena ? ao_arena_image(vm->arena) : 0; }

/* --- a call --- */

typedef struct job {
	void (*body)(lua_State *L, void *arg);
	void *arg;
} job;

static int run_body(lua_State *L)
{
	const job *j = lua_touserdata(L, 1);
	lua_settop(L, 0);
	j->body(L, j->arg);
	return 0;
}

/** The text of an error value of any type. Does not call into Lua, because a policy may raise a table with a harmful __tostring. */
static char *describe(lua_State *L)
{
	if (lua_type(L, 1) == LUA_TSTRING) {
		size_t len;
		const char *text = lua_tolstring(L, 1, &len);
		return ao_text_clean(text, len, MAX_MESSAGE);
	}
	if (lua_isinteger(L, 1))
		return ao_xasprintf("error value %lld", (long long)lua_tointeger(L, 1));
	if (lua_type(L, 1) == LUA_TNUMBER)
		return ao_xasprintf("error value %.14g", (double)lua_tonumber(L, 1));
	return ao_xasprintf("error value is a %s", luaL_typename(L, 1));
}

static int on_error(lua_State *L)
{
	ao_vm *vm = ao_vm_of(L);
	if (!vm->spent && !vm->message) {
		vm->message = describe(L);
		note_frames(vm);
	}
	return 1;
}

/** A message from a hook gets the policy in front, one from loading the file, where it does not begin with it anyway. */
static void name_culprit(const ao_vm *vm, ao_err **reterr)
{
	size_t len = strlen(vm->policy);
	if (!len || !reterr)
		return;
	if (strcmp(vm->hook, LOADING) != 0)
		ao_err_wrap(reterr, "policy '%s', %s", vm->policy, vm->hook);
	else if (strncmp((*reterr)->msg, vm->policy, len) != 0 || (*reterr)->msg[len] != ':')
		ao_err_wrap(reterr, "%s", vm->policy);
}

static int failure(ao_vm *vm, int status, ao_err **reterr)
{
	const ao_limits *l = &vm->limits;
	const char *open = vm->where[0] ? " (" : "", *where = vm->where, *close = vm->where[0] ? ")" : "";
	int code = -E2BIG;
	if (!vm->spent && status == LUA_ERRMEM)
		vm->spent = AO_SPENT_HEAP;
	if (vm->spent == AO_SPENT_STEPS)
		code = ao_err_set(reterr, -ETIME, "step budget of %llu spent%s%s%s", (unsigned long long)vm->max_steps, open, where, close);
	else if (vm->spent == AO_SPENT_CLOCK)
		code = ao_err_set(reterr, -EINTR, "stopped by the clock after %llu ms%s%s%s", (unsigned long long)vm->max_ms, open, where,
				  close);
	else if (vm->spent == AO_SPENT_HEAP)
		ao_err_set(reterr, code, "heap of %zu bytes used up%s%s%s%s", l->heap,
			   vm->admitting ? " by the objects that policies are shown" : "", open, where, close);
	else if (vm->spent == AO_SPENT_STRING)
		ao_err_set(reterr, code, "a string longer than %zu bytes%s%s%s", l->string, open, where, close);
	else if (vm->spent == AO_SPENT_OUTPUT)
		ao_err_set(reterr, code, "the result is larger than %zu bytes", l->output);
	else
		code = ao_err_set(reterr, -EINVAL, "%s%s", vm->message ? vm->message : "error while handling an error",
				  vm->frames ? vm->frames : "");
	name_culprit(vm, reterr);
	return code;
}

static void begin(ao_vm *vm)
{
	free(vm->message);
	free(vm->frames);
	vm->message = vm->frames = NULL;
	vm->policy[0] = vm->hook[0] = vm->where[0] = '\0';
	vm->instructions = vm->allocated = vm->growths = 0;
	vm->refusals = vm->log_lines = 0;
	vm->time_count = 0;
	vm->refused = false;
	vm->spent = AO_SPENT_NOTHING;
	vm->heap_peak = vm->heap;
	vm->max_steps = vm->limits.steps;
	vm->max_ms = vm->limits.cpu_ms;
	if (!vm->kept) {
		vm->max_steps = LOAD_FACTOR * (vm->max_steps > DEFAULT_STEPS ? vm->max_steps : DEFAULT_STEPS);
		vm->max_ms = LOAD_FACTOR * (vm->max_ms > DEFAULT_MS ? vm->max_ms : DEFAULT_MS);
	}
	vm->cpu_start_ms = ao_cpu_ms();
	vm->ask_ms = ao_mono_ms() + vm->max_ms;
}

/** Adds the time since the hook began to what it has taken so far. */
static void take_time(ao_vm *vm)
{
	uint64_t now = ao_mono_ns(), passed = now - vm->entered_ns;
	vm->entered_ns = now;
	if (!vm->policy[0])
		return;
	ao_hook_time *t = vm->times, *end = t + vm->time_count;
	while (t < end && (strcmp(t->policy, vm->policy) != 0 || strcmp(t->hook, vm->hook) != 0))
		t++;
	if (t == end && vm->time_count == AO_HOOK_TIMES)
		return;
	if (t == end) {
		memcpy(t->policy, vm->policy, sizeof(t->policy));
		memcpy(t->hook, vm->hook, sizeof(t->hook));
		t->ns = 0;
		vm->time_count++;
	}
	t->ns += passed;
}

int ao_vm_run(ao_vm *vm, void (*body)(lua_State *L, void *arg), void *arg, ao_call_stats *stats, ao_err **reterr)
{
	lua_State *L = vm->L;
	job j = {body, arg};
	begin(vm);
	lua_settop(L, 0);
	lua_pushcfunction(L, on_error);
	lua_pushcfunction(L, run_body);
	lua_pushlightuserdata(L, &j);
	lua_sethook(L, vm->coverage ? on_count_or_line : on_count, LUA_MASKCOUNT | (vm->coverage ? LUA_MASKLINE : 0), HOOK_EVERY);
	vm->running = true;
	vm->admitting = false;
	int status = lua_pcall(L, 1, 0, 1);
	vm->running = false;
	lua_sethook(L, NULL, 0, 0);
	lua_settop(L, 0);
	take_time(vm);
	if (stats) {
		*stats = (ao_call_stats){.steps = steps_of(vm), .heap_peak = vm->heap_peak, .hook_count = vm->time_count};
		memcpy(stats->hooks, vm->times, vm->time_count * sizeof(vm->times[0]));
	}
	return status == LUA_OK && !vm->spent ? 0 : failure(vm, status, reterr);
}

/* --- what C functions called by Lua use --- */

const ao_limits *ao_vm_limits(const ao_vm *vm) { return &vm->limits; }

const char *ao_vm_policy(const ao_vm *vm) { return vm->policy; }

const char *ao_vm_hook(const ao_vm *vm) { return vm->hook; }

void ao_vm_enter(ao_vm *vm, const char *policy, const char *hook)
{
	take_time(vm);
	snprintf(vm->policy, sizeof(vm->policy), "%s", policy);
	snprintf(vm->hook, sizeof(vm->hook), "%s", hook);
}

void ao_vm_cover(ao_vm *vm, ao_coverage *coverage) { vm->coverage = coverage; }

void ao_vm_on_log(ao_vm *vm, ao_vm_log_fn fn, void *arg)
{
	vm->on_log = fn;
	vm->on_log_arg = arg;
}

static void default_log(const char *level, const char *policy, const char *text)
{
	static const char *const names[] = {"debug", "info", "warn", "error"};
	ao_log_level at = AO_LOG_INFO;
	for (size_t i = 0; i < AO_LEN(names); i++)
		if (strcmp(level, names[i]) == 0)
			at = (ao_log_level)i;
	ao_log(at, AO_POLICY, *policy ? policy : NULL, "%s", text);
}

void ao_vm_log(ao_vm *vm, const char *level, const char *policy, const char *text)
{
	if (vm->log_lines > MAX_LOG_LINES)
		return;
	if (vm->log_lines++ == MAX_LOG_LINES)
		text = "more than 100 lines in one call: the rest is not logged";
	if (vm->on_log)
		vm->on_log(vm->on_log_arg, level, policy, text);
	else
		default_log(level, policy, text);
}
