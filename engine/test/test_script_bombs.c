/* What a policy may do by accident or on purpose: each ends in a named error, soon, and the next call is as good as new. */
#include "base/clock.h"
#include "base/file.h"
#include "script_case.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define KIB ((size_t)1024)
#define ROUNDS 2
#define CALM_MS 60000 /* a clock that is not reached before the steps are spent */
#define CALLS 4
#ifdef AO_SANITIZE
#define MAX_CPU_MS 10000
#define SEEDS 10
#else
#define MAX_CPU_MS 1000
#define SEEDS 100
#endif

typedef struct bomb {
	const char *name;
	const char *body;
	int code;         /* -ETIME, -E2BIG, -EINVAL; 1: either limit */
	const char *text; /* part of the message */
} bomb;

static const bomb bombs[] = {
    {"endless loop", "while true do end", -ETIME, "policy 'p', render: step budget of 1000000 spent (p.lua:2)"},
    {"endless loop in pcall", "while true do pcall(function() while true do end end) end", -ETIME,
     "step budget of 1000000 spent (p.lua:2)"},
    {"pcall in pcall in pcall", "local function f(n) while true do if n > 0 then pcall(f, n - 1) end end end\nf(50)", -ETIME,
     "step budget"},
    {"pcall that goes on after", "pcall(function() while true do end end)\nplan:requeue_after(1)", -ETIME, "step budget"},
    {"error handler that loops", "pcall(error, setmetatable({}, {__tostring = function() while true do end end}))\nwhile true do end",
     -ETIME, "step budget"},
    {"string.rep", "local s = string.rep('x', 1000000000)", 1, "p.lua:2"},
    {"string.rep of nothing", "local s = string.rep('', 1000000000000)\nerror('done')", -EINVAL, "p.lua:3: done"},
    {"string doubling", "local s = 'x'\nwhile true do s = s .. s end", -E2BIG,
     "policy 'p', render: a string longer than 262144 bytes (p.lua:3)"},
    {"string doubling in pcall", "while true do pcall(function() local s = 'x' while true do s = s .. s end end) end", -E2BIG,
     "a string longer than 262144 bytes"},
    {"table of tables", "local t = {}\nwhile true do t = { t, {}, {} } end", 1, "(p.lua:3)"},
    {"big table", "local t = {}\nfor i = 1, 10000000 do t[i] = i end", 1, "(p.lua:3)"},
    {"many long strings", "local t = {}\nfor i = 1, 10000 do t[i] = string.rep('x', 200000) .. i end", -E2BIG,
     "policy 'p', render: heap of 16777216 bytes used up (p.lua:3)"},
    {"heap in pcall", "local t = {}\nwhile true do pcall(function() t[#t + 1] = string.rep('x', 100000) .. #t end) end", -E2BIG, "heap of"},
    {"at the edge of the heap",
     "local t, s = {}, string.rep('x', 1000)\nfor i = 1, 16e6 / 1100 do t[i] = s .. i end\nwhile true do local u = s .. #t end", 1, ""},
    {"deep recursion", "local function f(n) return 1 + f(n + 1) end\nf(1)", 1, "policy 'p', render"},
    {"deep recursion in pcall", "local function f() pcall(f) end\nwhile true do f() end", 1, "policy 'p', render"},
    {"tail recursion", "local function f() return f() end\nf()", -ETIME, "step budget"},
    {"__index loop", "local t = {}\nsetmetatable(t, { __index = t })\nlocal x = t.a", -EINVAL, "p.lua:4"},
    {"__index recursion", "local m = {}\nm.__index = function(t, k) return t[k .. 'x'] end\nlocal x = setmetatable({}, m).a", 1, "p.lua"},
    {"__index chain", "local t = {}\nfor i = 1, 1900 do t = setmetatable({}, { __index = t }) end\nwhile true do local x = t.a end",
     -EINVAL, "C stack overflow"},
    {"__index chain with long keys",
     "local a, b = ('x'):rep(50000) .. 'a', ('x'):rep(50000) .. 'b'\nlocal t = {}\nfor i = 1, 150 do t = setmetatable({ [a] = 1 }, { "
     "__index = t }) end\nfor i = 1, 10000 do local x = t[b] end",
     1, ""},
    {"__newindex chain", "local t = {}\nfor i = 1, 1900 do t = setmetatable({}, { __newindex = t }) end\nt.a = 1", -EINVAL,
     "C stack overflow"},
    {"callable table", "local t = {}\nsetmetatable(t, { __call = t })\nt()", -EINVAL,
     "p.lua:3: metatable field '__call' must be a function, not a table"},
    {"chain of callable tables", "local t = {}\nfor i = 1, 3000 do t = setmetatable({}, { __call = t }) end\nt()", -EINVAL, "p.lua"},
    {"__call set later", "local t, mt = {}, {}\nsetmetatable(t, mt)\nmt.__call = t\nt()", -EINVAL,
     "p.lua:5: attempt to call a table value"},
    {"__call of a metatable got back", "local t = setmetatable({}, {})\ngetmetatable(t).__call = t\nt()", -EINVAL,
     "p.lua:4: attempt to call a table value"},
    {"plain search", "local s, p = ('a'):rep(262144), ('a'):rep(131071) .. 'b'\nwhile true do s:find(p, 1, true) end", -ETIME,
     "step budget of 1000000 spent (p.lua:3)"},
    {"split", "local s, p = ('a'):rep(262144), ('a'):rep(131071) .. 'b'\nwhile true do require 'text'.split(s, p) end", -ETIME,
     "step budget of 1000000 spent (p.lua:3)"},
    {"a list that has no end",
     "local k8s, list = require 'k8s', setmetatable({}, { __len = function() return 1 << 60 end, __index = rawlen })\n"
     "while true do pcall(k8s.name, list) end",
     1, "(p.lua:3)"},
    {"split by nothing", "require 'text'.split('a', '')", -EINVAL, "p.lua:2: text.split: the separator must not be empty"},
    {"__eq loop", "local m = {}\nm.__eq = function(a, b) return a == b end\nlocal x = setmetatable({}, m) == setmetatable({}, m)", 1,
     "policy 'p'"},
    {"__concat loop", "local m = {}\nm.__concat = function(a, b) return a .. b end\nlocal x = setmetatable({}, m) .. 'x'", 1, "policy 'p'"},
    {"long strings as keys", "local t = {}\nwhile true do t[string.rep('x', 100000)] = 1 end", 1, "policy 'p', render"},
    {"sha256", "local s, text = string.rep('x', 200000), require 'text'\nwhile true do text.sha256(s) end", -ETIME, "step budget"},
    {"base64", "local s, text = string.rep('x', 190000), require 'text'\nwhile true do text.base64_encode(s) end", -ETIME, "step budget"},
    {"base64 back", "local s, text = string.rep('x', 262144), require 'text'\nwhile true do text.base64_decode(s) end", -ETIME,
     "step budget"},
    {"base64 of too much", "require 'text'.base64_encode(string.rep('x', 262144))", -E2BIG, "a string longer than 262144 bytes"},
    {"fill with much", "require 'text'.fill(('{{a}}'):rep(50000), { a = ('x'):rep(200000) })", -EINVAL,
     "p.lua:2: text.fill: the text is longer than 262144 bytes"},
    {"fill forever", "local s, text = ('{{a}}'):rep(50000), require 'text'\nwhile true do text.fill(s, { a = '' }) end", -ETIME,
     "step budget"},
    {"quantities of a list that has no end", "require 'quantity'.sum(setmetatable({}, { __index = function() return 1 end }))", -ETIME,
     "step budget"},
    {"conditions that have no end", "require 'conditions'.summary(setmetatable({}, { __index = function() return { type = 'A' } end }))", 1,
     "policy 'p', render"},
    {"upper", "local s = string.rep('x', 200000)\nwhile true do local u = s:upper() end", 1, "p.lua:3"},
    {"table.concat", "local t = {}\nfor i = 1, 1000 do t[i] = string.rep('x', 1000) end\nlocal s = table.concat(t)", 1,
     "policy 'p', render"},
    {"table.concat over a huge range", "local s = table.concat({}, '', 1, 1 << 60)", 1, "policy 'p', render"},
    {"table.unpack", "local a = table.unpack({}, 1, 100000000)", 1, "policy 'p', render"},
    {"table.insert at the front", "local t = {}\nwhile true do table.insert(t, 1, 1) end", 1, "policy 'p', render"},
    {"table.move", "table.move({}, 1, 1 << 60, 2)", 1, "policy 'p', render"},
    {"sort with a mad order",
     "local t = {}\nfor i = 1, 100000 do t[i] = i end\nwhile true do table.sort(t, function() return true end) end", 1, ""},
    {"pattern", "local x = string.find(('a'):rep(30), ('a?'):rep(30) .. ('a'):rep(30))", -ETIME, "step budget"},
    {"pattern by method", "local x = ('a'):rep(30):match(('a*'):rep(30) .. 'b')", -ETIME, "step budget"},
    {"gsub", "local s = ('x'):rep(1000):gsub('', ('y'):rep(1000))", 1, "policy 'p', render"},
    {"gsub forever", "while true do (('x'):rep(1000)):gsub('x', 'y') end", -ETIME, "step budget"},
    {"format", "local s = string.format('%99999s', 'x')", -EINVAL, "p.lua:2"},
    {"next over an emptied table",
     "local t = {}\nfor i = 1, 100000 do t['k' .. i] = 1 end\nfor i = 1, 100000 do t['k' .. i] = nil end\nwhile true do next(t) end", 1,
     ""},
    {"log flood", "while true do log.info('x') end", -ETIME, "step budget"},
    {"plan flood", "for i = 1, 1e9 do plan:add('r' .. i, {}) end", 1, "policy 'p', render"},
    {"error table", "error({ code = 1 })", -EINVAL, "policy 'p', render: error value is a table"},
    {"error nil", "error()", -EINVAL, "policy 'p', render: error value is a nil"},
    {"error number", "error(42)", -EINVAL, "error value 42"},
    {"error with __tostring", "error(setmetatable({}, { __tostring = function() while true do end end }))", -EINVAL,
     "error value is a table"},
    {"error of bytes", "error('\\0\\27[31m\\xff', 0)", -EINVAL, "policy 'p', render: ??[31m?"},
    {"long error", "error(string.rep('x', 200000))", -EINVAL, "p.lua:2: xxx"},
};

