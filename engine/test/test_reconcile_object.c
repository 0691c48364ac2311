/* test_reconcile_object.c -- what is done with one child that is there, without a server: deleted, changed in place, or left alone. */
#include "base/clock.h"
#include "base/mem.h"
#include "reconcile/pass.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static ao_kind kinds[] = {
    {.resource = {"test.io/v1", "Owner", "owners", false}, .role = AO_ROLE_PARENT},
    {.resource = {"v1", "Thing", "things", false}, .role = AO_ROLE_CHILD},
};
static char *no_managers[] = {NULL};
static ao_manifest MANIFEST = {.kinds = kinds,
			       .kind_count = AO_LEN(kinds),
			       .legacy_managers = no_managers,
			       .component = (char *)"c",
			       .field_manager = (char *)"m",
			       .class_annotation = (char *)"test.io/class"};

typedef struct place {
	ao_loop *loop;
	ao_kube *kube;
	ao_reconciler reconciler;
	ao_parent parent;
	ao_pass pass;
} place;

/* ---- what object_op.c calls of its neighbours ---- */

static unsigned deleted;

void ao_pass_resume(ao_pass *pass, ao_op_result result) { (void)pass, (void)result; }
void ao_pass_error(ao_pass *pass, const char *verb, const ao_kind *kind, const char *role, const char *name, const ao_kube_answer *answer)
{
	(void)pass, (void)verb, (void)kind, (void)role, (void)name, (void)answer;
}
ao_op_result ao_pass_skip_namespace(ao_pass *pass, long status) { return (void)pass, (void)status, AO_OP_STOP; }
cJSON *ao_pass_note_error(ao_pass *pass, const char *verb, const char *kind, const char *role, const char *name)
{
	return (void)pass, (void)verb, (void)kind, (void)role, (void)name, NULL;
}
void ao_pass_note_change(ao_pass *pass, const char *verb, const ao_kind *kind, const char *name)
{
	(void)pass, (void)verb, (void)kind, (void)name;
}
const ao_object *ao_pass_object(const ao_pass *pass) { return (void)pass, NULL; }
void ao_reconciler_doubt_schemas(ao_reconciler *r) { (void)r; }
ao_op_result ao_pass_delete_child(ao_pass *pass, const ao_kind *kind, const ao_object *child, ao_kube_fn fn)
{
	(void)pass, (void)kind, (void)child, (void)fn;
	deleted++;
	return AO_OP_WAIT;
}

/* ---- around it ---- */

static void on_parent(void *arg, const char *key, bool edited) { (void)arg, (void)key, (void)edited; }
static void on_dependent(void *arg, const char *key) { (void)arg, (void)key; }
static void on_shared(void *arg, const ao_kind *kind, const char *key) { (void)arg, (void)kind, (void)key; }
static void on_nothing(void *arg) { (void)arg; }

static int make_place(void **state)
{
	static place p;
	static ao_kubeconfig config = {.server = (char *)"https://127.0.0.1:1", .source = (char *)"test"};
	p = (place){.loop = ao_loop_new(), .parent = {.key = "s/a", .uid = (char *)"u", .memos = ao_map_new()}};
	ao_world_listener listener = {on_parent, on_dependent, on_shared, on_nothing, NULL, NULL, &p};
	assert_int_equal(ao_kube_new(p.loop, &config, "asya-test", &p.kube, NULL), 0);
	p.reconciler.with.kube = p.kube;
	p.reconciler.with.world = ao_world_new(p.loop, p.kube, &MANIFEST, &AO_SCOPE_ALL, &listener);
	p.reconciler.manifest = &MANIFEST;
	p.parent.rendered = ao_xstrdup("r");
	p.pass = (ao_pass){.reconciler = &p.reconciler, .parent = &p.parent};
	deleted = 0;
	*state = &p;
	return 0;
}

static int end_place(void **state)
{
	place *p = *state;
	if (p->pass.object.apply)
		ao_apply_cancel(p->pass.object.apply);
	free(p->pass.object.difference);
	free(p->pass.ops);
	free(p->pass.rolling.standings);
	free(p->pass.rolling.ops);
	cJSON_Delete(p->parent.outdated);
	free(p->parent.rendered);
	ao_map_free_all(p->parent.memos);
	ao_world_free(p->reconciler.with.world);
	ao_kube_free(p->kube);
	return ao_loop_close(p->loop);
}

#define OWNER "\"ownerReferences\":[{\"apiVersion\":\"test.io/v1\",\"kind\":\"Owner\",\"name\":\"a\",\"uid\":\"u\",\"controller\":true}]"

/** The server has such a child. */
static void there(place *p, const char *name, const char *annotations, const char *spec)
{
	ao_auto_str char *body =
	    ao_xasprintf("{\"apiVersion\":\"v1\",\"kind\":\"Thing\",\"metadata\":{\"name\":\"%s\",\"namespace\":\"s\",\"uid\":\"u-%s\","
			 "\"resourceVersion\":\"7\",\"generation\":1,\"annotations\":{%s}," OWNER "},\"spec\":%s}",
			 name, name, annotations, spec);
	ao_kube_answer answer = {.status = 200, .reason = "", .message = "", .body = body, .body_len = strlen(body)};
	uint64_t digest;
	assert_true(ao_world_put_answer(p->reconciler.with.world, &kinds[1], AO_WROTE_OBJECT, &answer, &digest));
}

