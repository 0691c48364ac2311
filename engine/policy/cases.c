/* cases.c -- each document of each file is one case.  A case with settings of its own gets a bundle of its own. */
#include "policy/cases.h"

#include "base/mem.h"
#include "json/yaml.h"

#include <stdlib.h>
#include <string.h>

#define SUFFIX ".case.yaml"
#define MAX_CASES 500

struct ao_cases {
	const ao_loaded *loaded;
	const ao_sources *files;
	ao_sources sources;
	ao_bundle *usual;  /* with the manifest's settings for cases; loaded when first needed */
	size_t file;       /* that is opened next */
	size_t count;      /* of cases that were begun */
	cJSON *documents;  /* of the file that was opened last, or NULL */
	const cJSON *next; /* among them; NULL: another file must be opened */
	ao_shapes *shapes; /* as which each case is rendered, too; or NULL */
};

/** The bundle for a case: with the settings of the case, or with those of the manifest. `*own` is set when the caller must free it. */
static int bundle_for(ao_cases *run, const cJSON *case_, ao_bundle **ret, bool *own, ao_err **reterr)
{
	const cJSON *settings = ao_json_at(case_, "settings");
	*own = settings != NULL;
	if (!settings && run->usual) {
		*ret = run->usual;
		return 0;
	}
	if (!settings)
		settings = ao_json_at(ao_bundle_manifest(run->loaded->bundle), "cases", "settings");
	ao_auto_json cJSON *all = cJSON_IsObject(settings) ? cJSON_Duplicate(settings, 1) : cJSON_CreateObject();
	const cJSON *params = ao_json_at(run->loaded->settings, "params");
	if (params && !ao_json_at(all, "params"))
		ao_json_set(all, "params", cJSON_Duplicate(params, 1));
	int r = ao_bundle_load_covered(&run->sources, all, ao_bundle_limits(run->loaded->bundle),
				       run->shapes ? run->shapes->coverage : NULL, ret, reterr);
	if (r == 0 && !*own)
		run->usual = *ret;
	return r;
}

static int run_case(ao_cases *run, const cJSON *case_, ao_err **reterr)
{
	ao_bundle *bundle = NULL;
	bool own = false;
	ao_auto_json cJSON *verdict = NULL;
	const char *title = ao_json_str(case_, "title");
	int r = cJSON_IsObject(case_) ? bundle_for(run, case_, &bundle, &own, reterr)
				      : ao_err_set(reterr, -EINVAL, "a case must be a mapping with a title");
	if (r == 0)
		r = ao_bundle_case(bundle, case_, &verdict, reterr);
	const char *failure = r == 0 ? ao_json_str(verdict, "failure") : NULL;
	if (failure)
		r = ao_err_set(reterr, -EINVAL, "%s", failure);
	if (r == 0 && run->shapes)
		r = ao_shapes_try(run->shapes, bundle, case_, reterr);
	if (own)
		ao_bundle_free(bundle);
	return r < 0 ? ao_err_wrap(reterr, "case '%s'", title ? title : "(without a title)") : 0;
}

static bool holds_cases(const char *name)
{
	size_t len = strlen(name), suffix = strlen(SUFFIX);
	return len > suffix && strcmp(name + len - suffix, SUFFIX) == 0;
}

/** @return 1 the next case is known; 0 none is left; negative: the file is malformed */
static int open_file(ao_cases *cases, ao_err **reterr)
{
	while (cases->file < cases->files->count) {
		const ao_source *file = &cases->files->items[cases->file++];
		if (!holds_cases(file->name))
			continue;
		cJSON_Delete(AO_TAKE(cases->documents));
		int r = ao_yaml_parse(file->text, file->len, file->name, &cases->documents, reterr);
		if (r < 0)
			return r;
		cases->next = cases->documents->child;
		if (cases->next)
			return 1;
	}
	return 0;
}

ao_cases *ao_cases_new(const ao_loaded *loaded, ao_sources *sources, const ao_sources *files)
{
	ao_cases *cases = ao_xcalloc(1, sizeof(*cases));
	*cases = (ao_cases){.loaded = loaded, .files = files, .sources = *sources};
	*sources = (ao_sources){0};
	return cases;
}

void ao_cases_free(ao_cases *cases)
{
	if (!cases)
		return;
	ao_sources_clear(&cases->sources);
	ao_bundle_free(cases->usual);
	cJSON_Delete(cases->documents);
	free(cases);
}

int ao_cases_next(ao_cases *cases, ao_err **reterr)
{
	int r = cases->next ? 1 : open_file(cases, reterr);
	if (r <= 0 || cases->count == MAX_CASES)
		return r < 0 ? r : 0;
	const cJSON *case_ = cases->next;
	r = run_case(cases, case_, reterr);
	if (r != -EINTR) {
		cases->next = case_->next;
		cases->count++;
	}
	return r < 0 ? ao_err_wrap(reterr, "%s", cases->files->items[cases->file - 1].name) : 1;
}

/** What every bundle has: the parent of the manifest, in each shape. */
static int try_example(ao_cases *cases, ao_err **reterr)
{
	ao_auto_json cJSON *example = cJSON_CreateObject();
	ao_bundle *bundle = NULL;
	bool own;
	int r = bundle_for(cases, example, &bundle, &own, reterr);
	if (r == 0)
		r = ao_shapes_try(cases->shapes, bundle, example, reterr);
	return r < 0 ? ao_err_wrap(reterr, "the manifest's example") : 0;
}

int ao_cases_run(const ao_loaded *loaded, const ao_sources *sources, const ao_sources *files, ao_shapes *shapes, ao_cases_count *count,
		 ao_err **reterr)
{
	ao_cases cases = {.loaded = loaded, .files = files, .sources = *sources, .shapes = shapes};
	int first = shapes ? try_example(&cases, reterr) : 0, r;
	count->failed += first < 0;
	do {
		ao_auto_err ao_err *err = NULL;
		size_t before = cases.count;
		r = ao_cases_next(&cases, &err);
		if (r == -EINTR) {
			cases.next = cases.next->next;
			cases.count++;
		}
		count->passed += r > 0;
		count->failed += r < 0 && cases.count > before;
		if (r < 0 && first == 0)
			first = ao_err_set(reterr, r, "%s", ao_err_text(err));
	} while (r != 0);
	ao_bundle_free(cases.usual);
	cJSON_Delete(cases.documents);
	return first;
}
