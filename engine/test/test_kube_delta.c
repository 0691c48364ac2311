/* test_kube_delta.c -- what was told by another text is made again, whatever is alike in the two. */
#include "base/mem.h"
#include "kube/delta.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MOST (64 * 1024)

static unsigned seed = 1;
static size_t pick(size_t below)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 8) % below;
}

/** `letters` few: it repeats itself. */
static void random_bytes(char *to, size_t len, size_t letters)
{
	for (size_t i = 0; i < len; i++)
		to[i] = (char)pick(letters);
}

static ao_buf random_text(size_t len, size_t letters)
{
	ao_buf text = ao_buf_init(4 * MOST);
	ao_auto_str char *bytes = ao_xmalloc(len + 1);
	random_bytes(bytes, len, letters);
	ao_buf_put(&text, bytes, len);
	return text;
}

/** Pieces of a text in some order, with others between them. */
static ao_buf edited(const ao_buf *text, size_t letters)
{
	ao_buf other = ao_buf_init(4 * MOST);
	for (size_t i = pick(8), at = 0; i + 1 && other.len < MOST; i--) {
		char between[40];
		size_t len = pick(sizeof(between)), from = pick(4) ? at : pick(text->len + 1), count = pick(text->len - from + 1);
		random_bytes(between, len, letters);
		ao_buf_put(&other, between, len);
		ao_buf_put(&other, text->data + from, count);
		at = from + count;
	}
	return other;
}

/** @return bytes of the delta; 0: it was not worth it */
static size_t tell_and_make(const ao_delta_base *base, const ao_buf *text)
{
	ao_auto_buf ao_buf delta = ao_buf_init(4 * MOST);
	if (!ao_delta_put(base, (ao_span){text->data ? text->data : "", text->len}, &delta))
		return 0;
	assert_true(delta.len <= text->len / 2);
	/* so that a sanitizer sees who reads beyond its end */
	ao_auto_str char *exact = ao_xmalloc(delta.len);
	memcpy(exact, delta.data, delta.len);
	ao_auto_str char *made = ao_xmalloc(text->len + 1);
	ao_delta_read(base, exact, text->len, made);
	assert_memory_equal(made, text->data, text->len);
	assert_int_equal(made[text->len], 0);
	return delta.len;
}

static void random_texts_are_made_again(void **state)
{
	(void)state;
	static const size_t LENGTHS[] = {0, 1, 7, 8, 9, 100, 1000, 5000, MOST}, LETTERS[] = {2, 5, 256};
	size_t told = 0;
	for (size_t run = 0; run < 600; run++) {
		size_t most = LENGTHS[run % AO_LEN(LENGTHS)], letters = LETTERS[run % AO_LEN(LETTERS)];
		ao_auto_buf ao_buf text = random_text(most == MOST ? most : pick(most + 1), letters), other = edited(&text, letters);
		ao_delta_base *base = ao_delta_base_new((ao_span){text.data ? text.data : "", text.len});
		told += tell_and_make(base, &other) > 0;
		tell_and_make(base, &text);
		ao_delta_base_close(base);
	}
	assert_true(told > 100);
}

static void a_text_told_by_itself_is_next_to_nothing(void **state)
{
	(void)state;
	ao_auto_buf ao_buf text = random_text(MOST, 256);
	ao_delta_base *base = ao_delta_base_new((ao_span){text.data, text.len});
	assert_in_range(tell_and_make(base, &text), 1, 8);
	ao_delta_base_close(base);
}

static void what_is_not_alike_is_not_told(void **state)
{
	(void)state;
	ao_auto_buf ao_buf text = random_text(4000, 256), other = random_text(4000, 256), part = ao_buf_init(4000);
	ao_delta_base *base = ao_delta_base_new((ao_span){text.data, text.len});
	assert_int_equal(tell_and_make(base, &other), 0);
	ao_buf_put(&part, text.data, 1900); /* alike, but the base would live as long */
	assert_int_equal(tell_and_make(base, &part), 0);
	ao_buf_put(&part, text.data, 200);
	assert_in_range(tell_and_make(base, &part), 1, 100);
	ao_delta_base_close(base);
}

static void a_base_lives_as_long_as_what_it_tells(void **state)
{
	(void)state;
	ao_auto_buf ao_buf text = random_text(4000, 256), delta = ao_buf_init(4000);
	ao_delta_base *base = ao_delta_base_new((ao_span){text.data, text.len});
	assert_true(ao_delta_put(base, (ao_span){text.data, text.len}, &delta));
	size_t alone = ao_delta_base_share(base);
	ao_delta_base_ref(base);
	assert_int_equal(ao_delta_base_share(base), alone / 2);
	ao_delta_base_close(base);
	assert_in_range(ao_delta_base_share(base), 4000, alone - 1); /* its table is gone */
	ao_auto_str char *made = ao_xmalloc(text.len + 1);
	ao_delta_read(base, delta.data, text.len, made);
	assert_memory_equal(made, text.data, text.len);
	ao_delta_base_unref(base);
	ao_delta_base_unref(NULL);
	ao_delta_base_close(NULL);
	assert_int_equal(ao_delta_base_share(NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(random_texts_are_made_again),
	    cmocka_unit_test(a_text_told_by_itself_is_next_to_nothing),
	    cmocka_unit_test(what_is_not_alike_is_not_told),
	    cmocka_unit_test(a_base_lives_as_long_as_what_it_tells),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
