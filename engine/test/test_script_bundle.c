/* Bundles: loading and its errors, what hooks get and return, order, and that nothing survives a call. */
#include "script_case.h"

#include <stdio.h>

#define DEFINE(name, rest) "return require 'policy'.define { name = '" name "', " rest " }"

static int load(const ao_sources *sources, const char *settings, ao_bundle **ret, ao_err **reterr)
{
	ao_auto_json cJSON *given = settings ? parse(settings) : NULL;
	return ao_bundle_load(sources, given, NULL, ret, reterr);
}

/* --- loading --- */

typedef struct bad_file {
	const char *name, *text, *message; /* beside manifest.lua */
	const char *settings;
} bad_file;

static const bad_file bad_files[] = {
    {"a.lua", "local x = = 1", "a.lua:1: unexpected symbol near '='", NULL},
    {"a.lua", "\n\nerror('boom')", "a.lua:3: boom", NULL},
    {"a.lua", "", "a.lua: a file must return policy.define{...}, policy.manifest{...} or policy.library{...}", NULL},
    {"a.lua", "return {}", "a.lua: a file must return", NULL},
    {"a.lua", "return { name = 'x', render = function() end }", "a.lua: a file must return", NULL},
    {"a.lua", "\x1bLuaS", "a.lua: attempt to load a binary chunk", NULL},
    {"a.lua", "while true do end", "a.lua: step budget of 4000000 spent (a.lua:1)", NULL},
    {"a.lua", "error('boom', 0)", "a.lua: boom", NULL},
    {"a.lua", "error()", "a.lua: error value is a nil", NULL},
    {"a.lua", "error(setmetatable({}, { __tostring = function() while true do end end }))", "a.lua: error value is a table", NULL},
    {"a.lua", "require 'schema'.string { [{}] = 1 }\nrequire 'text'.split()", "a.lua: sdk/text.lua:", NULL},
    {"a.lua", "x = 1", "a.lua:1: assignment to global 'x': use local", NULL},
    {"a.lua", "local y = x", "a.lua:1: unknown global 'x'", NULL},
    {"a.lua", DEFINE("a", "rendr = 1"), "a.lua: policy.define: unknown field 'rendr' (known: ", NULL},
    {"a.lua", DEFINE("a", "render = 1"), "a.lua: policy.define.render must be a function, not a number", NULL},
    {"a.lua", DEFINE("a", "after = 'b'"), "a.lua: policy.define.after must be a table", NULL},
    {"a.lua", DEFINE("a", "after = { 1 }"), "a.lua: policy.define.after[1] must be a string", NULL},
    {"a.lua", DEFINE("a", "after = { x = 'b' }"), "a.lua: policy.define.after must be a list", NULL},
    {"a.lua", DEFINE("a b", ""), "a.lua: policy.define.name 'a b'", NULL},
    {"a.lua", "return require 'policy'.define {}", "a.lua: policy.define.name is missing", NULL},
    {"a.lua", "return require 'policy'.define()", "a.lua: policy.define must be a table", NULL},
    {"a.lua", DEFINE("a", "after = { 'b' }"), "a.lua: policy 'a' is to run after 'b', which is not in the bundle (policies: a)", NULL},
    {"a.lua", DEFINE("a", "after = { 'a' }"), "policies wait for each other in a circle: a (a.lua, after a)", NULL},
    {"a.lua", DEFINE("a", ""), "params must be a table: policy name to parameters", "{\"params\":[1]}"},
    {"a.lua", DEFINE("a", "params = { n = require 'schema'.string() }"), "a.lua: params of policy 'a'", "{\"params\":{\"a\":{\"n\":5}}}"},
    {"a.lua", DEFINE("a", "params = { n = require 'schema'.string() }"), "a.lua: params of policy 'a'",
     "{\"params\":{\"a\":{\"m\":\"\"}}}"},
    {"a.lua", MANIFEST, "manifest.lua: there is a manifest already, in a.lua", NULL},
    {"a.lua", "return require 'policy'.manifest {}", "a.lua:1: policy.manifest.parent is missing", NULL},
    {"a.lua", "local x = require 'nothing'", "a.lua:1: there is no module 'nothing' (SDK: ", NULL},
    {"a.lua", "local x = require 'manifest'", "a.lua:1: manifest.lua is a manifest: only what returns policy.library{...} can be required",
     NULL},
    {"a.lua", "local x = require 'a'", "a.lua requires itself: a.lua -> a.lua", NULL},
    {"a.lua", "local x = require 'plan'", "a.lua:1: there is no module 'plan'", NULL},
    {"a.lua", "local x = require 'bundle'", "a.lua:1: there is no module 'bundle'", NULL},
    {"a.lua", "local x = require 'policy'.file('x.py')", "a.lua:1: policy.file: there is no file 'x.py' in the bundle", NULL},
    {"a.lua", "return require 'policy'.library(1)", "a.lua: policy.library must be given a table", NULL},
};

