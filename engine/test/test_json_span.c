/* test_json_span.c -- spans agree with a real parser, and never look outside the text. */
#include "base/mem.h"
#include "json/json.h"
#include "json/span.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "test_json_random.h"

static ao_span span(const char *text) { return (ao_span){text, strlen(text)}; }

static void finds_members_and_items(void **state)
{
	(void)state;
	ao_span object = span(" { \"a\" : {\"b\\\"}\": 1, \"c\": [ 1 , \"x]\", {} ] } , \"n\": -12, \"s\": \"q\\u00e9\\n\" } ");
	assert_true(ao_span_is(ao_span_at(object, "a", "c"), "x") == false);
	ao_span list = ao_span_at(object, "a", "c"), item;
	size_t cursor = 0, count = 0;
	while (ao_span_item(list, &cursor, &item))
		count++;
	assert_int_equal(count, 3);
	assert_int_equal(ao_span_int(ao_span_get(object, "n"), 0), -12);
	assert_int_equal(ao_span_int(ao_span_get(object, "none"), 7), 7);
	ao_auto_str char *text = ao_span_text(ao_span_get(object, "s"));
	assert_string_equal(text, "q\xc3\xa9\n");
	assert_true(ao_span_is(ao_span_get(object, "s"), "q\xc3\xa9\n"));
	assert_null(ao_span_at(object, "a", "c", "d").at);
	assert_null(ao_span_text(ao_span_get(object, "n")));
	assert_null(ao_span_get(span("[1]"), "a").at);
}

static void tells_an_end_from_a_break(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool object, array; /* ... to its very end */
	} cases[] = {
	    {" { \"a\" : [1, {}] , \"b\":\"}\" } \n", true, false},
	    {"{}", true, false},
	    {" { } ", true, false},
	    {"[1, {\"a\":2}]", false, true},
	    {"[ ]", false, true},
	    {"", false, false},
	    {"  ", false, false},
	    {"{", false, false},
	    {"[", false, false},
	    {"{]", false, false},
	    {"[}", false, false},
	    {"{}}", false, false},
	    {"{} {}", false, false},
	    {"{\"a\":1", false, false},
	    {"{\"a\":1 \"b\":2}", false, false},
	    {"{\"a\":", false, false},
	    {"[{} {}]", false, false},
	    {"[1,", false, false},
	    {"<html>", false, false},
	    {"\"{}\"", false, false},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		size_t cursor = 0;
		ao_span item;
		assert_int_equal(ao_span_is_object(span(cases[i].text)), cases[i].object);
		while (ao_span_item(span(cases[i].text), &cursor, &item))
			;
		assert_int_equal(!cases[i].object && ao_span_ended(span(cases[i].text), cursor), cases[i].array);
	}
	assert_false(ao_span_is_object((ao_span){0}));
	assert_false(ao_span_ended((ao_span){0}, 0));
}

/** However long they are, and wherever what looks like their end stands in them. */
static void strings_end_where_they_end(void **state)
{
	(void)state;
	for (size_t len = 2; len < 70; len++)
		for (size_t at = 0; at + 2 <= len; at++) {
			char text[80] = "\"";
			memset(text + 1, 'a', len);
			text[1 + at] = '\\';
			text[2 + at] = at % 2 ? '"' : '\\';
			text[1 + len] = '"';
			ao_auto_str char *pair = ao_xasprintf("[%s,1]", text), *open = ao_xstrndup(text, len + 1);
			size_t cursor = 0, none = 0;
			ao_span item;
			assert_true(ao_span_item(span(pair), &cursor, &item));
			assert_int_equal(item.len, len + 2);
			ao_auto_str char *cut = ao_xasprintf("[%s", open);
			assert_false(ao_span_item(span(cut), &none, &item));
		}
}

static void picks_members_in_one_walk(void **state)
{
	(void)state;
	static const char *const KEYS[] = {"a", "b", "none", NULL};
	ao_span found[3];
	assert_true(ao_span_pick(span(" {\"b\":{\"a\":0},\"x\":1,\"a\":2,\"a\":3} "), KEYS, found));
	assert_true(found[0].len == 1 && *found[0].at == '2' && found[1].len == 7 && !found[2].at);
	assert_false(ao_span_pick(span("{\"a\":2"), KEYS, found));
	assert_false(ao_span_pick(span("[1]"), KEYS, found) || found[0].at);
	assert_false(ao_span_pick((ao_span){0}, KEYS, found));
}