/** Long work inside single instructions: only the clock ends these, and says so by a code of its own. */
static const bomb slow_bombs[] = {
    {"comparison of long strings", "local a, b = string.rep('x', 200000), string.rep('x', 199999) .. 'x'\nwhile a <= b do end", -EINTR,
     "policy 'p', render: stopped by the clock after 500 ms (p.lua:3)"},
    {"comparison of NUL bytes", "local a, b = ('\\0'):rep(262143), ('\\0'):rep(262143) .. 'x'\nwhile a <= b do end", -EINTR, "(p.lua:3)"},
    {"endless arguments", "local function f(...) return f(1, ...) end\nf()", -EINTR, "(p.lua:2)"},
    {"a number of many digits", "local s = (' '):rep(262144)\nwhile true do tonumber(s) end", -EINTR, "(p.lua:3)"},
    {"equality of long strings", "local a, b = string.rep('x', 200000), string.rep('x', 199999) .. 'x'\nwhile a == b do end", -EINTR,
     "(p.lua:3)"},
};

static int complaints;

static void complain(const bomb *b, int number, const char *text)
{
	complaints++;
	print_error("%s: %d, %.300s\n", b->name, number, text);
}

static void check_limited(ao_bundle *bundle, const bomb *b)
{
	ao_auto_err ao_err *err = NULL;
	cJSON *result = NULL;
	ao_call_stats stats = {0};
	clock_t before = clock();
	int r = plan(bundle, &result, &stats, &err);
	long took = (long)((clock() - before) * 1000 / CLOCKS_PER_SEC);
	assert_null(result);
	if (!(b->code == 1 ? r == -ETIME || r == -E2BIG || r == -EINVAL : r == b->code) || !strstr(ao_err_text(err), b->text))
		return complain(b, r, ao_err_text(err));
	assert_true(strlen(ao_err_text(err)) < 4096);
	assert_string_equal(ao_bundle_failed_policy(bundle), "p");
	assert_string_equal(ao_bundle_failed_hook(bundle), "render");
	assert_true(stats.heap_peak <= 16384 * KIB);
	if (took > MAX_CPU_MS)
		return complain(b, (int)took, "ms are too long");
	if (getenv("VERBOSE"))
		printf("%-32s %4d %4ld ms %8llu steps %6zu KiB  %.120s\n", b->name, r, took, (unsigned long long)stats.steps,
		       stats.heap_peak / 1024, ao_err_text(err));
}