static void test_what_does_not_load_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < AO_LEN(bad_files); i++) {
		const bad_file *f = &bad_files[i];
		ao_auto_sources ao_sources sources = {0};
		put(&sources, "manifest.lua", MANIFEST);
		put(&sources, f->name, f->text);
		ao_bundle *bundle = NULL;
		ao_auto_err ao_err *err = NULL;
		int r = load(&sources, f->settings, &bundle, &err);
		assert_null(bundle);
		assert_true(r == -EINVAL || r == -ETIME);
		if (!strstr(ao_err_text(err), f->message))
			fail_msg("%s: %s", f->text, ao_err_text(err));
	}
}

static void test_files_that_do_not_go_together_are_named(void **state)
{
	(void)state;
	static const struct {
		const char *a, *b, *message;
	} cases[] = {
	    {DEFINE("a", "after = { 'b' }"), DEFINE("b", "after = { 'a' }"), "in a circle: a (a.lua, after b); b (b.lua, after a)"},
	    {DEFINE("x", ""), DEFINE("x", ""), "b.lua: there is a policy 'x' already, in a.lua"},
	    {"local b = require 'b'", "local a = require 'a'", "a.lua requires itself: a.lua -> b.lua -> a.lua"},
	    {"local b = require 'b'", "return\n\n1 + nil", "b.lua:3: "},
	    {"pcall(require, 'b')\nreturn require 'policy'.define { nam = 'a' }", "error {}", "a.lua: policy.define: unknown field 'nam'"},
	    {"pcall(require, 'b')\n" DEFINE("a", ""), "error {}", "b.lua: error value is a table"},
	    {"pcall(require, 'b')\nerror {}", "error 'b'", "a.lua: error value is a table"},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_sources ao_sources sources = {0};
		put(&sources, "manifest.lua", MANIFEST);
		put(&sources, "a.lua", cases[i].a);
		put(&sources, "b.lua", cases[i].b);
		ao_bundle *bundle = NULL;
		ao_auto_err ao_err *err = NULL;
		assert_int_equal(load(&sources, NULL, &bundle, &err), -EINVAL);
		assert_text(ao_err_text(err), cases[i].message);
	}
}

static void test_a_bundle_needs_a_manifest(void **state)
{
	(void)state;
	ao_auto_sources ao_sources sources = {0};
	put(&sources, "a.lua", DEFINE("a", ""));
	ao_bundle *bundle = NULL;
	cJSON *manifest = NULL;
	ao_auto_err ao_err *err = NULL;
	assert_int_equal(load(&sources, NULL, &bundle, &err), -EINVAL);
	assert_text(ao_err_text(err), "the bundle has no manifest");
	assert_int_equal(ao_bundle_peek_manifest(&sources, &manifest, &err), -EINVAL);
	assert_text(ao_err_text(err), "the bundle has no manifest");
	put(&sources, "m.lua", "return require 'policy'.manifest { oops");
	assert_int_equal(ao_bundle_peek_manifest(&sources, &manifest, &err), -EINVAL);
	assert_text(ao_err_text(err), "m.lua:1:");
	assert_null(manifest);
}