static void leaves_a_member_out(void **state)
{
	(void)state;
	static const struct {
		const char *in, *path, *out;
	} cases[] = {
	    {"{ \"m\": { \"x\": [1, 2], \"y\": \" keep \" }, \"z\": 1 }", "m.x", "{\"m\":{\"y\":\" keep \"},\"z\":1}"},
	    {"{\"m\":{\"x\":1}}", "m.x", "{\"m\":{}}"},
	    {"{\"m\":{\"x\":1}}", "m", "{}"},
	    {"{\"m\":{\"x\":1}}", "n.x", "{\"m\":{\"x\":1}}"},
	    {"{\"m\":5}", "m.x", "{\"m\":5}"},
	    {" [ 1 ] ", "m", "[1]"},
	    {" { } ", "m", "{}"},
	    {"{\"m\":{\"x\":{\"y\":1,\"z\":2}}}", "m.x.y", "{\"m\":{\"x\":{\"z\":2}}}"},
	    {"{\"m\":1,\"m\":2,\"n\":3}", "m", "{\"n\":3}"},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_buf ao_buf out = ao_buf_init(1024);
		assert_true(ao_span_without(span(cases[i].in), cases[i].path, &out));
		assert_string_equal(out.data, cases[i].out);
	}
}

static void says_when_the_text_is_cut_off(void **state)
{
	(void)state;
	static const char whole[] = "{\"m\":{\"x\":[1,\"]\"],\"y\":{}},\"z\":\"q\\\"\"}";
	for (size_t len = 0; len <= strlen(whole); len++) {
		ao_auto_buf ao_buf out = ao_buf_init(1024);
		assert_int_equal(ao_span_without((ao_span){whole, len}, "m.x", &out), len == strlen(whole));
	}
	static const char *const malformed[] = {"{}x", "{\"a\":1]", "{\"a\" 1}", "{\"a\":}", "{a:1}", "{\"m\":{\"x\":1]}",
						"",    "[1] 2",     "{\"a\":1}}"};
	for (size_t i = 0; i < AO_LEN(malformed); i++) {
		ao_auto_buf ao_buf out = ao_buf_init(1024);
		assert_false(ao_span_without(span(malformed[i]), "m.x", &out));
	}
}

static void reads_scalars_or_says_no(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		long long value;
	} numbers[] = {{"0", 0},
		       {"-5", -5},
		       {"9223372036854775807", INT64_MAX},
		       {"9223372036854775808", -1},
		       {"+5", -1},
		       {"", -1},
		       {"-", -1},
		       {"1.5", -1},
		       {"1e3", -1},
		       {"\"5\"", -1},
		       {"null", -1},
		       {" 5", -1},
		       {"123456789012345678901234567890", -1}};
	for (size_t i = 0; i < AO_LEN(numbers); i++)
		assert_true(ao_span_int(span(numbers[i].text), -1) == numbers[i].value);
	assert_true(ao_span_int((ao_span){"5\0", 2}, -1) == -1);
	static const char *const none[] = {"", "\"", "x", "\"a", "a\"", "\"\\\"", "\"\\u0000\"", "\"\\ud800\"", "\"\\q\"", "5", "null"};
	for (size_t i = 0; i < AO_LEN(none); i++) {
		assert_null(ao_span_text(span(none[i])));
		assert_false(ao_span_is(span(none[i]), ""));
	}
	assert_null(ao_span_text((ao_span){"\"a\0b\"", 5}));
	assert_null(ao_span_text((ao_span){0}));
	assert_false(ao_span_is((ao_span){0}, ""));
	assert_true(ao_span_is(span("\"\""), ""));
	assert_true(ao_span_is(span("\"\\u0041b\""), "Ab"));
	assert_false(ao_span_is(span("\"Ab\""), "A"));
	assert_false(ao_span_is(span("\"A\""), "Ab"));
}

/* ---- against the tree ---- */

static void same(ao_span text, const cJSON *tree);

