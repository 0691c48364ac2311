#pragma once
/**
 * test_json_random.h -- JSON values that chance makes, the same ones in every run; for tests of json/.
 */
#include "base/mem.h"
#include "json/json.h"

#include <math.h>

static unsigned random_seed = 7;

static inline unsigned chance(unsigned below)
{
	random_seed = random_seed * 1103515245u + 12345u;
	return (random_seed >> 16) % below;
}

static const char *const random_pieces[] = {
    "a",
    "Z",
    "0",
    "7",
    " ",
    "  ",
    "\n",
    "\n\n",
    "\t",
    "\r",
    ":",
    ": ",
    " #",
    "#",
    "-",
    "- ",
    "'",
    "\"",
    "\\",
    ",",
    "[",
    "}",
    "?",
    "? ",
    "!",
    "&",
    "*",
    "|",
    ">",
    "%",
    "---",
    "...",
    "yes",
    "No",
    "null",
    "~",
    "1e3",
    "0x1F",
    "_",
    ".inf",
    "\x01",
    "\x1b",
    "\x7f",
    ".",
    "+",
    "2026-01-02",
    "\xc3\xa9",
    "\xc2\x85",
    "\xc2\xa0",
    "\xe2\x82\xac",
    "\xe2\x80\xa8",
    "\xef\xbb\xbf",
    "\xef\xbf\xbf",
    "\xf0\x9f\x98\x80",
};

/** Pieces that are special to JSON, to YAML, to a terminal, or to none of them. */
static inline char *random_text(void)
{
	ao_buf text = ao_buf_init(4096);
	for (unsigned n = chance(6); n; n--)
		ao_buf_puts(&text, random_pieces[chance(AO_LEN(random_pieces))]);
	if (chance(40) == 0) /* longer than a key of one line may be */
		for (unsigned n = 60 + chance(120); n; n--)
			ao_buf_puts(&text, chance(9) ? "long" : " ");
	return ao_buf_steal(&text);
}

static inline double random_number(void)
{
	switch (chance(7)) {
	case 0:
		return chance(20) - 10.0;
	case 1:
		return chance(65536) / 8.0;
	case 2:
		return (chance(2) ? -1 : 1) * (double)(AO_JSON_MAX_INT - chance(3));
	case 3:
		return ldexp(1 + chance(65536), (int)chance(1800) - 900);
	case 4:
		return chance(65536) * 0.1;
	case 5:
		return (double)AO_JSON_MAX_INT * (1 + chance(12)) + chance(65536);
	default:
		return chance(65536) * 65536.0 + chance(65536);
	}
}

static inline cJSON *random_container(int depth, bool object);

static inline cJSON *random_value(int depth)
{
	unsigned kind = chance(depth > 0 ? 9 : 6);
	if (kind == 0)
		return cJSON_CreateNull();
	if (kind == 1)
		return cJSON_CreateBool((int)chance(2));
	if (kind <= 3)
		return cJSON_CreateNumber(random_number());
	if (kind > 5)
		return random_container(depth - 1, kind > 6);
	ao_auto_str char *text = random_text();
	return cJSON_CreateString(text);
}

static inline cJSON *random_container(int depth, bool object)
{
	cJSON *value = object ? cJSON_CreateObject() : cJSON_CreateArray();
	unsigned count = chance(30) == 0 ? 30 + chance(40) : chance(5); /* now and then enough for the tables of large objects */
	for (unsigned n = 0; n < count; n++) {
		cJSON *member = random_value(count > 10 ? 0 : depth);
		ao_auto_str char *key = chance(3) ? ao_xasprintf("key%u", chance(90)) : random_text();
		if (object)
			ao_json_set(value, key, member);
		else
			cJSON_AddItemToArray(value, member);
	}
	return value;
}

/** The same members in another order, on every level. */
static inline cJSON *shuffled(const cJSON *value)
{
	const cJSON *item;
	if (!cJSON_IsObject(value) && !cJSON_IsArray(value))
		return cJSON_Duplicate(value, 1);
	cJSON *copy = cJSON_IsObject(value) ? cJSON_CreateObject() : cJSON_CreateArray();
	cJSON_ArrayForEach (item, value) {
		if (cJSON_IsArray(value)) {
			cJSON_AddItemToArray(copy, shuffled(item));
			continue;
		}
		cJSON *member = shuffled(item);
		free(member->string); /* a copied scalar brings its key along */
		member->string = ao_xstrdup(item->string);
		if (chance(2)) /* to the front or to the end: Debian's cJSON refuses to insert between */
			cJSON_InsertItemInArray(copy, 0, member);
		else
			cJSON_AddItemToArray(copy, member);
	}
	return copy;
}

/** Its text with white space wherever JSON allows it. */
static inline char *spaced(const char *compact)
{
	ao_buf out = ao_buf_init(1 << 24);
	bool quoted = false;
	for (const char *s = compact; *s; s++) {
		if (!quoted && strchr("{}[],:", *s) && chance(2))
			ao_buf_puts(&out, (const char *const[]){" ", "\n", "\t ", "\r\n"}[chance(4)]);
		ao_buf_put(&out, s, 1);
		if (quoted && *s == '\\')
			ao_buf_put(&out, ++s, 1);
		else if (*s == '"')
			quoted = !quoted;
		else if (!quoted && strchr("{}[],:", *s) && chance(2))
			ao_buf_puts(&out, " ");
	}
	return ao_buf_steal(&out);
}