static void test_peeking_needs_no_working_policy(void **state)
{
	(void)state;
	ao_auto_sources ao_sources sources = {0};
	put(&sources, "a.lua", "syntax error");
	put(&sources, "m.lua",
	    "local policy = require 'policy' return policy.manifest { children = {}, field_manager = 'f', lease = 'l', "
	    "component = 'c', parent = { apiVersion = 'v1', kind = 'K', plural = 'ks' } }");
	ao_auto_json cJSON *manifest = NULL;
	assert_int_equal(ao_bundle_peek_manifest(&sources, &manifest, NULL), 0);
	assert_string_equal(ao_json_str(manifest, "parent", "plural"), "ks");
	assert_true(cJSON_IsArray(ao_json_at(manifest, "children")));
	assert_true(cJSON_IsArray(ao_json_at(manifest, "related")));
}

static void test_too_long_a_file_is_refused(void **state)
{
	(void)state;
	ao_auto_sources ao_sources sources = {0};
	put(&sources, "manifest.lua", MANIFEST);
	char *text = ao_xcalloc(1, 300000);
	ao_sources_put(&sources, "data.bin", text, 300000, "test");
	free(text);
	ao_bundle *bundle = NULL;
	ao_auto_err ao_err *err = NULL;
	assert_int_equal(load(&sources, NULL, &bundle, &err), -E2BIG);
	assert_text(ao_err_text(err), "data.bin: larger than 262144 bytes");
}

static void test_order_is_by_after_then_name(void **state)
{
	(void)state;
	ao_auto_sources ao_sources sources = {0};
	put(&sources, "1.lua", DEFINE("c", "doc = 'third'"));
	put(&sources, "2.lua", DEFINE("a", "after = { 'z' }"));
	put(&sources, "3.lua", DEFINE("z", "after = { 'c' }"));
	put(&sources, "4.lua", DEFINE("b", ""));
	put(&sources, "manifest.lua", MANIFEST);
	put(&sources, "readme.txt", "not Lua");
	ao_auto_bundle ao_bundle *bundle = load_sources(&sources, NULL);
	ao_auto_str char *text = ao_json_print(ao_bundle_policies(bundle));
	assert_string_equal(
	    text, "[{\"file\":\"4.lua\",\"name\":\"b\",\"origin\":\"test\"},"
		  "{\"doc\":\"third\",\"file\":\"1.lua\",\"name\":\"c\",\"origin\":\"test\"},"
		  "{\"file\":\"3.lua\",\"name\":\"z\",\"origin\":\"test\"},{\"file\":\"2.lua\",\"name\":\"a\",\"origin\":\"test\"}]");
	assert_string_equal(ao_json_str(ao_bundle_manifest(bundle), "parent", "kind"), "Thing");
}

static void test_the_digest_tells_what_changed(void **state)
{
	(void)state;
	ao_auto_sources ao_sources one = {0}, other_order = {0}, other_text = {0};
	put(&one, "manifest.lua", MANIFEST);
	put(&one, "a.lua", DEFINE("a", ""));
	put(&other_order, "a.lua", "replaced");
	put(&other_order, "manifest.lua", MANIFEST);
	put(&other_order, "a.lua", DEFINE("a", ""));
	put(&other_text, "manifest.lua", MANIFEST);
	put(&other_text, "a.lua", DEFINE("a", "") " ");
	const struct {
		const ao_sources *sources;
		const char *settings;
		bool same;
	} cases[] = {{&other_order, NULL, true}, {&one, "{}", true}, {&other_text, NULL, false}, {&one, "{\"image\":\"x\"}", false}};
	ao_auto_bundle ao_bundle *bundle = load_sources(&one, NULL);
	assert_int_equal(strlen(ao_bundle_digest(bundle)), 16);
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_bundle ao_bundle *other = NULL;
		assert_int_equal(load(cases[i].sources, cases[i].settings, &other, NULL), 0);
		assert_int_equal(strcmp(ao_bundle_digest(bundle), ao_bundle_digest(other)) == 0, cases[i].same);
	}
}

/* --- calls --- */