static void silent(void *arg, const char *level, const char *policy, const char *text)
{
	(void)level, (void)policy, (void)text;
	++*(int *)arg;
}

static void check_all(const bomb *list, size_t count, uint64_t cpu_ms)
{
	complaints = 0;
	for (size_t i = 0; i < count; i++) {
		int lines = 0;
		ao_auto_bundle ao_bundle *bundle = load_render(list[i].body, &(ao_limits){.cpu_ms = cpu_ms});
		ao_bundle_on_log(bundle, silent, &lines);
		for (int round = 0; round < ROUNDS; round++)
			check_limited(bundle, &list[i]);
		assert_true(lines <= ROUNDS * 101);
	}
	assert_int_equal(complaints, 0);
}

static void test_every_bomb_ends_in_a_named_error(void **state)
{
	(void)state;
	check_all(bombs, AO_LEN(bombs), CALM_MS);
	check_all(slow_bombs, AO_LEN(slow_bombs), 0);
}

static void test_after_a_bomb_the_bundle_works(void **state)
{
	(void)state;
	ao_auto_bundle ao_bundle *bundle = load_render(
	    "if actor.spec.bomb then local t = {} for i = 1, 1e7 do t[i] = ('x'):rep(1000):rep(100) .. i end end plan:requeue_after(7)",
	    NULL);
	ao_auto_json cJSON *bad = parse("{\"parent\":{\"metadata\":{\"name\":\"a\"},\"spec\":{\"bomb\":true}}}");
	for (int i = 0; i < 5; i++) {
		cJSON *result = NULL;
		ao_auto_err ao_err *err = NULL;
		assert_int_equal(ao_bundle_plan(bundle, bad, &result, NULL, &err), -E2BIG);
		assert_text(ao_err_text(err), "heap of 16777216 bytes used up");
		assert_int_equal(plan(bundle, &result, NULL, NULL), 0);
		assert_int_equal(cJSON_GetObjectItem(result, "requeue_after")->valueint, 7);
		assert_string_equal(ao_bundle_failed_policy(bundle), "");
		cJSON_Delete(result);
	}
}