static void same_members(ao_span text, const cJSON *tree)
{
	size_t cursor = 0;
	ao_span key = {0}, value = {0};
	const cJSON *member = tree->child;
	for (; ao_span_member(text, &cursor, &key, &value); member = member->next) {
		assert_non_null(member);
		ao_span quoted = {key.at - 1, key.len + 2};
		assert_true(ao_span_is(quoted, member->string));
		same(value, member);
	}
	assert_null(member);
	assert_false(ao_span_item(text, &(size_t){0}, &value));
}

static void same_items(ao_span text, const cJSON *tree)
{
	size_t cursor = 0;
	ao_span item = {0}, key = {0};
	const cJSON *want = tree->child;
	for (; ao_span_item(text, &cursor, &item); want = want->next) {
		assert_non_null(want);
		same(item, want);
	}
	assert_null(want);
	assert_false(ao_span_member(text, &(size_t){0}, &key, &item));
}

static void same(ao_span text, const cJSON *tree)
{
	ao_auto_json cJSON *parsed = NULL;
	assert_int_equal(ao_json_parse(text.at, text.len, &parsed, NULL), 0);
	assert_true(ao_json_equal(parsed, tree));
	if (cJSON_IsObject(tree))
		same_members(text, tree);
	else if (cJSON_IsArray(tree))
		same_items(text, tree);
	else if (cJSON_IsString(tree))
		assert_true(ao_span_is(text, tree->valuestring));
	else if (cJSON_IsNumber(tree) && tree->valuedouble == (double)(long long)tree->valuedouble && fabs(tree->valuedouble) < 1e15)
		assert_true(ao_span_int(text, 99) == (long long)tree->valuedouble);
}

static void walks_as_the_parser_does(void **state)
{
	(void)state;
	for (int i = 0; i < 1500; i++) {
		ao_auto_json cJSON *tree = random_container(3, chance(4) > 0);
		ao_auto_str char *compact = ao_json_print(tree), *text = spaced(compact);
		same(span(text), tree);
	}
}

/** Copies the next value, some levels of it member by member and the rest as it is; leaves out what lies in `without`. */
static void copy_in_steps(ao_walk *walk, unsigned levels, const char *without, ao_buf *out)
{
	char open = levels ? ao_walk_opens(walk) : '\0';
	bool first = true, first_put = true;
	ao_span key = {0};
	if (!open) {
		ao_walk_put(walk, out);
		return;
	}
	ao_walk_enter(walk, open);
	ao_buf_put(out, &open, 1);
	while (ao_walk_next(walk, &first, open == '{' ? &key : NULL)) {
		if (open == '{' && ao_span_is_key(key, without)) {
			ao_walk_skip(walk);
			continue;
		}
		if (open == '{')
			ao_span_put_key(key, &first_put, out);
		else if (!first_put)
			ao_buf_puts(out, ",");
		first_put = false;
		copy_in_steps(walk, levels - 1, without, out);
	}
	ao_buf_puts(out, open == '{' ? "}" : "]");
}

static void a_single_walk_copies_as_the_parser_does(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1500; i++) {
		ao_auto_json cJSON *tree = random_container(4, chance(4) > 0);
		ao_auto_str char *compact = ao_json_print(tree), *text = spaced(compact);
		ao_auto_buf ao_buf out = ao_buf_init(1 << 20);
		ao_walk walk = {.text = span(text)};
		copy_in_steps(&walk, i % 4, "no such key", &out);
		assert_true(ao_walk_ended(&walk));
		assert_string_equal(out.data, compact);
		ao_walk cut_off = {.text = {compact, strlen(compact) - 1}};
		copy_in_steps(&cut_off, i % 4, "no such key", &out);
		assert_false(ao_walk_ended(&cut_off));
	}
	static const char *const broken[] = {
	    "",     "{",   "{]",         "{\"a\":1,}", "{\"a\" 1}",  "{\"a\":}",    "{a:1}",       "{\"a\":1 \"b\":2}",
	    "[1,]", "[1}", "{,\"a\":1}", "{\"a\":1}}", "{\"a\":\"}", "{\"a\\\":1}", "{\"a\":[1, 2"};
	for (size_t i = 0; i < 2 * AO_LEN(broken); i++) {
		ao_auto_buf ao_buf out = ao_buf_init(1024);
		ao_walk walk = {.text = span(broken[i / 2])};
		copy_in_steps(&walk, i % 2 ? 4 : 1, "", &out);
		assert_false(ao_walk_ended(&walk));
	}
}

