/* fuzz_schema.c -- any JSON as a planned object: the check against the schemas takes it or names what is wrong, and what it took it takes again. */
#include "fuzz.h"

#include "base/log.h"
#include "base/mem.h"
#include "kube/openapi.h"
#include "script/embedded.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static ao_openapi *openapi;
	if (!openapi)
		ao_require(
		    ao_openapi_new(&(ao_openapi_options){.bundled = ao_embedded_schemas->text, .bundled_len = ao_embedded_schemas->len},
				   &openapi, NULL) == 0);
	ao_auto_json cJSON *object = NULL;
	ao_auto_err ao_err *err = NULL, *err_again = NULL;
	if (ao_json_parse((const char *)data, len, &object, NULL) < 0)
		return 0;
	int r = ao_openapi_check(openapi, object, &err);
	ao_require((r == 0) == (err == NULL));
	if (r < 0)
		return 0;
	ao_auto_str char *settled = ao_json_print(object);
	ao_require(ao_openapi_check(openapi, object, &err_again) == 0);
	ao_auto_str char *again = ao_json_print(object);
	ao_require(strcmp(settled, again) == 0);
	return 0;
}
