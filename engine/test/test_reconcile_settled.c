/* test_reconcile_settled.c -- a record of what is settled fits what it was made of, and nothing else. */
#include "reconcile/settled.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define CHILDREN 3
#define ROUNDS 4000

/** What somebody may change of an object, each a number that stands in its text. */
typedef struct facts {
	unsigned uid, spec, label, annotation, finalizer, status, version, revision;
} facts;

/** All that a record is made of. */
typedef struct scene {
	facts parent, children[CHILDREN];
	size_t child_count, first; /* the children are told of from `first` on, round about */
	uint64_t maker;
	char bundle[17], rendered[17];
} scene;

static unsigned seed = 18;

static unsigned any(unsigned below)
{
	seed = seed * 1103515245u + 12345u;
	return (seed >> 16) % below;
}

static const ao_object *put(ao_store *store, const char *name, const facts *f)
{
	const ao_object *object = NULL;
	ao_auto_str char *text = ao_xasprintf(
	    "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"s\",\"uid\":\"u%u\",\"resourceVersion\":\"%u\",\"labels\":{\"l\":\"%u\"},"
	    "\"annotations\":{\"a\":\"%u\",\"deployment.kubernetes.io/revision\":\"%u\"},\"finalizers\":[\"f%u\"]},"
	    "\"spec\":{\"n\":%u},\"status\":{\"n\":%u}}",
	    name, f->uid, f->version, f->label, f->annotation, f->revision, f->finalizer, f->spec, f->status);
	assert_int_equal(ao_store_put(store, (ao_span){text, strlen(text)}, &object, NULL), 0);
	return object;
}

/** The record of a scene; with `text`, whether that one fits. */
static bool look(const scene *s, const char *shared, const char *text, char **ret)
{
	static const char *const NAMES[CHILDREN] = {"a", "b", "c"}, *const KINDS[CHILDREN] = {"Deployment", "Deployment", "Scaler"};
	ao_store *store = ao_store_new(&(ao_store_options){0}), *parents = ao_store_new(&(ao_store_options){0});
	ao_settled settled = {
	    .maker = s->maker, .bundle = s->bundle, .rendered = s->rendered, .parent = put(parents, "parent", &s->parent)};
	for (size_t i = 0; i < s->child_count; i++) {
		size_t which = (s->first + i) % s->child_count;
		ao_settled_add(&settled, KINDS[which], put(store, NAMES[which], &s->children[which]));
	}
	ao_auto_str char *rest = text ? ao_settled_fits(text, &settled) : NULL;
	if (ret)
		*ret = ao_settled_text(&settled, shared);
	ao_store_free(store);
	ao_store_free(parents);
	return rest != NULL;
}

static facts some_facts(void) { return (facts){any(9), any(9), any(9), any(9), any(9), any(9), any(9), any(9)}; }

static scene some_scene(void)
{
	scene s = {.parent = some_facts(), .child_count = any(CHILDREN + 1), .maker = any(9)};
	for (size_t i = 0; i < CHILDREN; i++)
		s.children[i] = some_facts();
	snprintf(s.bundle, sizeof(s.bundle), "%016x", any(9));
	snprintf(s.rendered, sizeof(s.rendered), "%016x", any(9));
	return s;
}

/** Changes one thing that a plan depends on or has made. @return what, for the message */
static const char *change(scene *s)
{
	unsigned what = any(8);
	facts *of = s->child_count && any(2) ? &s->children[any((unsigned)s->child_count)] : &s->parent;
	unsigned *const numbers[] = {&of->uid, &of->spec, &of->label, &of->annotation, &of->finalizer};
	if (what < AO_LEN(numbers))
		*numbers[what] += 1 + any(9);
	else if (what == 5)
		s->maker++;
	else if (what == 6)
		s->bundle[any(16)] ^= 1;
	else
		s->rendered[any(16)] ^= 1;
	return what < AO_LEN(numbers) ? (of == &s->parent ? "the parent" : "a child") : what == 5 ? "the maker" : "a digest";
}

/** Changes what is the server's own, or nobody's: versions, statuses, the order in which children come. */
static void touch(scene *s)
{
	facts *of = s->child_count ? &s->children[any((unsigned)s->child_count)] : &s->parent;
	unsigned *const numbers[] = {&of->status, &of->version, &of->revision};
	*numbers[any(AO_LEN(numbers))] += 1 + any(9);
	s->first = any(CHILDREN);
}

