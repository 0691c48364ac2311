/*
 * yaml_print.c -- JSON trees as block style YAML, laid out as kubectl lays it out.
 *
 * A string is printed in the first style that reads back as itself: plain, single quotes (what YAML's syntax would take for something
 * else), double quotes (what its rules for values would), a block of lines, double quotes with escapes.
 */
#include "json/yaml.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "json/yaml_scalar.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_SIMPLE_KEY 128 /* a longer key must be announced by "? " */

static void print_node(const cJSON *value, int indent, bool inline_start, ao_buf *out);

/* ---- strings ---- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/** Dates, 1:30 (base 60) and words that some readers, if not ours, take for something else than a string. */
static bool misleading(const char *text)
{
	static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off", "=", "<<"};
	for (size_t i = 0; i < AO_LEN(words) && strnlen(text, 6) < 6; i++)
		if (strcasecmp(text, words[i]) == 0)
			return true;
	const char *first = text + (*text == '-' || *text == '+');
	if (!is_digit(*first))
		return false;
	return strspn(first, "0123456789") == 4 && first[4] == '-' ? true : strchr(first, ':') && !first[strspn(first, "0123456789_:.")];
}

/** The length of the character at `s` when it may stand in YAML text as it is, or 0. Line ends are the caller's. */
static size_t printable(const char *s)
{
	unsigned char c = (unsigned char)*s;
	if (c < 0x80)
		return c >= 0x20 && c != 0x7f;
	static const char *const never[] = {"\xe2\x80\xa8", "\xe2\x80\xa9", "\xef\xbb\xbf", "\xef\xbf\xbe", "\xef\xbf\xbf"};
	size_t len = ao_utf8_len(s, 4);
	if (c == 0xc2 && (unsigned char)s[1] < 0xa0)
		return 0; /* control characters, the line end U+0085 among them */
	for (size_t i = 0; len == 3 && i < AO_LEN(never); i++)
		if (memcmp(s, never[i], 3) == 0)
			return 0; /* line ends, the byte order mark, and what is no character */
	return len;
}

static bool all_printable(const char *text, bool lines)
{
	while (*text) {
		size_t len = printable(text);
		if (!len && !(lines && (*text == '\n' || *text == '\t')))
			return false;
		text += len ? len : 1;
	}
	return true;
}

/** Is it what it says without quotes, as far as the syntax goes? */
static bool plain(const char *text)
{
	size_t len = strlen(text);
	if (strchr("!&*|>@`\"'%#{}[], ", text[0]) || text[len - 1] == ' ' || text[len - 1] == ':')
		return false;
	if (strchr("-?:", text[0]) && (!text[1] || text[1] == ' '))
		return false;
	if (strncmp(text, "---", 3) == 0 || strncmp(text, "...", 3) == 0)
		return false;
	return !strstr(text, ": ") && !strstr(text, " #");
}

static void put_single_quoted(const char *text, ao_buf *out)
{
	ao_buf_put(out, "'", 1);
	for (const char *quote; (quote = strchr(text, '\'')); text = quote + 1) {
		ao_buf_put(out, text, (size_t)(quote - text));
		ao_buf_put(out, "''", 2);
	}
	ao_buf_puts(out, text);
	ao_buf_put(out, "'", 1);
}

/** The number of the character whose `len` (1 to 3) bytes are at `s`; longer ones need no escape. */
static unsigned code_point(const char *s, size_t len)
{
	const unsigned char *u = (const unsigned char *)s;
	if (len == 3)
		return (u[0] & 0xfU) << 12 | (u[1] & 0x3fU) << 6 | (u[2] & 0x3fU);
	return len == 2 ? (u[0] & 0x1fU) << 6 | (u[1] & 0x3fU) : u[0];
}

/** Appends an escape. @return the bytes of `s` that it stands for */
static size_t put_escape(const char *s, ao_buf *out)
{
	static const char letters[128] = {['\n'] = 'n', ['\t'] = 't', ['\r'] = 'r', ['"'] = '"', ['\\'] = '\\'};
	size_t len = ao_utf8_len(s, 4);
	if (len == 1 && letters[(unsigned char)*s])
		ao_buf_put(out, (char[]){'\\', letters[(unsigned char)*s]}, 2);
	else
		ao_buf_printf(out, "\\u%04X", len ? code_point(s, len) : 0xfffdU);
	return len ? len : 1;
}

