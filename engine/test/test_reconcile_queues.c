/* The queues that a plan must not forget: what the keeper knows of them counts, and not what the parent's status has said so far. */
#include "test/test_reconcile_operator.h"

#define READS(queue)                                                                                                                       \
	"return require 'policy'.define { name = 'p', queues = function(owner, ctx, plan) plan:queue { name = '" queue                     \
	"', transport = 't' } end }"

static char *left; /* the queues that a plan leaves */

/* ---- what plan_op.c and its neighbours call of queue_op.c ---- */

ao_op_result ao_op_ensure_queue(ao_pass *pass, const cJSON *queue)
{
	(void)pass;
	char *before = left;
	if (!cJSON_IsTrue(ao_json_at(queue, "leaving")))
		return AO_OP_DONE;
	left = ao_xasprintf("%s%s into %s", before ? before : "", ao_json_str(queue, "name"), ao_json_str(queue, "into"));
	free(before);
	return AO_OP_DONE;
}
ao_op_result ao_op_delete_queue(ao_pass *pass, const cJSON *queue) { return (void)pass, (void)queue, AO_OP_DONE; }
ao_op_result ao_op_leave_queues(ao_pass *pass, const cJSON *item) { return (void)pass, (void)item, AO_OP_DONE; }
void ao_pass_leave(ao_pass *pass, char *sentence) { (void)pass, free(sentence); }

/** It was made in a pass whose status the server did not take, because somebody has given the parent another profile meanwhile. */
static void a_queue_that_was_made_just_now_is_not_forgotten(void **state)
{
	(void)state;
	static const struct {
		const char *known, *said, *left;
	} rows[] = {{"{\"name\":\"q\",\"transport\":\"t\",\"owner\":\"Actor\"}", NULL, "q into r"},
		    {"", "{\"name\":\"q\",\"transport\":\"t\",\"owner\":\"Actor\"}", ""}}; /* it is gone, and that was not said yet */
	for (size_t i = 0; i < AO_LEN(rows); i++) {
		operator_ o;
		begin(&o, READS("q"), READS("r"));
		ao_auto_str char *known = ao_xasprintf("\"queues\":[%s]", rows[i].known),
				 *said = rows[i].said ? ao_xasprintf("\"queues\":[%s]", rows[i].said) : ao_xstrdup("");
		hold_parent(&o, "", known);
		ao_queues_claim(o.queues, ao_store_get(ao_world_parents(o.world), "s/a"));
		hold_parent(&o, "\"test.io/profile\":\"other\"", said);
		look(&o);
		assert_string_equal(left ? left : "", rows[i].left);
		free(AO_TAKE(left));
		end(&o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_queue_that_was_made_just_now_is_not_forgotten)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