/** What a parent asks to be shown is charged to the call, and told apart from what policies do with it. */
static void test_what_is_shown_counts(void **state)
{
	(void)state;
	ao_auto_bundle ao_bundle *bundle = load_render("plan:requeue_after(7)", NULL);
	ao_auto_json cJSON *snapshot = parse("{\"parent\":{\"metadata\":{\"name\":\"a\"}},\"related\":[]}");
	ao_auto_str char *text = ao_xmalloc(40 * KIB + 1);
	memset(text, 'x', 40 * KIB);
	text[40 * KIB] = '\0';
	for (int i = 0; i < 500; i++) {
		cJSON *object = cJSON_CreateObject();
		ao_json_set_str(object, "text", text);
		cJSON_AddItemToArray(ao_json_at(snapshot, "related"), object);
	}
	ao_auto_json cJSON *result = NULL;
	ao_auto_err ao_err *err = NULL;
	assert_int_equal(ao_bundle_plan(bundle, snapshot, &result, NULL, &err), -E2BIG);
	assert_string_equal(ao_err_text(err), "heap of 16777216 bytes used up by the objects that policies are shown");
	assert_int_equal(plan(bundle, &result, NULL, NULL), 0);
}

/** Limits given by the caller are the ones that count and that are named. */
static void test_limits_are_the_callers(void **state)
{
	(void)state;
	static const struct {
		ao_limits limits;
		const char *body;
		int code;
		const char *text;
	} cases[] = {
	    {{.steps = 5000}, "for i = 1, 20000 do end", -ETIME, "step budget of 5000 spent (p.lua:2)"},
	    {{.steps = 5000}, "local t = {} for i = 1, 300 do t[i] = ('x'):rep(2000) .. i end", -ETIME, "step budget of 5000"},
	    {{.heap = 1 << 20}, "local t = {} for i = 1, 1e6 do t[i] = i end", -E2BIG, "heap of 1048576 bytes"},
	    {{.string = 5000}, "local s = ('x'):rep(2000)\ns = s .. s .. s", -E2BIG, "a string longer than 5000 bytes (p.lua:3)"},
	    {{.string = 5000}, "local s = ('x'):rep(20000)", 1, "p.lua:2"},
	    {{.output = 4000}, "for i = 1, 200 do plan:queue { name = 'queue' .. i } end", -E2BIG, "the result is larger than 4000 bytes"},
	    {{.cpu_ms = 20, .steps = UINT64_MAX / 2}, "while true do end", -EINTR, "stopped by the clock after 20 ms (p.lua:2)"},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_sources ao_sources sources = {0};
		put_render(&sources, cases[i].body);
		ao_limits limits = cases[i].limits;
		limits.string = limits.string ? limits.string : 100000; /* the SDK's own sources must not matter */
		ao_auto_bundle ao_bundle *bundle = load_sources(&sources, &limits);
		ao_auto_err ao_err *err = NULL;
		cJSON *result = NULL;
		int r = plan(bundle, &result, NULL, &err);
		if ((cases[i].code == 1 ? r >= 0 : r != cases[i].code) || !strstr(ao_err_text(err), cases[i].text))
			fail_msg("case %zu: %s", i, ao_err_text(err));
	}
}

