/* aws_text.c -- no XML parser: the answers we read are flat where we look, and come from a server that we trust with our credentials. */
#include "transport/sqs/aws_text.h"

#include "base/mem.h"
#include "json/json.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define MAX_MESSAGE 300

/* ---- XML ---- */

static const struct {
	const char *entity;
	char means;
} ENTITIES[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};

static void decode_entities(char *text)
{
	char *to = text;
	while (*text) {
		size_t skip = 0;
		for (size_t i = 0; i < AO_LEN(ENTITIES) && !skip; i++)
			if (strncmp(text, ENTITIES[i].entity, strlen(ENTITIES[i].entity)) == 0) {
				*to++ = ENTITIES[i].means;
				skip = strlen(ENTITIES[i].entity);
			}
		if (!skip)
			*to++ = *text;
		text += skip ? skip : 1;
	}
	*to = '\0';
}

char *ao_aws_xml_text(const char *xml, const char *element)
{
	ao_auto_str char *open = ao_xasprintf("<%s>", element);
	const char *start = strstr(xml, open);
	if (!start)
		return NULL;
	start += strlen(open);
	size_t len = strcspn(start, "<");
	if (!start[len])
		return NULL;
	char *text = ao_xstrndup(start, len);
	decode_entities(text);
	return text;
}

/* ---- errors ---- */

/** "com.amazonaws.sqs#QueueDoesNotExist:http://..." and "AWS.SimpleQueueService.QueueDeletedRecently" give the bare word. */
static char *bare_code(const char *text)
{
	static const char prefix[] = "AWS.SimpleQueueService.";
	const char *hash = strchr(text, '#');
	if (hash)
		text = hash + 1;
	if (strncmp(text, prefix, sizeof(prefix) - 1) == 0)
		text += sizeof(prefix) - 1;
	char *code = ao_xstrndup(text, strcspn(text, ":; \t\r\n"));
	if (strcmp(code, "NonExistentQueue") != 0)
		return code;
	free(code); /* the older protocol's word */
	return ao_xstrdup("QueueDoesNotExist");
}

/** Only the first line, and not what follows "The Canonical String": AWS repeats our headers there, session token and all. */
static char *short_message(const char *text)
{
	const char *canonical = strstr(text, "The Canonical String");
	size_t len = strcspn(text, "\r\n");
	if (canonical && (size_t)(canonical - text) < len)
		len = (size_t)(canonical - text);
	if (len > MAX_MESSAGE)
		len = MAX_MESSAGE;
	while (len && (text[len - 1] == ' ' || ((unsigned char)text[len] & 0xc0) == 0x80))
		len--;
	char *message = ao_xstrndup(text, len);
	for (char *c = message; *c; c++)
		if (iscntrl((unsigned char)*c))
			*c = ' ';
	return message;
}

static const char *first_string(const cJSON *object, const char *a, const char *b)
{
	const char *text = ao_json_str(object, a);
	return text ? text : ao_json_str(object, b);
}

ao_aws_error ao_aws_error_read(const char *body, size_t len)
{
	ao_auto_json cJSON *json = NULL;
	ao_auto_str char *xml_code = NULL, *xml_message = NULL;
	const char *code = NULL, *message = NULL;
	if (len && *body == '{' && ao_json_parse(body, len, &json, NULL) == 0) {
		code = first_string(json, "__type", "code");
		message = first_string(json, "message", "Message");
	} else if (len) {
		code = xml_code = ao_aws_xml_text(body, "Code");
		message = xml_message = ao_aws_xml_text(body, "Message");
	}
	return (ao_aws_error){.code = bare_code(code ? code : ""), .message = short_message(message ? message : "")};
}

void ao_aws_error_free(ao_aws_error *error)
{
	free(error->code);
	free(error->message);
}

/* ---- forms and addresses ---- */

void ao_aws_form_put(ao_buf *form, const char *name, const char *value)
{
	if (form->len)
		ao_buf_puts(form, "&");
	ao_buf_puts(form, name);
	ao_buf_puts(form, "=");
	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;
		if (isalnum(c) || strchr("-._~", c))
			ao_buf_put(form, &c, 1);
		else
			ao_buf_printf(form, "%%%02X", c);
	}
}

const char *ao_aws_env(const char *name)
{
	const char *text = getenv(name);
	return text && *text ? text : NULL;
}

char *ao_aws_url(const char *service, const char *region)
{
	return ao_xasprintf("https://%s.%s.amazonaws.com%s", service, region, strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
}