static void put_double_quoted(const char *text, ao_buf *out)
{
	ao_buf_put(out, "\"", 1);
	while (*text) {
		const char *run = text;
		for (size_t len; *text && *text != '"' && *text != '\\' && (len = printable(text));)
			text += len;
		ao_buf_put(out, run, (size_t)(text - run));
		if (*text)
			text += put_escape(text, out);
	}
	ao_buf_put(out, "\"", 1);
}

/** A string on one line. */
static void put_flat(const char *text, ao_buf *out)
{
	if (ao_yaml_resolve(text).kind != AO_YAML_STRING || misleading(text) || !all_printable(text, false))
		put_double_quoted(text, out);
	else if (plain(text))
		ao_buf_puts(out, text);
	else
		put_single_quoted(text, out);
}

/** Several lines, none of which needs an escape, ends in white space that nobody sees, or begins with what could be indentation. */
static bool literal(const char *text)
{
	size_t len = strlen(text);
	if (!strchr(text, '\n') || strchr(" \t\n", text[0]) || strchr(" \t", text[len - 1]))
		return false;
	return all_printable(text, true) && !strstr(text, " \n") && !strstr(text, "\t\n");
}

static void print_literal(const char *text, int indent, ao_buf *out)
{
	size_t len = strlen(text);
	if (text[len - 1] != '\n')
		ao_buf_puts(out, "|-\n");
	else
		ao_buf_puts(out, text[len - 2] == '\n' ? "|+\n" : "|\n");
	while (*text) {
		size_t line = strcspn(text, "\n");
		if (line)
			ao_buf_printf(out, "%*s", indent ? indent : 2, "");
		ao_buf_put(out, text, line);
		ao_buf_put(out, "\n", 1);
		text += line + (text[line] == '\n');
	}
}

static void print_string(const char *text, int indent, ao_buf *out)
{
	if (literal(text)) {
		print_literal(text, indent, out);
		return;
	}
	put_flat(text, out);
	ao_buf_put(out, "\n", 1);
}

/* ---- structure ---- */

static void print_object(const cJSON *object, int indent, bool inline_start, ao_buf *out)
{
	const cJSON *member;
	cJSON_ArrayForEach (member, object) {
		if (!inline_start)
			ao_buf_printf(out, "%*s", indent, "");
		inline_start = false;
		bool simple = strlen(member->string) <= MAX_SIMPLE_KEY;
		if (!simple)
			ao_buf_puts(out, "? ");
		put_flat(member->string, out);
		if (!simple)
			ao_buf_printf(out, "\n%*s", indent, "");
		bool block = (cJSON_IsObject(member) || cJSON_IsArray(member)) && member->child;
		ao_buf_puts(out, block ? ":\n" : ": ");
		print_node(member, block && cJSON_IsArray(member) ? indent : indent + 2, false, out);
	}
}

static void print_array(const cJSON *array, int indent, bool inline_start, ao_buf *out)
{
	const cJSON *item;
	cJSON_ArrayForEach (item, array) {
		if (!inline_start)
			ao_buf_printf(out, "%*s", indent, "");
		inline_start = false;
		ao_buf_puts(out, "- ");
		print_node(item, indent + 2, true, out);
	}
}

static void print_node(const cJSON *value, int indent, bool inline_start, ao_buf *out)
{
	if (cJSON_IsString(value)) {
		print_string(value->valuestring, indent, out);
	} else if (cJSON_IsObject(value) && value->child) {
		print_object(value, indent, inline_start, out);
	} else if (cJSON_IsArray(value) && value->child) {
		print_array(value, indent, inline_start, out);
	} else {
		ao_auto_str char *text = ao_json_print(value);
		ao_buf_puts(out, text);
		ao_buf_put(out, "\n", 1);
	}
}

void ao_yaml_print(const cJSON *value, ao_buf *out) { print_node(value, 0, false, out); }