static void test_libraries_and_files(void **state)
{
	(void)state;
	ao_auto_sources ao_sources sources = {0};
	put(&sources, "manifest.lua", MANIFEST);
	put(&sources, "names.lua", "return require 'policy'.library { queue = function(actor) return 'q-' .. actor.metadata.name end }");
	put(&sources, "run.py", "print(1)\n");
	put(&sources, "p.lua",
	    "local policy, names = require 'policy', require 'names'\nlocal code = policy.file('run.py')\n" DEFINE(
		"p", "queues = function(actor, ctx, plan) plan:queue { name = names.queue(actor), code = code, image = ctx.settings.image, "
		     "same = require 'names' == names, p = ctx.params.x } end, params = { x = require 'schema'.string() }"));
	ao_auto_bundle ao_bundle *bundle = NULL;
	ao_auto_err ao_err *err = NULL;
	if (load(&sources, "{\"params\":{\"p\":{\"x\":\"y\"}}}", &bundle, &err) != 0)
		fail_msg("%s", ao_err_text(err));
	ao_auto_json cJSON *result = NULL;
	assert_int_equal(plan(bundle, &result, NULL, NULL), 0);
	ao_auto_str char *text = ao_json_print(ao_json_at(result, "queues"));
	assert_string_equal(text, "[{\"code\":\"print(1)\\n\",\"image\":\"i:1\",\"name\":\"q-a\",\"p\":\"y\",\"same\":true}]");
}

static void test_wrong_hooks_name_policy_and_hook(void **state)
{
	(void)state;
	static const struct {
		const char *body, *message;
	} cases[] = {
	    {"local x = nil\nlocal y = x.y", "policy 'p', render: p.lua:3: attempt to index a nil value (local 'x')"},
	    {"local function f(x)\nreturn x.y.z\nend\nlocal y = f({})\nreturn",
	     "policy 'p', render: p.lua:3: attempt to index a nil value (field 'y')\n\tp.lua:3: in local 'f'\n\tp.lua:5"},
	    {"return 1", "policy 'p', render: p.lua: the hook render must return nothing, returned a number"},
	    {"plan:add('r', { apiVersion = 'v1', kind = 'ConfigMap', metadata = {} })",
	     "policy 'p', plan: p.lua: role 'r': metadata.name must be a non-empty string"},
	    {"plan:add('r', { apiVersion = 'v1', kind = 'Pod', metadata = { name = 'x' } })",
	     "policy 'p', plan: p.lua: role 'r': neither the manifest nor a policy lists v1 Pod. Write into policy.define: kinds = "},
	    {"plan:add('r', {})\nplan:add('r', {})",
	     "policy 'p', render: p.lua:3: role 'r' is already in the plan, put there by policy 'p'"},
	    {"plan:add('r', { apiVersion = 'v1', kind = 'ConfigMap', metadata = { name = 'x' }, data = { f = type } })",
	     "policy 'p', result: objects[0].object.data.f: a function cannot be written as JSON"},
	    {"plan.add('r', {})", "policy 'p', render: p.lua:2: call it as plan:add(...), with a colon"},
	    {"require 'names'", "policy 'p', render: p.lua:2: there is no module 'names'"},
	    {"require 'policy'.file('p.lua')", "policy 'p', render: p.lua:2: policy.file('p.lua'): only while the bundle loads"},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_bundle ao_bundle *bundle = load_render(cases[i].body, NULL);
		cJSON *result = NULL;
		ao_auto_err ao_err *err = NULL;
		assert_int_equal(plan(bundle, &result, NULL, &err), -EINVAL);
		if (strncmp(ao_err_text(err), cases[i].message, strlen(cases[i].message)) != 0)
			fail_msg("%s:\n%s", cases[i].body, ao_err_text(err));
		assert_string_equal(ao_bundle_failed_policy(bundle), "p");
	}
}

