/* test_base_base.c -- buffers, maps, errors, base64 and clocks. */
#include "base/base64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/utf8.h"

#include <ctype.h>
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
	static const struct {
		const char *in, *out;
	} cases[] = {
	    {"", "\"\""},
	    {"\b\f\t\r\n", "\"\\b\\f\\t\\r\\n\""},
	    {"\x1f\x7f", "\"\\u001f\x7f\""},
	    {"a\xff"
	     "b",
	     "\"a\xef\xbf\xbd"
	     "b\""},
	    {"\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\""},
	    {"\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\""}, /* cut off by the end */
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_buf_clear(&buf);
		ao_buf_put_json_string(&buf, cases[i].in);
		assert_string_equal(buf.data, cases[i].out);
	}
}

static void buffers_of_all_sizes(void **state)
{
	(void)state;
	char text[1000];
	memset(text, 'x', sizeof(text));
	for (size_t cap = 0; cap < 300; cap += 7)
		for (size_t len = 0; len < 320; len += 5) {
			ao_auto_buf ao_buf once = ao_buf_init(cap), steps = ao_buf_init(cap), printed = ao_buf_init(cap);
			ao_buf_put(&once, text, len);
			assert_int_equal(once.len, len <= cap ? len : 0);
			assert_int_equal(once.overflow, len > cap);
			for (size_t i = 0; i < len; i += 5)
				ao_buf_put(&steps, text, 5);
			assert_int_equal(steps.len, len <= cap ? len : cap / 5 * 5);
			assert_true(!steps.data || (strlen(steps.data) == steps.len && steps.size <= cap + 1));
			ao_buf_printf(&printed, "%.*s", (int)len, text);
			assert_int_equal(printed.len, once.len);
		}
	ao_auto_buf ao_buf endless = ao_buf_init(SIZE_MAX);
	ao_buf_puts(&endless, "x");
	ao_buf_put(&endless, text, SIZE_MAX); /* refused before a byte is read */
	assert_true(endless.overflow);
	assert_string_equal(endless.data, "x");
	ao_buf_put(&endless, text, 1); /* once over, nothing more is written: no holes */
	assert_int_equal(endless.len, 1);
	ao_buf_drop_front(&endless, 99);
	assert_int_equal(endless.len, 0);
}

static void text_of_any_length_is_copied(void **state)
{
	(void)state;
	ao_auto_str char *none = ao_xstrndup(NULL, 0), *part = ao_xstrndup("abc", 2), *printed = ao_xasprintf("%s-%d", "x", 5);
	assert_string_equal(none, "");
	assert_string_equal(part, "ab");
	assert_string_equal(printed, "x-5");
	assert_null(ao_xstrdup(NULL));
}

/** Every sequence of two bytes, and the edges of the longer ones, against their code points. */
static void utf8_is_told_from_other_bytes(void **state)
{
	(void)state;
	for (unsigned a = 0; a < 256; a++)
		for (unsigned b = 0; b < 256; b++) {
			char two[] = {(char)a, (char)b};
			size_t want = a < 0x80 ? 1 : a >= 0xc2 && a <= 0xdf && b >= 0x80 && b <= 0xbf ? 2 : 0;
			assert_int_equal(ao_utf8_len(two, 2), want);
			assert_int_equal(ao_utf8_len(two, 1), a < 0x80 ? 1 : 0);
		}
	static const struct {
		const char *text;
		size_t len;
	} cases[] = {{"\xe0\xa0\x80", 3},     {"\xe0\x9f\xbf", 0},
		     {"\xed\x9f\xbf", 3},     {"\xed\xa0\x80", 0},
		     {"\xef\xbf\xbf", 3},     {"\xf0\x90\x80\x80", 4},
		     {"\xf0\x8f\xbf\xbf", 0}, {"\xf4\x8f\xbf\xbf", 4},
		     {"\xf4\x90\x80\x80", 0}, {"\xf5\x80\x80\x80", 0},
		     {"\xe2\x82", 0},         {"\xf0\x9f\x98", 0},
		     {"\xf0\x9f\x98(", 0},    {"\x80", 0}};
	for (size_t i = 0; i < AO_LEN(cases); i++)
		assert_int_equal(ao_utf8_len(cases[i].text, strlen(cases[i].text)), cases[i].len);
	assert_int_equal(ao_utf8_len("", 0), 0);
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

/** Removing the current key while walking is allowed; removed keys leave no trace, however often they come back. */
static void nothing_is_an_empty_map(void **state)
{
	(void)state;
	int value = 0;
	size_t cursor = 0;
	ao_auto_map ao_map *map = ao_map_new();
	const ao_map *const empty[] = {NULL, map};
	for (size_t i = 0; i < AO_LEN(empty); i++) {
		assert_null(ao_map_get(empty[i], "a"));
		assert_null(ao_map_key(empty[i], "a"));
		assert_int_equal(ao_map_count(empty[i]), 0);
		assert_null(ao_map_next(empty[i], &cursor, NULL));
	}
	assert_null(ao_map_remove(map, "a"));
	char key[] = "a";
	ao_map_put(map, key, &value);
	const char *own = ao_map_key(map, "a");
	assert_ptr_not_equal(own, key);
	for (int i = 0; i < 100; i++) { /* it stays where it is while the map grows */
		ao_auto_str char *other = ao_xasprintf("%d", i);
		ao_map_put(map, other, &value);
	}
	assert_ptr_equal(ao_map_key(map, "a"), own);
}

static void a_map_is_emptied_while_it_is_walked(void **state)
{
	(void)state;
	static int value;
	ao_auto_map ao_map *map = ao_map_new();
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 1000; i++) {
			ao_auto_str char *key = ao_xasprintf("%d/%d", round, i);
			assert_null(ao_map_put(map, key, &value));
		}
		size_t cursor = 0, seen = 0;
		for (const char *key; ao_map_next(map, &cursor, &key); seen++) {
			ao_auto_str char *copy = ao_xstrdup(key); /* the map's own goes with the entry */
			assert_ptr_equal(ao_map_remove(map, copy), &value);
		}
		assert_int_equal(seen, 1000);
		assert_int_equal(ao_map_count(map), 0);
		assert_null(ao_map_get(map, "0/0"));
	}
	ao_map_put(map, "", &value);
	assert_ptr_equal(ao_map_get(map, ""), &value);
	ao_map_free(NULL);
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
	/* the old message may be part of the new one */
	assert_int_equal(ao_err_set(&err, -EPROTO, "<%s>", ao_err_text(err)), -EPROTO);
	assert_string_equal(ao_err_text(err), "<reading x: disk 3>");
	assert_int_equal(ao_err_wrap(NULL, "nobody"), -EINVAL);
	ao_err *none = NULL;
	assert_int_equal(ao_err_wrap(&none, "nothing"), -EINVAL);
	assert_null(none);
}