static void test_output_has_bounds(void **state)
{
	(void)state;
	static const struct {
		const char *body;
		int code;
		const char *text;
	} cases[] = {
	    {"local s = ('x'):rep(200000)\nlocal t = {}\nfor i = 1, 50 do t[i] = s end\nplan:queue { name = 'q', t = t }", -E2BIG,
	     "the result is larger than 2097152 bytes"},
	    {"local t = {}\nfor i = 1, 40 do t = { t, t } end\nplan:queue { name = 'q', t = t }", -E2BIG, "the result is larger than"},
	    {"local t = {}\nfor i = 1, 70 do t = { x = t } end\nplan:queue { name = 'q', t = t }", -EINVAL,
	     "nested more than 64 levels deep"},
	    {"local t = {}\nt.t = t\nplan:queue { name = 'q', t = t }", -EINVAL, "queues[0].t.t.t.t"},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_bundle ao_bundle *bundle = load_render(cases[i].body, NULL);
		ao_auto_err ao_err *err = NULL;
		cJSON *result = NULL;
		if (plan(bundle, &result, NULL, &err) != cases[i].code || !strstr(ao_err_text(err), cases[i].text))
			fail_msg("case %zu: %s", i, ao_err_text(err));
		assert_null(result);
	}
}

static void test_what_is_absent_cannot_be_reached(void **state)
{
	(void)state;
	static const char *const absent[] = {"load",   "loadstring", "dofile", "loadfile", "collectgarbage", "coroutine",
					     "debug",  "io",         "os",     "print",    "warn",           "package",
					     "xpcall", "host",       "_G",     "_ENV._G",  "math.random"};
	for (size_t i = 0; i < AO_LEN(absent); i++) {
		ao_auto_str char *body =
		    ao_xasprintf("local ok, x = pcall(function() return %s end)\nif ok and x ~= nil then error('reached') end", absent[i]);
		ao_auto_bundle ao_bundle *bundle = load_render(body, NULL);
		ao_auto_json cJSON *result = NULL;
		ao_auto_err ao_err *err = NULL;
		if (plan(bundle, &result, NULL, &err) != 0)
			fail_msg("%s: %s", absent[i], ao_err_text(err));
	}
}

