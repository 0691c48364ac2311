/* shapes.c -- each shape is a call of its own, so that the budget of a call is enough. */
#include "policy/shapes.h"

#include "base/mem.h"
#include "policy/plan.h"

#include <string.h>

#define MAX_WARNINGS 100

void ao_shapes_clear(ao_shapes *shapes)
{
	cJSON_Delete(shapes->tried);
	cJSON_Delete(shapes->warnings);
	*shapes = (ao_shapes){0};
}

static bool has_text(const cJSON *list, const char *text)
{
	const cJSON *item;
	cJSON_ArrayForEach (item, list)
		if (cJSON_IsString(item) && strcmp(item->valuestring, text) == 0)
			return true;
	return false;
}

static void prepare(ao_shapes *shapes, const cJSON *all)
{
	const cJSON *shape;
	if (shapes->tried)
		return;
	shapes->tried = cJSON_CreateArray();
	shapes->warnings = cJSON_CreateArray();
	cJSON_ArrayForEach (shape, all) {
		cJSON *row = cJSON_CreateObject();
		ao_json_set_str(row, "shape", ao_json_str(shape, "name"));
		ao_json_set(row, "rendered", cJSON_CreateNumber(0));
		ao_json_set(row, "refused", cJSON_CreateNumber(0));
		cJSON_AddItemToArray(shapes->tried, row);
	}
}

static void count(cJSON *row, const char *what)
{
	const cJSON *number = ao_json_at(row, what);
	if (number)
		ao_json_set(row, what, cJSON_CreateNumber(number->valuedouble + 1));
}

static void keep_warnings(ao_shapes *shapes, const cJSON *verdict)
{
	const cJSON *each;
	cJSON_ArrayForEach (each, ao_json_at(verdict, "warnings")) {
		ao_auto_str char *text = ao_xasprintf("policy '%s': plan:merge replaces the list %s of role '%s'; plan:append adds to it",
						      ao_json_str(each, "policy"), ao_json_str(each, "path"), ao_json_str(each, "role"));
		if (!has_text(shapes->warnings, text) && cJSON_GetArraySize(shapes->warnings) < MAX_WARNINGS)
			cJSON_AddItemToArray(shapes->warnings, cJSON_CreateString(text));
	}
}

/** Who set the field that an error is about. @param case_  as it was rendered. @return NULL when that cannot be told; the caller frees */
static char *find_culprit(ao_bundle *bundle, cJSON *case_, const char *role, const ao_err *err)
{
	ao_auto_json cJSON *verdict = NULL;
	ao_json_set(case_, "blame", ao_plan_field(role, err));
	return ao_bundle_case(bundle, case_, &verdict, NULL) == 0 ? ao_xstrdup(ao_json_str(verdict, "blame")) : NULL;
}

static int check_objects(const ao_shapes *shapes, ao_bundle *bundle, cJSON *case_, const cJSON *verdict, ao_err **reterr)
{
	const cJSON *item;
	cJSON_ArrayForEach (item, ao_json_at(verdict, "objects")) {
		cJSON *object = ao_json_at(item, "object");
		const char *role = ao_json_str(item, "role");
		ao_auto_err ao_err *err = NULL;
		int r = ao_openapi_check(shapes->openapi, object, &err);
		if (r == 0)
			continue;
		ao_auto_str char *culprit = find_culprit(bundle, case_, role, err);
		return ao_err_set(reterr, r, "policy '%s', role '%s': %s: %s", culprit ? culprit : ao_json_str(item, "policy"), role,
				  ao_json_str(object, "kind"), ao_err_text(err));
	}
	return 0;
}

/** Logs of policies are dropped: the same line for six shapes is no help. */
static void ignore_log(void *arg, const char *level, const char *policy, const char *text)
{
	(void)arg, (void)level, (void)policy, (void)text;
}

static int try_one(ao_shapes *shapes, ao_bundle *bundle, const cJSON *case_, const cJSON *shape, cJSON *row, ao_err **reterr)
{
	ao_auto_json cJSON *copy = cJSON_Duplicate(case_, 1), *verdict = NULL;
	ao_json_set(copy, "shape", cJSON_Duplicate(shape, 1));
	ao_bundle_on_log(bundle, ignore_log, NULL);
	int r = ao_bundle_case(bundle, copy, &verdict, reterr);
	if (r == 0) {
		count(row, ao_json_at(verdict, "refusal") ? "refused" : "rendered");
		keep_warnings(shapes, verdict);
	}
	if (r == 0 && shapes->openapi)
		r = check_objects(shapes, bundle, copy, verdict, reterr);
	ao_bundle_on_log(bundle, NULL, NULL);
	return r < 0 ? ao_err_wrap(reterr, "as %s", ao_json_str(shape, "name")) : 0;
}

int ao_shapes_try(ao_shapes *shapes, ao_bundle *bundle, const cJSON *case_, ao_err **reterr)
{
	const cJSON *all = ao_json_at(ao_bundle_manifest(bundle), "cases", "shapes"), *own = ao_json_at(case_, "shapes"), *shape;
	prepare(shapes, all);
	cJSON *row = shapes->tried->child;
	if (ao_json_at(case_, "snapshot") || ao_json_at(case_, "invalid") || cJSON_IsFalse(own))
		return 0;
	cJSON_ArrayForEach (shape, all) {
		bool wanted = !cJSON_IsArray(own) || has_text(own, ao_json_str(shape, "name"));
		int r = wanted ? try_one(shapes, bundle, case_, shape, row, reterr) : 0;
		if (r < 0)
			return r;
		row = row ? row->next : NULL;
	}
	return 0;
}
