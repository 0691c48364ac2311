/* cases.c -- each document of each file is one case.  A case with settings of its own gets a bundle of its own. */
#include "policy/cases.h"

#include "base/mem.h"
#include "json/yaml.h"

#include <string.h>

#define SUFFIX ".case.yaml"
#define MAX_CASES 500

typedef struct runner {
	const ao_loaded *loaded;
	const ao_sources *sources;
	ao_bundle *usual; /* with the manifest's settings for cases; loaded when first needed */
	size_t count;
} runner;

/** The bundle for a case: with the settings of the case, or with those of the manifest. `*own` is set when the caller must free it. */
static int bundle_for(runner *run, const cJSON *case_, ao_bundle **ret, bool *own, ao_err **reterr)
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
	int r = ao_bundle_load(run->sources, all, NULL, ret, reterr);
	if (r == 0 && !*own)
		run->usual = *ret;
	return r;
}

static int run_case(runner *run, const cJSON *case_, ao_err **reterr)
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
	if (own)
		ao_bundle_free(bundle);
	return r < 0 ? ao_err_wrap(reterr, "case '%s'", title ? title : "(without a title)") : 0;
}

static int run_file(runner *run, const ao_source *file, ao_cases_count *count, ao_err **reterr)
{
	ao_auto_json cJSON *documents = NULL;
	int r = ao_yaml_parse(file->text, file->len, file->name, &documents, reterr), first = 0;
	const cJSON *case_;
	for (case_ = documents ? documents->child : NULL; r == 0 && case_ && run->count < MAX_CASES; case_ = case_->next) {
		ao_auto_err ao_err *err = NULL;
		run->count++;
		int one = run_case(run, case_, &err);
		if (count)
			*(one < 0 ? &count->failed : &count->passed) += 1;
		if (one < 0 && first == 0)
			first = ao_err_set(reterr, one, "%s: %s", file->name, ao_err_text(err));
		if (one < 0 && !count)
			break;
	}
	return r < 0 ? r : first;
}

int ao_cases_run(const ao_loaded *loaded, const ao_sources *sources, const ao_sources *files, ao_cases_count *count, ao_err **reterr)
{
	runner run = {.loaded = loaded, .sources = sources};
	int r = 0;
	for (size_t i = 0; i < files->count && (r == 0 || count); i++) {
		size_t len = strlen(files->items[i].name), suffix = strlen(SUFFIX);
		ao_auto_err ao_err *err = NULL;
		if (len <= suffix || strcmp(files->items[i].name + len - suffix, SUFFIX) != 0)
			continue;
		int one = run_file(&run, &files->items[i], count, &err);
		if (one < 0 && r == 0)
			r = ao_err_set(reterr, one, "%s", ao_err_text(err));
	}
	ao_bundle_free(run.usual);
	return r;
}