/** What a policy could put a finalizer into: one that is run gets no hook, and so no limit. */
static void test_no_finalizer_can_be_armed(void **state)
{
	(void)state;
	static const struct {
		const char *name, *body, *text;
	} cases[] = {
	    {"given", "setmetatable({}, { __gc = f })", "p.lua:3: metatable field '__gc' is not allowed"},
	    {"set later", "local mt = {}\nsetmetatable({}, mt)\nmt.__gc = f\nsetmetatable({}, mt)",
	     "p.lua:6: metatable field '__gc' is not allowed"},
	    {"the arrays' metatable", "local json = require 'json'\njson.array_mt.__gc = f\njson.array {}",
	     "p.lua:4: attempt to index a nil"},
	    {"... got from one", "local json = require 'json'\ngetmetatable(json.array {}).__gc = f",
	     "p.lua:4: attempt to index a boolean"},
	    {"the rules' metatable", "local schema = require 'schema'\nschema.string().__index.__gc = f\nschema.string()",
	     "p.lua:4: attempt to index a nil"},
	    {"the plan's metatable", "plan.__index.__gc = f", "p.lua:3: attempt to index a nil"},
	    {"the string's metatable", "getmetatable('').__gc = f", "p.lua:3: attempt to index a boolean"},
	    {"a protected metatable", "setmetatable({}, { __metatable = { __gc = f } })",
	     "p.lua:3: metatable field '__metatable' is not allowed"},
	    {"to be closed", "local x <close> = setmetatable({}, { __close = f })", "p.lua:3: metatable field '__close' is not allowed"},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_str char *body = ao_xasprintf("local function f() while true do end end\n%s\nerror('armed')", cases[i].body);
		ao_auto_bundle ao_bundle *bundle = load_render(body, NULL);
		ao_auto_err ao_err *err = NULL;
		cJSON *result = NULL;
		if (plan(bundle, &result, NULL, &err) != -EINVAL || !strstr(ao_err_text(err), cases[i].text))
			fail_msg("%s: %s", cases[i].name, ao_err_text(err));
	}
}

/** A table that was large once is walked in C, as often as the result names it. */
static void test_a_result_that_takes_long_to_read_is_stopped(void **state)
{
	(void)state;
	ao_auto_bundle ao_bundle *bundle = load_render("local t, list = {}, {}\n"
						       "for i = 1, 32768 do t[i * 1000] = true end\n"
						       "for i = 1, 32768 do t[i * 1000] = nil end\n"
						       "for i = 1, 100000 do list[i] = t end\n"
						       "plan:queue { name = 'q', list = list }",
						       NULL);
	ao_auto_err ao_err *err = NULL;
	cJSON *result = NULL;
	uint64_t before = ao_cpu_ms();
	assert_int_equal(plan(bundle, &result, NULL, &err), -EINTR);
	assert_text(ao_err_text(err), "stopped by the clock after 500 ms");
	assert_in_range(ao_cpu_ms() - before, 0, MAX_CPU_MS);
}

/** The compiler runs no instruction that is counted. */
static void test_a_file_that_compiles_for_ever_is_stopped(void **state)
{
	(void)state;
	ao_buf text = ao_buf_init(262144);
	ao_buf_printf(&text, "local a\nlocal b = ");
	while (text.len < 260000)
		ao_buf_printf(&text, "a or ");
	ao_buf_printf(&text, "a");
	ao_auto_sources ao_sources sources = {0};
	put(&sources, "manifest.lua", MANIFEST);
	ao_sources_put(&sources, "p.lua", text.data, text.len, "test");
	ao_buf_free(&text);
	ao_auto_err ao_err *err = NULL;
	ao_bundle *bundle = NULL;
	uint64_t before = ao_cpu_ms();
	assert_int_equal(ao_bundle_load(&sources, NULL, NULL, &bundle, &err), -EINTR);
	assert_string_equal(ao_err_text(err), "p.lua: stopped by the clock after 2000 ms");
	assert_in_range(ao_cpu_ms() - before, 0, 2000 + MAX_CPU_MS);
}