static void test_plan_status_and_shared(void **state)
{
	(void)state;
	ao_auto_sources ao_sources sources = {0};
	put(&sources, "manifest.lua",
	    "return require 'policy'.manifest { parent = { apiVersion = 'x/v1', kind = 'Thing', plural = 'things' },"
	    " children = { { apiVersion = 'v1', kind = 'ConfigMap', plural = 'configmaps', shared = true } },"
	    " field_manager = 'm', lease = 'l', component = 'c' }");
	put(&sources, "p.lua",
	    DEFINE(
		"p",
		"validate = function(a) if a.spec.bad then return require 'policy'.invalid('spec.bad', 'is %d', 7) end end,"
		" shared = function(ctx, plan) plan:shared('c', { apiVersion = 'v1', kind = 'ConfigMap', metadata = { name = 's' } }) end,"
		" status = function(a, ctx, s, plan) s.now = ctx.now s.wrong = ctx.outcome.invalid.path"
		" plan:event { type = 'Warning', reason = 'R', note = 'n' } end"));
	ao_auto_bundle ao_bundle *bundle = load_sources(&sources, NULL);
	ao_auto_json cJSON *bad =
	    parse("{\"now\":\"t\",\"parent\":{\"metadata\":{},\"spec\":{\"bad\":true}},\"outcome\":{\"invalid\":{\"path\":\"x\"}}}");
	ao_auto_json cJSON *planned = NULL, *status = NULL, *shared = NULL, *none = NULL;
	assert_int_equal(ao_bundle_plan(bundle, bad, &planned, NULL, NULL), 0);
	assert_int_equal(ao_bundle_status(bundle, bad, &status, NULL, NULL), 0);
	assert_int_equal(ao_bundle_shared(bundle, &shared, NULL, NULL), 0);
	ao_auto_str char *a = ao_json_print(planned), *b = ao_json_print(status), *c = ao_json_print(shared);
	assert_string_equal(
	    a, "{\"events\":[],\"invalid\":{\"message\":\"is 7\",\"path\":\"spec.bad\",\"policy\":\"p\"},\"objects\":[],\"queues\":[]}");
	assert_string_equal(b, "{\"events\":[{\"note\":\"n\",\"policy\":\"p\",\"reason\":\"R\",\"type\":\"Warning\"}],\"status\":{\"now\":"
			       "\"t\",\"wrong\":\"x\"}}");
	assert_string_equal(c, "{\"objects\":[{\"object\":{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"s\"}},"
			       "\"policy\":\"p\",\"role\":\"c\",\"shared\":true}]}");
	ao_auto_json cJSON *empty = parse("{}");
	ao_auto_err ao_err *err = NULL;
	assert_int_equal(ao_bundle_plan(bundle, empty, &none, NULL, &err), -EINVAL);
	assert_text(ao_err_text(err), "the snapshot has no parent");
}

static void test_nothing_survives_a_call(void **state)
{
	(void)state;
	static const char *const bodies[] = {
	    "count = (count or 0) + 1\nplan:requeue_after(count)",
	    "seen[#seen + 1] = {}\nplan:requeue_after(#seen)",
	    "ctx.settings.n = (ctx.settings.n or 0) + 1\nplan:requeue_after(ctx.settings.n)",
	    "ctx.params.n = (ctx.params.n or 0) + 1\nplan:requeue_after(ctx.params.n)",
	    "ctx.settings.list[1] = (ctx.settings.list[1] or 0) + 1\nplan:requeue_after(ctx.settings.list[1])",
	    "lib.n = (lib.n or 0) + 1\nplan:requeue_after(lib.n)",
	    "actor.n = (actor.n or 0) + 1\nplan:requeue_after(actor.n)",
	};
	for (size_t i = 0; i < AO_LEN(bodies); i++) {
		ao_auto_sources ao_sources sources = {0};
		put_render(&sources, "");
		ao_auto_str char *text =
		    ao_xasprintf("local count, seen, lib = 0, {}, require 'lib'\nreturn require 'policy'.define { name = 'p', "
				 "render = function(actor, ctx, plan)\n%s\nend }",
				 bodies[i]);
		put(&sources, "p.lua", text);
		put(&sources, "lib.lua", "return require 'policy'.library {}");
		ao_auto_bundle ao_bundle *bundle = NULL;
		assert_int_equal(load(&sources, "{\"list\":[]}", &bundle, NULL), 0);
		ao_call_stats first = {0};
		for (int call = 0; call < 4; call++) {
			ao_auto_json cJSON *result = NULL;
			ao_auto_err ao_err *err = NULL;
			ao_call_stats stats;
			if (plan(bundle, &result, &stats, &err) != 0)
				fail_msg("%s: %s", bodies[i], ao_err_text(err));
			assert_int_equal(cJSON_GetNumberValue(ao_json_at(result, "requeue_after")), 1);
			first = call ? first : stats;
#ifndef AO_SANITIZE /* a fresh machine has another hash seed, and so slightly other tables */
			assert_int_equal(stats.steps, first.steps);
			assert_int_equal(stats.heap_peak, first.heap_peak);
#endif
		}
	}
}

