/* output.c -- JSON and YAML of one value, and names in kubectl's manner. */
#include "cli/output.h"

#include "base/mem.h"
#include "json/yaml.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define MAX_TEXT (256 * 1024 * 1024)

ao_output ao_output_read(const char *word)
{
	static const char *const WORDS[] = {"text", "wide", "name", "json", "yaml"}; /* in the order of ao_output */
	for (size_t i = 0; i < AO_LEN(WORDS); i++)
		if (strcmp(word, WORDS[i]) == 0)
			return (ao_output)i;
	return AO_OUTPUT_TEXT;
}

bool ao_output_value(ao_output output, const cJSON *value)
{
	if (output == AO_OUTPUT_JSON) {
		ao_auto_str char *text = ao_json_pretty(value);
		fputs(text, stdout);
	} else if (output == AO_OUTPUT_YAML) {
		ao_auto_buf ao_buf text = ao_buf_init(MAX_TEXT);
		ao_yaml_print(value, &text);
		fputs(text.data ? text.data : "", stdout);
	}
	return output == AO_OUTPUT_JSON || output == AO_OUTPUT_YAML;
}

char *ao_output_name(const char *api_version, const char *kind, const char *name)
{
	size_t group = api_version && strchr(api_version, '/') ? strcspn(api_version, "/") : 0;
	char *text = ao_xasprintf("%s%s%.*s/%s", kind, group ? "." : "", (int)group, group ? api_version : "", name);
	for (char *c = text; *c != '/'; c++)
		*c = (char)tolower((unsigned char)*c);
	return text;
}

void ao_output_list(const cJSON *objects)
{
	ao_auto_json cJSON *list = cJSON_CreateObject();
	ao_json_set_str(list, "apiVersion", "v1");
	ao_json_set_str(list, "kind", "List");
	ao_json_set(list, "items", cJSON_Duplicate(objects, 1));
	ao_output_value(AO_OUTPUT_JSON, list);
}