/** A path into the tree without dots or escapes in its keys, so that ao_span_without() can name it. */
static bool plain_key(const char *key) { return *key && !key[strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789")]; }

static void leaves_out_what_the_tree_would(void **state)
{
	(void)state;
	int left_out = 0;
	for (int i = 0; i < 3000; i++) {
		ao_auto_json cJSON *tree = random_container(4, true);
		ao_auto_str char *compact = ao_json_print(tree), *text = spaced(compact);
		ao_auto_buf ao_buf path = ao_buf_init(1024), out = ao_buf_init(1 << 20);
		cJSON *parent = tree, *member = NULL;
		for (cJSON *at = tree; cJSON_IsObject(at) && at->child; at = member) {
			cJSON *next = cJSON_GetArrayItem(at, (int)chance((unsigned)cJSON_GetArraySize(at)));
			if (!plain_key(next->string))
				break;
			ao_buf_printf(&path, "%s%s", path.len ? "." : "", next->string);
			parent = at;
			member = next;
			if (chance(2))
				break;
		}
		assert_true(ao_span_without(span(text), member ? path.data : "absent", &out));
		if (member)
			cJSON_Delete(cJSON_DetachItemViaPointer(parent, member));
		ao_auto_str char *want = ao_json_print(tree);
		assert_string_equal(out.data, want);
		left_out += member != NULL;
	}
	assert_true(left_out > 500);
}

/** Looking for the end of a string anew after each escape took 0.2 s for this one. */
static void many_escapes_take_no_time(void **state)
{
	(void)state;
	ao_auto_buf ao_buf text = ao_buf_init(1 << 20);
	ao_buf_puts(&text, "{\"a\":\"");
	for (int i = 0; i < 400000; i++)
		ao_buf_puts(&text, "\\n");
	ao_buf_puts(&text, "\",\"b\":1}");
	clock_t start = clock();
	assert_true(ao_span_int(ao_span_get((ao_span){text.data, text.len}, "b"), 0) == 1);
	assert_true(clock() - start < CLOCKS_PER_SEC / 4);
}

/** Every prefix of a text, and every text with one byte changed, on the heap so that a sanitizer sees each byte beyond. */
static void stays_inside_broken_text(void **state)
{
	(void)state;
	static const char text[] =
	    "{\"a\":{\"b\":[1,\"x\\\"y\",{\"c\":null}]},\"metadata\":{\"name\":\"n\\u0041\",\"managedFields\":[{}]},\"t\":true}";
	static const char bytes[] = "\"\\{}[],:x \0";
	for (size_t len = 0; len < sizeof(text); len++)
		for (size_t i = 0; i < sizeof(bytes) - 1; i++) {
			char *copy = ao_xmalloc(len ? len : 1);
			memcpy(copy, text, len);
			if (len)
				copy[(len * 7 + i * 3) % len] = bytes[i];
			ao_span broken = {copy, len};
			ao_auto_buf ao_buf out = ao_buf_init(4096);
			ao_span_without(broken, "metadata.managedFields", &out);
			ao_auto_str char *name = ao_span_text(ao_span_at(broken, "metadata", "name"));
			ao_span item;
			size_t cursor = 0;
			while (ao_span_item(ao_span_at(broken, "a", "b"), &cursor, &item))
				;
			ao_walk walk = {.text = broken};
			copy_in_steps(&walk, 1 + (unsigned)(len + i) % 4, "managedFields", &out);
			free(copy);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(finds_members_and_items),
	    cmocka_unit_test(tells_an_end_from_a_break),
	    cmocka_unit_test(strings_end_where_they_end),
	    cmocka_unit_test(picks_members_in_one_walk),
	    cmocka_unit_test(leaves_a_member_out),
	    cmocka_unit_test(says_when_the_text_is_cut_off),
	    cmocka_unit_test(reads_scalars_or_says_no),
	    cmocka_unit_test(walks_as_the_parser_does),
	    cmocka_unit_test(a_single_walk_copies_as_the_parser_does),
	    cmocka_unit_test(leaves_out_what_the_tree_would),
	    cmocka_unit_test(many_escapes_take_no_time),
	    cmocka_unit_test(stays_inside_broken_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