/** The plan wants such a child. The caller frees. */
static cJSON *wanted(const char *update, const char *name, const char *stamp, const char *spec)
{
	cJSON *item = NULL;
	ao_auto_str char *text = ao_xasprintf(
	    "{\"role\":\"%s\",\"update\":\"%s\",\"object\":{\"apiVersion\":\"v1\",\"kind\":\"Thing\",\"metadata\":{\"name\":\"%s\","
	    "\"namespace\":\"s\",\"annotations\":{\"c/rendered\":\"%s\"}," OWNER "},\"spec\":%s}}",
	    name, update, name, stamp, spec);
	assert_int_equal(ao_json_parse(text, strlen(text), &item, NULL), 0);
	return item;
}

static ao_op_result carry_out(place *p, const cJSON *item)
{
	p->pass.ops = ao_xcalloc(1, sizeof(ao_op));
	p->pass.op_count = 1;
	p->pass.ops[0] = (ao_op){ao_op_object, item, ao_json_digest(ao_json_at(item, "object")), false, false};
	return ao_op_object(&p->pass, item);
}

/* ---- tests ---- */

static void what_differs_is_made_anew(void **state)
{
	place *p = *state;
	ao_auto_json cJSON *item = wanted("Recreate", "x", "2", "{\"image\":\"b\"}");
	there(p, "x", "\"c/rendered\":\"1\"", "{\"image\":\"a\"}");
	assert_int_equal(carry_out(p, item), AO_OP_WAIT);
	assert_int_equal(deleted, 1);
}

/** What was rendered before had something that is not rendered any more, and that the server keeps. */
static void what_has_leftovers_is_made_anew(void **state)
{
	place *p = *state;
	ao_auto_json cJSON *item = wanted("Recreate", "x", "2", "{\"image\":\"a\"}");
	there(p, "x", "\"c/rendered\":\"1\"", "{\"image\":\"a\",\"old\":1}");
	assert_int_equal(carry_out(p, item), AO_OP_WAIT);
	assert_int_equal(deleted, 1);
}

/** Its kind has not had this way for long: pods are not replaced because a manifest got a word. */
static void what_is_as_wanted_and_has_no_digest_yet_gets_one_in_place(void **state)
{
	place *p = *state;
	static const char *const WAYS[] = {"Recreate", "RollingRecreate", "OnDelete", "RollingInPlace"};
	for (size_t i = 0; i < AO_LEN(WAYS); i++) {
		ao_auto_json cJSON *item = wanted(WAYS[i], "x", "1", "{\"image\":\"a\"}");
		there(p, "x", "", "{\"image\":\"a\"}");
		assert_int_equal(carry_out(p, item), AO_OP_WAIT);
		assert_int_equal(deleted, 0);
		assert_non_null(p->pass.object.apply);
		assert_null(p->parent.outdated);
		ao_apply_cancel(AO_TAKE(p->pass.object.apply));
		free(AO_TAKE(p->pass.ops));
	}
}

#define CROWD 400

/** The loop must turn, for the lease and for other bundles. To compare each child for each other one took half a minute. */
static void many_that_wait_for_their_turn_take_no_time(void **state)
{
	place *p = *state;
	cJSON *items[CROWD];
	ao_auto_buf ao_buf fields = ao_buf_init(1 << 16);
	for (int i = 0; i < 60; i++)
		ao_buf_printf(&fields, ",\"f%d\":{\"x\":\"some value\"}", i);
	ao_auto_str char *old = ao_xasprintf("{\"image\":\"a\"%s}", fields.data), *new = ao_xasprintf("{\"image\":\"b\"%s}", fields.data);
	p->pass.ops = ao_xcalloc(CROWD, sizeof(ao_op));
	p->pass.op_count = CROWD;
	for (size_t i = 0; i < CROWD; i++) {
		ao_auto_str char *name = ao_xasprintf("x%zu", i);
		there(p, name, "\"c/rendered\":\"1\"", old);
		items[i] = wanted("RollingRecreate", name, "2", new);
		p->pass.ops[i] = (ao_op){ao_op_object, items[i], ao_json_digest(ao_json_at(items[i], "object")), false, false};
	}
	ao_json_set_str(items[0], "unready", "it is slow");
	uint64_t begin = ao_mono_ms();
	for (p->pass.at = 1; p->pass.at < CROWD; p->pass.at++)
		assert_int_equal(ao_op_object(&p->pass, items[p->pass.at]), AO_OP_DONE);
	uint64_t took = ao_mono_ms() - begin;
	assert_int_equal(cJSON_GetArraySize(p->parent.outdated), CROWD - 1);
	assert_int_equal(deleted, 0);
	p->pass.at = 0; /* the sick one: it goes first */
	assert_int_equal(ao_op_object(&p->pass, items[0]), AO_OP_WAIT);
	assert_int_equal(deleted, 1);
	for (size_t i = 0; i < CROWD; i++)
		cJSON_Delete(items[i]);
	if (took > 5000)
		fail_msg("%d ms", (int)took);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(many_that_wait_for_their_turn_take_no_time, make_place, end_place),
	    cmocka_unit_test_setup_teardown(what_differs_is_made_anew, make_place, end_place),
	    cmocka_unit_test_setup_teardown(what_has_leftovers_is_made_anew, make_place, end_place),
	    cmocka_unit_test_setup_teardown(what_is_as_wanted_and_has_no_digest_yet_gets_one_in_place, make_place, end_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
