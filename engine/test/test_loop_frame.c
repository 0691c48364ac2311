/* An object that calls back and is freed by what it calls, at every depth. */
#include "base/mem.h"
#include "loop/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

typedef struct thing {
	ao_frame frame;
	void (*fn)(struct thing *thing);
	unsigned deeper; /* so many calls from inside before fn */
	unsigned *destroyed;
} thing;

static void destroy(void *owner)
{
	thing *t = owner;
	++*t->destroyed;
	free(t);
}

static thing *thing_new(void (*fn)(thing *), unsigned deeper, unsigned *destroyed)
{
	thing *t = ao_xcalloc(1, sizeof(*t));
	*t = (thing){.fn = fn, .deeper = deeper, .destroyed = destroyed};
	ao_frame_init(&t->frame, destroy, t);
	return t;
}

static void thing_free(thing *t)
{
	if (!t->frame.freed)
		ao_frame_free(&t->frame);
}

/** @return whether the thing is still somebody's */
static bool call_back(thing *t)
{
	ao_auto_frame ao_frame *frame = ao_frame_enter(&t->frame);
	if (!t->deeper) {
		t->fn(t);
		return !frame->freed; /* read while the thing is still there */
	}
	t->deeper--;
	bool ours = call_back(t);
	assert_true(ours == !t->frame.freed);
	assert_int_equal(*t->destroyed, 0);
	return ours;
}

static void do_nothing(thing *t) { (void)t; }

static void free_it(thing *t)
{
	thing_free(t);
	assert_int_equal(*t->destroyed, 0);
	thing_free(t); /* twice is once */
}

static void nothing_on_the_stack_is_destroyed_at_once(void **state)
{
	(void)state;
	unsigned destroyed = 0;
	thing_free(thing_new(do_nothing, 0, &destroyed));
	assert_int_equal(destroyed, 1);
}

static void who_is_not_freed_stays(void **state)
{
	(void)state;
	unsigned destroyed = 0;
	thing *t = thing_new(do_nothing, 2, &destroyed);
	assert_true(call_back(t));
	assert_int_equal(destroyed, 0);
	assert_int_equal(t->frame.depth, 0);
	thing_free(t);
	assert_int_equal(destroyed, 1);
}

static void the_last_function_to_return_destroys(void **state)
{
	(void)state;
	for (unsigned deeper = 0; deeper < 4; deeper++) {
		unsigned destroyed = 0;
		assert_false(call_back(thing_new(free_it, deeper, &destroyed)));
		assert_int_equal(destroyed, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_on_the_stack_is_destroyed_at_once),
	    cmocka_unit_test(who_is_not_freed_stays),
	    cmocka_unit_test(the_last_function_to_return_destroys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