static void test_the_built_in_bundle_loads(void **state)
{
	(void)state;
	ao_auto_sources ao_sources sources = {0};
	ao_sources_builtin(&sources);
	if (!sources.count)
		skip();
	ao_auto_bundle ao_bundle *bundle = load_sources(&sources, NULL);
	assert_true(cJSON_GetArraySize(ao_bundle_policies(bundle)) > 0);
	ao_auto_json cJSON *manifest = NULL, *shared = NULL;
	assert_int_equal(ao_bundle_peek_manifest(&sources, &manifest, NULL), 0);
	assert_true(ao_json_equal(manifest, ao_bundle_manifest(bundle)));
	assert_int_equal(ao_bundle_shared(bundle, &shared, NULL, NULL), 0);
	assert_true(cJSON_IsArray(ao_json_at(shared, "objects")));
}

/** The specs of the SDK run beside a stand-in; here it is C that works. */
static void test_base64_is_done_in_c(void **state)
{
	(void)state;
	static const char body[] =
	    "local text, all = require 'text', {}\n"
	    "for i = 0, 255 do all[#all + 1] = string.char(i) end\n"
	    "local bytes = table.concat(all)\n"
	    "for i = 0, 256 do assert(text.base64_decode(text.base64_encode(bytes:sub(1, i))) == bytes:sub(1, i)) end\n"
	    "assert(text.base64_encode 'foob' == 'Zm9vYg==' and text.base64_decode 'Zm9vYg' == 'foob')\n"
	    "for _, wrong in ipairs { 'Z', 'Zm9vY', 'Zg==x', 'Zm!v', 'Zm9v\\n', 'Zg\\0=', '\\0' } do\n"
	    "  assert(text.base64_decode(wrong) == nil)\nend\n"
	    "local much = ('x'):rep(150000)\n"
	    "assert(text.base64_decode(text.base64_encode(much)) == much)\n"
	    "plan:requeue_after(7)";
	ao_auto_bundle ao_bundle *bundle = load_render(body, NULL);
	ao_auto_json cJSON *result = NULL;
	ao_auto_err ao_err *err = NULL;
	if (plan(bundle, &result, NULL, &err) != 0)
		fail_msg("%s", ao_err_text(err));
	assert_int_equal(cJSON_GetNumberValue(ao_json_at(result, "requeue_after")), 7);
}

typedef struct line {
	char text[2000];
} line;

static void on_log(void *arg, const char *level, const char *policy, const char *text)
{
	line *l = arg;
	size_t used = strlen(l->text);
	snprintf(l->text + used, sizeof(l->text) - used, "%s %s %.40s|", level, policy, text);
}

static void test_log_lines_reach_the_caller(void **state)
{
	(void)state;
	line l = {""};
	ao_auto_bundle ao_bundle *bundle = load_render("log.info('one\\ntwo')\nlog.warn('x\\27y')", NULL);
	ao_bundle_on_log(bundle, on_log, &l);
	for (int i = 0; i < 2; i++) {
		ao_auto_json cJSON *result = NULL;
		assert_int_equal(plan(bundle, &result, NULL, NULL), 0);
	}
	assert_text(l.text, "one two|");
	assert_text(l.text, "x?y|");
	assert_text(l.text, "info p");
	assert_text(l.text, "warn p");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_does_not_load_is_named),      cmocka_unit_test(test_files_that_do_not_go_together_are_named),
	    cmocka_unit_test(test_a_bundle_needs_a_manifest),        cmocka_unit_test(test_peeking_needs_no_working_policy),
	    cmocka_unit_test(test_too_long_a_file_is_refused),       cmocka_unit_test(test_order_is_by_after_then_name),
	    cmocka_unit_test(test_the_digest_tells_what_changed),    cmocka_unit_test(test_libraries_and_files),
	    cmocka_unit_test(test_wrong_hooks_name_policy_and_hook), cmocka_unit_test(test_plan_status_and_shared),
	    cmocka_unit_test(test_nothing_survives_a_call),          cmocka_unit_test(test_log_lines_reach_the_caller),
	    cmocka_unit_test(test_the_built_in_bundle_loads),        cmocka_unit_test(test_base64_is_done_in_c),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
