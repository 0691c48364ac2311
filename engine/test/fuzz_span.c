/* fuzz_span.c -- any bytes: the scanner stays inside them; of what the strict parser takes it sees the same members. */
#include "fuzz.h"

#include "base/log.h"
#include "base/mem.h"
#include "json/span.h"

#include <string.h>

#define MAX_WALK 8 /* levels: each walks its text again */

/** Everything a caller may ask of a span that could be anything. @param tree  what it is, or NULL when nobody knows */
static void walk(ao_span span, const cJSON *tree, int levels)
{
	size_t cursor = 0, count = 0;
	ao_span key, value;
	ao_auto_str char *text = ao_span_text(span);
	if (text)
		ao_require(ao_span_is(span, text));
	ao_require(!tree || cJSON_IsString(tree) == (text != NULL));
	ao_require(!cJSON_IsString(tree) || strcmp(text, tree->valuestring) == 0);
	ao_span_int(span, 0);
	const cJSON *want = tree ? tree->child : NULL;
	for (; ao_span_member(span, &cursor, &key, &value); want = want ? want->next : NULL, count++) {
		ao_require(key.at >= span.at && value.at + value.len <= span.at + span.len && value.len > 0);
		ao_require(!tree || ao_span_is((ao_span){key.at - 1, key.len + 2}, want->string));
		if (levels)
			walk(value, tree ? want : NULL, levels - 1);
	}
	ao_require(!cJSON_IsObject(tree) || !want);
	want = tree ? tree->child : NULL;
	for (cursor = 0; ao_span_item(span, &cursor, &value); want = want ? want->next : NULL) {
		ao_require(value.at > span.at && value.at + value.len <= span.at + span.len && value.len > 0);
		if (levels)
			walk(value, tree ? want : NULL, levels - 1);
	}
	ao_require(!cJSON_IsArray(tree) || !want);
}

/** Copies the next value member by member. */
static void copy(ao_walk *at, int levels, ao_buf *out)
{
	char open = levels ? ao_walk_opens(at) : '\0';
	bool first = true, first_put = true;
	ao_span key;
	if (!open) {
		ao_walk_put(at, out);
		return;
	}
	ao_walk_enter(at, open);
	ao_buf_put(out, &open, 1);
	while (ao_walk_next(at, &first, open == '{' ? &key : NULL)) {
		if (open == '{')
			ao_span_put_key(key, &first_put, out);
		else if (!first_put)
			ao_buf_put(out, ",", 1);
		first_put = false;
		copy(at, levels - 1, out);
	}
	ao_buf_put(out, open == '{' ? "}" : "]", 1);
}

/** A single walk copies what ao_span_without() copies when it leaves nothing out; broken texts it may call whole less often. */
static void check_single_walk(ao_span span, bool valid, const ao_buf *want)
{
	ao_walk at = {.text = span};
	ao_auto_buf ao_buf out = ao_buf_init(2 * span.len + 64);
	copy(&at, MAX_WALK, &out);
	ao_require(!valid || (ao_walk_ended(&at) && out.len == want->len && memcmp(out.data, want->data, out.len) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	ao_span span = {(const char *)data, len};
	ao_auto_json cJSON *tree = NULL, *again = NULL;
	bool valid = ao_json_parse(span.at, len, &tree, NULL) == 0;
	size_t start = 0;
	while (valid && strchr(" \t\r\n", span.at[start]))
		start++;
	if (valid) { /* spans that callers have begin and end with their value */
		size_t end = len;
		while (strchr(" \t\r\n", span.at[end - 1]))
			end--;
		span = (ao_span){span.at + start, end - start};
	}
	walk(span, tree, MAX_WALK);
	ao_span_at(span, "a", "b");
	ao_auto_buf ao_buf out = ao_buf_init(len + 1);
	bool whole = ao_span_without(span, "absent.member", &out);
	ao_require(!out.overflow); /* never longer than what it came from */
	check_single_walk(span, valid, &out);
	if (valid) {
		ao_require(whole && ao_json_parse(out.data, out.len, &again, NULL) == 0);
		ao_auto_str char *one = ao_json_print(tree), *two = ao_json_print(again);
		ao_require(strcmp(one, two) == 0);
	}
	return 0;
}
