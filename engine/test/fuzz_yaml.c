/* fuzz_yaml.c -- any bytes: what the reader takes, the printer writes so that it reads back as itself. */
#include "fuzz.h"

#include "base/log.h"
#include "base/mem.h"
#include "json/yaml.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	ao_auto_json cJSON *documents = NULL;
	ao_auto_err ao_err *err = NULL;
	const cJSON *document;
	int r = ao_yaml_parse((const char *)data, len, "fuzz", &documents, &err);
	ao_require((r == 0) == (documents != NULL) && (r < 0) == (err != NULL));
	cJSON_ArrayForEach (document, documents) {
		ao_auto_json cJSON *again = NULL;
		ao_auto_buf ao_buf text = ao_buf_init(1 << 26);
		ao_yaml_print(document, &text);
		ao_require(ao_yaml_parse(text.data, text.len, "again", &again, NULL) == 0);
		ao_require(ao_json_equal(document, again->child) && !again->child->next);
	}
	return 0;
}