static void base64_is_decoded_or_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text, *bytes; /* NULL: refused */
	} cases[] = {{"", ""},           {"Zg==", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"}, {"Zm9v\nYmFy\n", "foobar"},
		     {"Zm9vYg", "foob"}, {"Z", NULL},   {"Zm!v", NULL}, {"Zg==x", NULL}};
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
	ao_time_text(-1, text);
	assert_string_equal(text, "1969-12-31T23:59:59.999Z");
	ao_time_second_text(-1, text);
	assert_string_equal(text, "1969-12-31T23:59:59Z");
	ao_time_micro_text(0, text);
	assert_string_equal(text, "1970-01-01T00:00:00.000000Z");
	ao_time_micro_text(INT64_MAX, text);
	assert_true(strlen(text) < AO_TIME_TEXT);
	ao_time_text(INT64_MIN, text);
	assert_true(strlen(text) < AO_TIME_TEXT);
	uint64_t before = ao_mono_ms();
	assert_true(before <= ao_mono_ms());
	assert_true(ao_wall_ms() > 1767366245123);
}

static void durations_are_those_of_go(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = {{"0", 0},       {"0s", 0},      {"5m", 300000},      {"30s", 30000}, {"1h30m", 5400000},
		    {"1.5s", 1500}, {"200ms", 200}, {"1h0m1s", 3601000}, {"1000us", 1},  {"1000000ns", 1}};
	static const char *const bad[] = {
	    "", "5", "m", "5 m", "-5m", "5m ", "five", "1e3s", "0x1s", ".s", "5d", "1.2.3s", "99999999999999999h", "infs"};
	(void)state;
	uint64_t ms = 7;
	for (size_t i = 0; i < AO_LEN(bad); i++) {
		if (ao_duration_read(bad[i], &ms))
			fail_msg("\"%s\" was read", bad[i]);
		assert_int_equal(ms, 7);
	}
	for (size_t i = 0; i < AO_LEN(good); i++) {
		if (!ao_duration_read(good[i].text, &ms))
			fail_msg("\"%s\" was refused", good[i].text);
		assert_int_equal(ms, good[i].ms);
	}
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
	assert_int_equal(ao_file_read("/", &buf, NULL), -EIO);
	ao_auto_buf ao_buf none = ao_buf_init(0);
	assert_int_equal(ao_file_read("/dev/null", &none, NULL), 0);
}

