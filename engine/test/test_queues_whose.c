/* Whose a queue is: the table, and random histories with operators that die at any step. */
#include "queues/whose.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void every_row_of_the_table(void **state)
{
	static const struct {
		ao_whose before;
		ao_whose_sight sight;
		ao_whose after;
		bool may_delete;
	} rows[] = {
	    {{0}, AO_WHOSE_MADE, {.owner = AO_WHOSE_PARENT}, true},
	    {{0}, AO_WHOSE_FOUND, {.owner = AO_WHOSE_OTHER}, false},
	    {{0}, AO_WHOSE_MISMATCH, {.owner = AO_WHOSE_OTHER}, false},
	    {{0}, AO_WHOSE_TRIED, {.tried = true}, true},
	    {{.tried = true}, AO_WHOSE_FOUND, {.owner = AO_WHOSE_PARENT}, true},
	    {{.tried = true}, AO_WHOSE_MISMATCH, {.owner = AO_WHOSE_OTHER}, false},
	    {{.heir = true}, AO_WHOSE_MADE, {.owner = AO_WHOSE_PARENT, .heir = true}, true},
	    {{.heir = true}, AO_WHOSE_FOUND, {.owner = AO_WHOSE_PARENT, .heir = true}, true},
	    {{.heir = true}, AO_WHOSE_MISMATCH, {.heir = true}, true},
	    {{.owner = AO_WHOSE_PARENT}, AO_WHOSE_FOUND, {.owner = AO_WHOSE_PARENT}, true},
	    {{.owner = AO_WHOSE_PARENT}, AO_WHOSE_MISMATCH, {.owner = AO_WHOSE_PARENT}, true},
	    {{.owner = AO_WHOSE_OTHER}, AO_WHOSE_FOUND, {.owner = AO_WHOSE_OTHER}, false},
	    {{.owner = AO_WHOSE_OTHER}, AO_WHOSE_MISMATCH, {.owner = AO_WHOSE_OTHER}, false},
	    {{.owner = AO_WHOSE_OTHER}, AO_WHOSE_MADE, {.owner = AO_WHOSE_PARENT}, true},
	    {{.owner = AO_WHOSE_OTHER, .tried = true}, AO_WHOSE_FOUND, {.owner = AO_WHOSE_PARENT}, true},
	};
	(void)state;
	for (size_t i = 0; i < AO_LEN(rows); i++) {
		ao_whose w = rows[i].before;
		bool news = ao_whose_saw(&w, rows[i].sight);
		assert_int_equal(w.owner, rows[i].after.owner);
		assert_int_equal(w.tried, rows[i].after.tried);
		assert_int_equal(w.heir, rows[i].after.heir);
		assert_int_equal(news, rows[i].before.owner != w.owner);
		assert_int_equal(ao_whose_may_delete(&w), rows[i].may_delete);
		assert_int_equal(ao_whose_of_word(ao_whose_word(w.owner)), w.owner);
	}
	ao_whose w = {.owner = AO_WHOSE_OTHER};
	assert_true(ao_whose_inherit(&w) && w.owner == AO_WHOSE_PARENT && !ao_whose_inherit(&w));
}

/* ---- histories ---- */

typedef enum { NOBODY, US, OUTSIDER } maker;

/** A broker, the actor's status, and one operator after the other. */
typedef struct history {
	maker made_by;         /* who made the queue that is there */
	int settings, wanted;  /* of the queue; in the configuration */
	bool judged, records;  /* the actor has a status; one with records */
	ao_whose_owner record; /* what it says */
	ao_whose memory;       /* of the operator that runs */
	bool inherited;        /* the first operator kept no records */
	bool ours_known;       /* the record or the memory told that it is ours when an outsider's took its place */
	bool unrecorded;       /* made by an operator that died before it wrote that down */
	char story[2048];      /* for people */
	size_t told;
} history;

static void tell(history *h, const char *what)
{
	size_t left = sizeof(h->story) - h->told;
	int len = snprintf(h->story + h->told, left, "%s, ", what);
	h->told += (size_t)len < left ? (size_t)len : 0;
}

static void take_over(history *h)
{
	h->memory = (ao_whose){.owner = h->records ? h->record : AO_WHOSE_UNKNOWN, .heir = h->judged && !h->records};
}

static void write_status(history *h)
{
	h->judged = true;
	if (h->memory.owner == AO_WHOSE_UNKNOWN && h->memory.heir)
		return;
	h->records = true;
	h->record = h->memory.owner;
	h->unrecorded = h->unrecorded && h->memory.owner != AO_WHOSE_PARENT;
}

static void ensure(history *h, bool answered)
{
	ao_whose_sight sight = h->made_by == NOBODY       ? (answered ? AO_WHOSE_MADE : AO_WHOSE_TRIED)
			       : h->settings == h->wanted ? AO_WHOSE_FOUND
							  : AO_WHOSE_MISMATCH;
	if (h->made_by == NOBODY) {
		h->made_by = US;
		h->settings = h->wanted;
		h->unrecorded = true;
		h->ours_known = false;
	}
	tell(h, (const char *[]){"made without answer", "made", "found", "differs"}[sight]);
	ao_whose_saw(&h->memory, sight);
}

static void step(history *h)
{
	switch (rand() % 7) {
	case 0:
	case 1:
		ensure(h, rand() % 4);
		if (rand() % 3)
			write_status(h);
		break;
	case 2:
		tell(h, "operator dies");
		take_over(h);
		break;
	case 3:
		tell(h, "outsider deletes");
		h->ours_known = h->made_by == US ? ao_whose_may_delete(&h->memory) : h->ours_known;
		h->made_by = NOBODY;
		break;
	case 4:
		if (h->made_by != NOBODY)
			break;
		tell(h, "outsider makes");
		h->made_by = OUTSIDER;
		h->settings = rand() % 2;
		break;
	case 5:
		tell(h, "configuration changes");
		h->wanted = rand() % 2;
		break;
	case 6:
		write_status(h);
		break;
	}
}

/** What took the place of ours behind our back cannot be told from ours; neither what a predecessor without records left. */
static void finish(history *h, unsigned seed)
{
	bool goes = h->made_by != NOBODY && h->settings == h->wanted && ao_whose_may_delete(&h->memory);
	if (h->made_by == OUTSIDER && goes && !h->ours_known && !h->inherited)
		fail_msg("seed %u: another's queue is deleted: %s", seed, h->story);
	if (h->made_by == US && !goes && h->settings == h->wanted && !h->unrecorded)
		fail_msg("seed %u: our queue is left behind: %s", seed, h->story);
}

static void random_histories_never_take_what_is_anothers(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 200000; seed++) {
		srand(seed);
		history h = {.made_by = (maker)(rand() % 3), .settings = rand() % 2, .wanted = rand() % 2};
		h.inherited = h.judged = h.made_by == US || rand() % 4 == 0; /* only an operator made one for it */
		take_over(&h);
		for (int steps = rand() % 12; steps > 0; steps--)
			step(&h);
		finish(&h, seed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_row_of_the_table),
	    cmocka_unit_test(random_histories_never_take_what_is_anothers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
