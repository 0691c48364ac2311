/* test_base_base.c -- buffers, maps, errors, base64 and clocks. */
#include "base/base64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void a_buffer_keeps_its_cap(void **state)
{
	(void)state;
	ao_auto_buf ao_buf buf = ao_buf_init(10);
	ao_buf_puts(&buf, "12345");
	ao_buf_printf(&buf, "%d", 67890);
	assert_string_equal(buf.data, "1234567890");
	assert_false(buf.overflow);
	ao_buf_puts(&buf, "x");
	assert_true(buf.overflow);
	assert_string_equal(buf.data, "1234567890");
	ao_buf_drop_front(&buf, 4);
	assert_string_equal(buf.data, "567890");
	ao_buf_clear(&buf);
	assert_false(buf.overflow);
	ao_buf_puts(&buf, "ok");
	ao_auto_str char *taken = ao_buf_steal(&buf);
	assert_string_equal(taken, "ok");
	assert_null(buf.data);
	ao_auto_str char *empty = ao_buf_steal(&buf);
	assert_string_equal(empty, "");
}

static void strings_are_escaped_for_json(void **state)
{
	(void)state;
	ao_auto_buf ao_buf buf = ao_buf_init(100);
	ao_buf_put_json_string(&buf, "a\"b\\c\nd\x01\xc3\xa9");
	assert_string_equal(buf.data, "\"a\\\"b\\\\c\\nd\\u0001\xc3\xa9\"");
}

/** The map against the plainest thing that could be right: an array. */
static void a_map_agrees_with_an_array(void **state)
{
	(void)state;
	enum { KEYS = 300 };
	static int values[KEYS];
	bool there[KEYS] = {0};
	unsigned seed = 1;
	ao_auto_map ao_map *map = ao_map_new();
	for (int step = 0; step < 20000; step++) {
		seed = seed * 1103515245u + 12345u;
		unsigned k = (seed >> 16) % KEYS;
		ao_auto_str char *key = ao_xasprintf("key-%u", k);
		if ((seed >> 8) % 3) {
			assert_ptr_equal(ao_map_put(map, key, &values[k]), there[k] ? &values[k] : NULL);
			there[k] = true;
		} else {
			assert_ptr_equal(ao_map_remove(map, key), there[k] ? &values[k] : NULL);
			there[k] = false;
		}
		assert_ptr_equal(ao_map_get(map, key), there[k] ? &values[k] : NULL);
	}
	size_t live = 0, seen = 0, cursor = 0;
	for (int k = 0; k < KEYS; k++)
		live += there[k];
	while (ao_map_next(map, &cursor, NULL))
		seen++;
	assert_int_equal(live, seen);
	assert_int_equal(live, ao_map_count(map));
}

static void errors_grow_on_their_way_up(void **state)
{
	(void)state;
	ao_auto_err ao_err *err = NULL;
	assert_int_equal(ao_err_set(&err, -EIO, "disk %d", 3), -EIO);
	assert_int_equal(ao_err_wrap(&err, "reading %s", "x"), -EIO);
	assert_string_equal(ao_err_text(err), "reading x: disk 3");
	assert_int_equal(ao_err_set(NULL, -EINVAL, "nobody listens"), -EINVAL);
	assert_string_equal(ao_err_text(NULL), "unknown error");
}

static void base64_is_decoded_or_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text, *bytes; /* NULL: refused */
	} cases[] = {{"", ""},        {"Zg==", "f"},   {"Zm8=", "fo"}, {"Zm9v", "foo"}, {"Zm9v\nYmFy\n", "foobar"},
	             {"Zm9vYg", "foob"}, {"Z", NULL}, {"Zm!v", NULL}, {"Zg==x", NULL}};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_buf ao_buf out = ao_buf_init(100);
		assert_int_equal(ao_base64_decode(cases[i].text, &out), cases[i].bytes != NULL);
		if (cases[i].bytes)
			assert_string_equal(out.data ? out.data : "", cases[i].bytes);
	}
}

static void times_read_as_kubernetes_writes_them(void **state)
{
	(void)state;
	char text[AO_TIME_TEXT];
	ao_time_text(1767366245123, text);
	assert_string_equal(text, "2026-01-02T15:04:05.123Z");
	ao_time_second_text(1767366245123, text);
	assert_string_equal(text, "2026-01-02T15:04:05Z");
	ao_time_micro_text(1767366245123, text);
	assert_string_equal(text, "2026-01-02T15:04:05.123000Z");
	assert_true(ao_mono_ms() <= ao_mono_ms());
}

static void files_are_read_up_to_a_cap(void **state)
{
	(void)state;
	ao_auto_err ao_err *err = NULL;
	ao_auto_buf ao_buf small = ao_buf_init(4), buf = ao_buf_init(1 << 20);
	assert_int_equal(ao_file_read("/nowhere/at/all", &buf, &err), -ENOENT);
	assert_string_equal(ao_err_text(err), "/nowhere/at/all: No such file or directory");
	assert_int_equal(ao_file_read("/proc/self/status", &buf, NULL), 0);
	assert_true(buf.len > 0);
	assert_int_equal(ao_file_read("/proc/self/status", &small, NULL), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_buffer_keeps_its_cap),
		cmocka_unit_test(strings_are_escaped_for_json),
		cmocka_unit_test(a_map_agrees_with_an_array),
		cmocka_unit_test(errors_grow_on_their_way_up),
		cmocka_unit_test(base64_is_decoded_or_refused),
		cmocka_unit_test(times_read_as_kubernetes_writes_them),
		cmocka_unit_test(files_are_read_up_to_a_cap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