static void digests_are_read_as_people_write_them(void **state)
{
	(void)state;
	static const char empty[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
	char hex[AO_SHA256_HEX], upper[80] = "SHA256:";
	ao_sha256("", 0, hex);
	assert_string_equal(hex, empty);
	for (size_t i = 0; i < 64; i++)
		upper[7 + i] = (char)toupper((unsigned char)empty[i]);
	assert_true(ao_sha256_read(upper, hex));
	assert_string_equal(hex, empty);
	static const char *const none[] = {"", "sha256:", "e3b0", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8550",
					   "g3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"};
	for (size_t i = 0; i < AO_LEN(none); i++)
		assert_false(ao_sha256_read(none[i], hex));
	assert_true(ao_utf8_is_text("gr\xc3\xbc\xc3\x9f", 6));
	assert_false(ao_utf8_is_text("a\0b", 3));
	assert_false(ao_utf8_is_text("\xc3", 1));
}

/** Plain text is looked at eight bytes at a time, which must find the same. */
static void text_is_told_from_bytes_at_any_place(void **state)
{
	(void)state;
	static const char *const odd[] = {"\0", "\xff", "\x80", "\xc3"};
	char text[33];
	for (size_t at = 0; at < 32; at++) {
		memset(text, 1, sizeof(text));
		assert_true(ao_utf8_is_text(text, 32));
		for (size_t i = 0; i < AO_LEN(odd); i++) {
			text[at] = *odd[i];
			assert_false(ao_utf8_is_text(text, 32));
			assert_true(ao_utf8_is_text(text, at));
		}
		memcpy(text + at, "\xc3\xbc", 2);
		assert_int_equal(ao_utf8_is_text(text, 32), at < 31);
	}
}

static void times_are_read_with_fraction_and_offset(void **state)
{
	(void)state;
	int64_t ms = -1;
	assert_true(ao_time_read("1970-01-02T00:00:01Z", &ms));
	assert_int_equal(ms, 86401000);
	assert_true(ao_time_read("2026-11-23T10:17:30.803030Z", &ms));
	assert_int_equal(ms % 1000, 803);
	assert_true(ao_time_read("1970-01-02T01:30:01+01:30", &ms));
	assert_int_equal(ms, 86401000);
	assert_true(ao_time_read("1970-01-01T23:00:01-01:00", &ms));
	assert_int_equal(ms, 86401000);
	static const char *const wrong[] = {
	    "", "2026-11-23", "2026-11-23T10:17:30", "2026-11-23T10:17:30+01", "2026-11-23T10:17:30Zx", "nonsense"};
	for (size_t i = 0; i < AO_LEN(wrong); i++)
		assert_false(ao_time_read(wrong[i], &ms));
}

static void base64_goes_both_ways(void **state)
{
	(void)state;
	static const char *const texts[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}};
	for (size_t i = 0; i < AO_LEN(texts); i++) {
		ao_auto_buf ao_buf text = ao_buf_init(64), back = ao_buf_init(64);
		ao_base64_encode(texts[i][0], strlen(texts[i][0]), &text);
		assert_string_equal(text.data ? text.data : "", texts[i][1]);
		assert_true(ao_base64_decode(text.data ? text.data : "", &back));
		assert_string_equal(back.data ? back.data : "", texts[i][0]);
	}
}

static void hashes_by_words_tell_texts_apart(void **state)
{
	(void)state;
	char text[64] = {0}, same[65] = {0};
	for (size_t len = 0; len <= sizeof(text); len++) {
		memcpy(same + 1, text, sizeof(text)); /* elsewhere, and not aligned */
		uint64_t was = ao_hash_words(AO_HASH_INIT, text, len);
		assert_true(was == ao_hash_words(AO_HASH_INIT, same + 1, len));
		assert_true(was != ao_hash_words(was, text, len));
		assert_true(len == sizeof(text) || was != ao_hash_words(AO_HASH_INIT, text, len + 1));
		for (size_t bit = 0; bit < 8 * len; bit++) {
			same[1 + bit / 8] ^= (char)(1 << bit % 8);
			assert_true(was != ao_hash_words(AO_HASH_INIT, same + 1, len));
			same[1 + bit / 8] ^= (char)(1 << bit % 8);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(hashes_by_words_tell_texts_apart),
	    cmocka_unit_test(times_are_read_with_fraction_and_offset),
	    cmocka_unit_test(base64_goes_both_ways),
	    cmocka_unit_test(a_buffer_keeps_its_cap),
	    cmocka_unit_test(strings_are_escaped_for_json),
	    cmocka_unit_test(buffers_of_all_sizes),
	    cmocka_unit_test(text_of_any_length_is_copied),
	    cmocka_unit_test(utf8_is_told_from_other_bytes),
	    cmocka_unit_test(a_map_agrees_with_an_array),
	    cmocka_unit_test(nothing_is_an_empty_map),
	    cmocka_unit_test(a_map_is_emptied_while_it_is_walked),
	    cmocka_unit_test(errors_grow_on_their_way_up),
	    cmocka_unit_test(base64_is_decoded_or_refused),
	    cmocka_unit_test(times_read_as_kubernetes_writes_them),
	    cmocka_unit_test(durations_are_those_of_go),
	    cmocka_unit_test(files_are_read_up_to_a_cap),
	    cmocka_unit_test(digests_are_read_as_people_write_them),
	    cmocka_unit_test(text_is_told_from_bytes_at_any_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