static void sleep_long(void *arg, const char *level, const char *policy, const char *text)
{
	(void)arg, (void)level, (void)policy, (void)text;
	usleep(700000);
}

/** As on a starved node, or after SIGSTOP. */
static void test_time_in_which_we_did_not_run_is_not_counted(void **state)
{
	(void)state;
	ao_auto_bundle ao_bundle *bundle = load_render("log.info 'x'\nfor i = 1, 1000 do end\nplan:requeue_after(7)", NULL);
	ao_bundle_on_log(bundle, sleep_long, NULL);
	ao_auto_err ao_err *err = NULL;
	ao_auto_json cJSON *result = NULL;
	if (plan(bundle, &result, NULL, &err) != 0)
		fail_msg("%s", ao_err_text(err));
}

static void put_file(ao_sources *sources, const char *name, const char *path)
{
	ao_auto_buf ao_buf text = ao_buf_init(64 * KIB);
	ao_auto_err ao_err *err = NULL;
	if (ao_file_read(path, &text, &err) < 0)
		fail_msg("%s", ao_err_text(err));
	ao_sources_put(sources, name, text.data, text.len, path);
}

typedef struct watched {
	unsigned seed, well;
} watched;

static void on_victim(void *arg, const char *level, const char *policy, const char *text)
{
	watched *w = arg;
	(void)level, (void)policy;
	w->well += strstr(text, "all is well") != NULL;
	if (strncmp(text, "changed: ", 9) == 0 || strncmp(text, "an address: ", 12) == 0)
		fail_msg("seed %u: %s", w->seed, text);
}

/** Random programs over all that can be reached (spec/sdk/hostile.lua) change nothing for the policy behind them. */
static void test_hostile_policies_change_nothing_for_others(void **state)
{
	(void)state;
	watched w = {0};
	for (w.seed = 1; w.seed <= SEEDS; w.seed++) {
		ao_auto_sources ao_sources sources = {0};
		ao_auto_str char *seed = ao_xasprintf("%u", w.seed);
		put(&sources, "manifest.lua", MANIFEST);
		put(&sources, "seed", seed);
		put_file(&sources, "a.lua", "spec/sdk/hostile.lua");
		put_file(&sources, "b.lua", "spec/sdk/victim.lua");
		ao_auto_bundle ao_bundle *bundle = NULL;
		ao_auto_err ao_err *err = NULL;
		int r = ao_bundle_load(&sources, NULL, NULL, &bundle, &err);
		if (r == -EINVAL)
			fail_msg("seed %u: %s", w.seed, ao_err_text(err));
		for (int call = 0; r == 0 && call < CALLS; call++) {
			ao_auto_json cJSON *snapshot = parse("{\"now\":\"2026-01-02T15:04:05Z\",\"parent\":" PARENT "}"), *result = NULL;
			ao_json_set(ao_json_at(snapshot, "parent", "spec"), "seed", cJSON_CreateNumber(call));
			ao_bundle_on_log(bundle, on_victim, &w);
			(call % 2 ? ao_bundle_status : ao_bundle_plan)(bundle, snapshot, &result, NULL, NULL);
		}
	}
	assert_true(w.well > SEEDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_bomb_ends_in_a_named_error),
	    cmocka_unit_test(test_after_a_bomb_the_bundle_works),
	    cmocka_unit_test(test_what_is_shown_counts),
	    cmocka_unit_test(test_limits_are_the_callers),
	    cmocka_unit_test(test_output_has_bounds),
	    cmocka_unit_test(test_what_is_absent_cannot_be_reached),
	    cmocka_unit_test(test_no_finalizer_can_be_armed),
	    cmocka_unit_test(test_a_result_that_takes_long_to_read_is_stopped),
	    cmocka_unit_test(test_a_file_that_compiles_for_ever_is_stopped),
	    cmocka_unit_test(test_time_in_which_we_did_not_run_is_not_counted),
	    cmocka_unit_test(test_hostile_policies_change_nothing_for_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
