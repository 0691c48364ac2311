/* test_rollout_turns.c -- parents that wait for what is live already: one that never arrives keeps no other from its turn. */
#include "base/mem.h"
#include "rollout/machine/machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define STUCK "n/a"
#define TICK_MS 250
#define READY_MS 2000

static bool selects_none(void *arg, const char *selection, const char *key) { return (void)arg, (void)selection, (void)key, false; }

static void see(ao_machine *m, const char *key, const char *has)
{
	ao_machine_seen(m, &(ao_machine_parent){.key = key, .has = has, .ready = true});
}

/** Does all that is wanted, but for the pass of one parent, which never ends. */
static void work(ao_machine *m)
{
	for (ao_task task; ao_machine_next(m, &task);) {
		if (task.kind == AO_TASK_LOAD)
			ao_machine_loaded(m, task.digest, AO_VERDICT_GOOD, NULL);
		else if (task.kind == AO_TASK_WRITE)
			ao_machine_written(m, task.version, true);
		else if (task.kind == AO_TASK_REDO && strcmp(task.key, STUCK) != 0) {
			ao_auto_str char *key = ao_xstrdup(task.key), *serves = ao_xstrdup(ao_machine_serves(m, key));
			ao_machine_reported(m, &(ao_machine_report){.key = key, .bundle = serves, .carried = true, .ready = true});
			see(m, key, serves);
		}
	}
}

static void one_that_never_arrives_keeps_no_other_from_its_turn(void **state)
{
	(void)state;
	static const char *const KEYS[] = {STUCK, "n/b", "n/c"};
	ao_auto_rollout_record ao_rollout_record record = {0};
	ao_rollout_choice_set(&record.tracks[AO_ROLLOUT_MAIN].live, "new", NULL);
	ao_machine *m = ao_machine_new(&(ao_machine_options){.settings = {.max_restarting = 1, .max_failed = 1, .ready_ms = READY_MS},
							     .fallback = "new",
							     .selects = selects_none},
				       &record);
	ao_rollout_counts counts;
	for (size_t i = 0; i < AO_LEN(KEYS); i++)
		see(m, KEYS[i], "old");
	ao_machine_want(m, &(ao_rollout_choice){(char *)"new", NULL}, &(ao_rollout_choice){0});
	ao_machine_synced(m);
	for (uint64_t now = 0; now < 10 * READY_MS; now += TICK_MS) {
		ao_machine_tick(m, now + 1);
		work(m);
	}
	ao_machine_count(m, AO_ROLLOUT_MAIN, &counts);
	ao_machine_free(m);
	if (counts.reached < AO_LEN(KEYS) - 1)
		fail_msg("%u of %u have their turn still before them", counts.waiting, counts.parents);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_that_never_arrives_keeps_no_other_from_its_turn),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