static void any_true_difference_is_seen_and_no_other(void **state)
{
	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		ao_auto_str char *text = NULL;
		scene s = some_scene();
		look(&s, "", NULL, &text);
		for (unsigned i = any(3); i; i--)
			touch(&s);
		if (!look(&s, "", text, NULL))
			fail_msg("round %u: does not fit what it was made of", round);
		scene was = s;
		const char *what = change(&s);
		if (look(&s, "", text, NULL))
			fail_msg("round %u: fits though %s has changed", round, what);
		s = was;
		s.child_count = s.child_count ? s.child_count - 1 : 1; /* one has gone, or come */
		if (look(&s, "", text, NULL))
			fail_msg("round %u: fits though there are %zu children", round, s.child_count);
	}
}

static void shared_objects_are_told_in_order(void **state)
{
	(void)state;
	const uint64_t digests[] = {0, 1, UINT64_MAX, 0x0123456789abcdef};
	ao_auto_buf ao_buf shared = ao_buf_init(1024);
	for (size_t i = 0; i < AO_LEN(digests); i++)
		ao_settled_put_shared(&shared, digests[i]);
	ao_auto_str char *text = NULL;
	scene s = some_scene();
	look(&s, shared.data, NULL, &text);
	assert_true(look(&s, "", text, NULL));
	size_t cursor = 0, count = 0;
	for (uint64_t digest; ao_settled_next_shared(shared.data, &cursor, &digest); count++)
		assert_true(digest == digests[count]);
	assert_int_equal(count, AO_LEN(digests));
}

static void objects_of_its_own_are_told_beside_shared_ones(void **state)
{
	(void)state;
	ao_auto_buf ao_buf beside = ao_buf_init(1024);
	ao_settled_put_shared(&beside, 1);
	ao_settled_put_own(&beside, 2);
	ao_settled_put_own(&beside, UINT64_MAX);
	assert_true(ao_settled_has_own(beside.data, 2) && ao_settled_has_own(beside.data, UINT64_MAX));
	assert_false(ao_settled_has_own(beside.data, 1) || ao_settled_has_own(beside.data, 3) || ao_settled_has_own("", 0));
	size_t cursor = 0;
	uint64_t digest;
	assert_true(ao_settled_next_shared(beside.data, &cursor, &digest) && digest == 1);
	assert_false(ao_settled_next_shared(beside.data, &cursor, &digest));
}

/** People may write anything into a status. */
static void a_text_that_was_changed_does_not_fit(void **state)
{
	(void)state;
	scene s = some_scene();
	ao_auto_str char *text = NULL, *longest = NULL;
	ao_auto_buf ao_buf beside = ao_buf_init(1024);
	for (unsigned i = 0; i < AO_SETTLED_SHARED; i++)
		ao_settled_put_shared(&beside, i);
	for (unsigned i = 0; i < AO_SETTLED_OWN; i++)
		ao_settled_put_own(&beside, i);
	look(&s, "-0123456789abcdef", NULL, &text);
	look(&s, beside.data, NULL, &longest);
	assert_true(look(&s, "", longest, NULL));
	ao_auto_str char *longer = ao_xasprintf("%s-0123456789abcdef", longest), *twice = ao_xasprintf("%s%s", text, text);
	const char *const wrong[] = {"", "-", "0", "0123456789abcdef", longer, twice};
	for (size_t i = 0; i < AO_LEN(wrong); i++)
		assert_false(look(&s, "", wrong[i], NULL));
	for (size_t i = 0; text[i]; i++) {
		ao_auto_str char *edited = ao_xstrdup(text), *cut = ao_xstrndup(text, i);
		edited[i] ^= 1;
		assert_false(look(&s, "", edited, NULL));
		assert_false(look(&s, "", cut, NULL));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(any_true_difference_is_seen_and_no_other),
	    cmocka_unit_test(shared_objects_are_told_in_order),
	    cmocka_unit_test(objects_of_its_own_are_told_beside_shared_ones),
	    cmocka_unit_test(a_text_that_was_changed_does_not_fit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
