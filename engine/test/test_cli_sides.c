/* test_cli_sides.c -- both sides of a diff or a migration are for the parents of the bundle, as an operator's are. A peer plays the server. */
#include "cli/sides.h"
#include "test/test_kube_peer.h"

#define MAPS(items) "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMapList\",\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[" items "]}"
#define EDIT                                                                                                                               \
	"{\"metadata\":{\"name\":\"edit\",\"namespace\":\"ops\"},\"data\":{\"manifest.lua\":"                                              \
	"\"return require 'policy'.manifest { parent = 'other.example.com/v1 Worker', children = {} }\"}}"

#define OF_CLASS                                                                                                                           \
	"{\"metadata\":{\"name\":\"edit\",\"namespace\":\"ops\"},\"data\":{\"manifest.lua\":"                                              \
	"\"return require 'policy'.manifest { parent = 'demo.example.com/v1 Greeting', children = {}, class = 'red' }\"}}"

static const char *maps;

static void answer(peer_conn *conn, const char *request)
{
	bool edits = strstr(request, "/configmaps?") && !strstr(request, "-canary");
	peer_reply(conn, "200 OK", "", edits ? maps : MAPS(""));
}

static void refuses(const char *edit, const char *why)
{
	played p;
	maps = edit;
	ao_sides *sides = NULL;
	ao_auto_err ao_err *err = NULL;
	ao_log_setup(AO_LOG_ERROR, false);
	play(&p, answer, NULL);
	ao_session session = {
	    .loop = p.loop, .config = &p.config, .kube = p.kube, .namespace_ = "ops", .bundle_dir = "policies/examples/greeting"};
	session.scope = AO_SCOPE_ALL;
	int r = ao_sides_new(&session, &(ao_load_options){.bundle_dir = session.bundle_dir}, &sides, &err);
	if (r == 0)
		ao_sides_free(sides);
	end_play(&p);
	if (r != -EINVAL || !strstr(ao_err_text(err), why))
		fail_msg("it says of an edit that an operator refuses: %s", r < 0 ? ao_err_text(err) : "nothing");
}

static void an_edit_for_other_parents_is_refused(void **state)
{
	(void)state;
	refuses(MAPS(EDIT), "the parent is Worker (other.example.com/v1), and this operator works on Greeting");
}

static void an_edit_for_another_class_is_refused(void **state)
{
	(void)state;
	refuses(MAPS(OF_CLASS), "the class is 'red', and this operator serves ''");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_edit_for_other_parents_is_refused),
	    cmocka_unit_test(an_edit_for_another_class_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
