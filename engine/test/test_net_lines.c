/* Framing: the same lines whatever the pieces. */
#include "net/lines.h"

#include "base/mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

typedef struct seen {
	ao_buf text; /* lines joined with '|' */
	ao_lines *free_this;
	int stop_at, count;
} seen;

static int note(void *arg, const char *line, size_t len)
{
	seen *s = arg;
	ao_buf_put(&s->text, line, len);
	ao_buf_put(&s->text, "|", 1);
	if (++s->count != s->stop_at)
		return 0;
	if (s->free_this) {
		ao_lines_free(s->free_this);
		memset(s->free_this, 0xa5, sizeof(*s->free_this)); /* whoever touches it now is found out */
	}
	return -EIO;
}

static void same_lines_in_every_piece_size(void **state)
{
	(void)state;
	static const char text[] = "one\n\ntwo two\nthree\n\n\nfour";
	for (size_t piece = 1; piece < sizeof(text); piece++) {
		ao_lines lines = ao_lines_init(16);
		seen s = {.text = ao_buf_init(1000)};
		for (size_t at = 0; at < sizeof(text) - 1; at += piece) {
			size_t len = sizeof(text) - 1 - at < piece ? sizeof(text) - 1 - at : piece;
			assert_int_equal(ao_lines_feed(&lines, text + at, len, note, &s), 0);
		}
		assert_string_equal(s.text.data, "one|two two|three|");
		assert_int_equal(ao_lines_feed(&lines, "\n", 1, note, &s), 0);
		assert_string_equal(s.text.data, "one|two two|three|four|");
		ao_buf_free(&s.text);
		ao_lines_free(&lines);
	}
}

static void long_lines_are_refused(void **state)
{
	(void)state;
	seen s = {.text = ao_buf_init(1000)};
	ao_lines whole = ao_lines_init(4), cut = ao_lines_init(4), endless = ao_lines_init(4);
	assert_int_equal(ao_lines_feed(&whole, "1234\n12345\n", 11, note, &s), -E2BIG);
	assert_int_equal(ao_lines_feed(&cut, "123", 3, note, &s), 0);
	assert_int_equal(ao_lines_feed(&cut, "45\n", 3, note, &s), -E2BIG);
	assert_int_equal(ao_lines_feed(&endless, "12345", 5, note, &s), -E2BIG);
	assert_string_equal(s.text.data, "1234|");
	ao_lines_free(&whole);
	ao_lines_free(&cut);
	ao_lines_free(&endless);
	ao_buf_free(&s.text);
}

static void a_reader_may_stop_and_free(void **state)
{
	(void)state;
	ao_lines lines = ao_lines_init(100);
	seen s = {.text = ao_buf_init(1000), .stop_at = 2, .free_this = &lines};
	assert_int_equal(ao_lines_feed(&lines, "a\nb", 3, note, &s), 0);
	assert_int_equal(ao_lines_feed(&lines, "b\nc\nd", 5, note, &s), -EIO);
	assert_string_equal(s.text.data, "a|bb|");
	ao_buf_free(&s.text);
}

static void a_giant_does_not_keep_its_memory(void **state)
{
	(void)state;
	ao_lines lines = ao_lines_init(1 << 20);
	seen s = {.text = ao_buf_init(1 << 21)};
	ao_auto_str char *big = ao_xmalloc(300000);
	memset(big, 'x', 300000);
	assert_int_equal(ao_lines_feed(&lines, big, 300000, note, &s), 0);
	assert_int_equal(ao_lines_feed(&lines, "\nsmall", 6, note, &s), 0);
	assert_int_equal(s.text.len, 300001);
	assert_true(lines.carry.size < 1000);
	ao_lines_free(&lines);
	ao_buf_free(&s.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(same_lines_in_every_piece_size),
	    cmocka_unit_test(long_lines_are_refused),
	    cmocka_unit_test(a_reader_may_stop_and_free),
	    cmocka_unit_test(a_giant_does_not_keep_its_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
