/* yaml_print.c -- JSON trees as block style YAML, laid out as kubectl lays it out. */
#include "json/yaml.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void print_node(const cJSON *value, int indent, bool inline_start, ao_buf *out);

/** Words and shapes that a reader would take for something else than a string. */
static bool ambiguous(const char *text)
{
	static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n", "~", "<<", ".inf", ".nan"};
	for (size_t i = 0; i < AO_LEN(words); i++)
		if (strcasecmp(text, words[i]) == 0)
			return true;
	/* anything that begins like a number or a date is quoted: cheaper than being clever, and never wrong */
	const char *s = text + (*text == '-' || *text == '+');
	return isdigit((unsigned char)*s) || (*s == '.' && isdigit((unsigned char)s[1]));
}

static bool plain(const char *text)
{
	size_t len = strlen(text);
	if (!len || ambiguous(text) || strchr("!&*-?|>@`\"'%#{}[],:= \t", text[0]) || text[len - 1] == ' ' || text[len - 1] == ':')
		return false;
	for (const char *s = text; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f || (*s == ':' && s[1] == ' ') || (*s == '#' && s > text && s[-1] == ' '))
			return false;
	return true;
}

/** Several lines, none of which needs an escape or begins with a space: a literal block reads best. */
static bool literal(const char *text)
{
	if (!strchr(text, '\n') || *text == ' ' || *text == '\n')
		return false;
	for (const char *s = text; *s; s++)
		if (((unsigned char)*s < 0x20 && *s != '\n' && *s != '\t') || *s == 0x7f || (*s == ' ' && s[1] == '\n'))
			return false;
	size_t len = strlen(text);
	return !(len > 1 && text[len - 1] == '\n' && text[len - 2] == '\n') && text[len - 1] != ' ';
}

static void print_literal(const char *text, int indent, ao_buf *out)
{
	size_t len = strlen(text);
	ao_buf_puts(out, text[len - 1] == '\n' ? "|\n" : "|-\n");
	while (*text) {
		size_t line = strcspn(text, "\n");
		if (line)
			ao_buf_printf(out, "%*s", indent, "");
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
	if (plain(text))
		ao_buf_puts(out, text);
	else
		ao_buf_put_json_string(out, text); /* a JSON string is a YAML double-quoted one */
	ao_buf_put(out, "\n", 1);
}

static void print_object(const cJSON *object, int indent, bool inline_start, ao_buf *out)
{
	const cJSON *member;
	cJSON_ArrayForEach(member, object)
	{
		if (!inline_start)
			ao_buf_printf(out, "%*s", indent, "");
		inline_start = false;
		if (plain(member->string))
			ao_buf_puts(out, member->string);
		else
			ao_buf_put_json_string(out, member->string);
		ao_buf_put(out, ":", 1);
		bool block = (cJSON_IsObject(member) || cJSON_IsArray(member)) && member->child;
		ao_buf_puts(out, block ? "\n" : " ");
		print_node(member, block && cJSON_IsArray(member) ? indent : indent + 2, false, out);
	}
}

static void print_array(const cJSON *array, int indent, bool inline_start, ao_buf *out)
{
	const cJSON *item;
	cJSON_ArrayForEach(item, array)
	{
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
