/* load.c -- sources, then the manifest, then the settings it names, then the bundle. */
#include "policy/load.h"

#include "base/base64.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/suggest.h"
#include "json/yaml.h"

#include <stdlib.h>
#include <string.h>

#define MAX_CONFIG (1024 * 1024)
#define MAX_UNCLAIMED 1000 /* bytes of a message */

int ao_load_base(const char *bundle_dir, ao_sources *sources, ao_err **reterr)
{
	const char *folder = ao_load_folder(bundle_dir);
	if (folder)
		return ao_sources_dir(sources, folder, reterr);
	ao_sources_builtin(sources);
	return 0;
}

int ao_load_base_manifest(const char *bundle_dir, cJSON **ret, ao_err **reterr)
{
	ao_auto_sources ao_sources sources = {0};
	int r = ao_load_base(bundle_dir, &sources, reterr);
	if (r < 0)
		return r;
	r = ao_bundle_peek_manifest(&sources, ret, reterr);
	return r < 0 && ao_load_folder(bundle_dir) ? ao_err_wrap(reterr, "bundle %s", bundle_dir) : r;
}

/** Parents of the first kind would be left with our finalizer, and nobody would ask who else works on the other one. */
static int check_parent(const ao_resource *wanted, const ao_resource *is, ao_err **reterr)
{
	if (!wanted || ao_manifest_one_kind(wanted, is))
		return 0;
	return ao_err_set(reterr, -EINVAL,
			  "manifest: the parent is %s (%s), and this operator works on %s (%s): an edit cannot change that, nor a restart. "
			  "Take it back, or start the operator with a bundle, and rights, for the other kind, which has a component of its "
			  "own. Whoever gives up the first kind says `asya-operator release`, and then deletes the record, the ConfigMap "
			  "COMPONENT-policies-live",
			  is->kind, is->api_version, wanted->kind, wanted->api_version);
}

/** Parents hold the finalizer of the manifest that was live, and only who works by that one takes it off. */
static int check_finalizer(const char *held, const char *is, ao_err **reterr)
{
	if (!held || (is && strcmp(held, is) == 0))
		return 0;
	return ao_err_set(
	    reterr, -EINVAL,
	    "manifest: the finalizer is %s, and parents hold %s, which nobody would take off: an edit cannot change that, nor "
	    "a restart. Take it back (its default follows the domain), or say `asya-operator release -A` with the bundle as it "
	    "was, and then delete the record, the ConfigMap COMPONENT-policies-live",
	    is ? is : "none", held);
}

int ao_load_check_parents(const ao_resource *parent, const char *finalizer, const ao_manifest *manifest, ao_err **reterr)
{
	int r = check_parent(parent, &manifest->kinds[0].resource, reterr);
	return r < 0 ? r : check_finalizer(finalizer, manifest->finalizer, reterr);
}

int ao_load_manifest(const char *bundle_dir, const ao_sources *sources, ao_manifest **ret, ao_err **ret_refused, ao_err **reterr)
{
	ao_auto_json cJSON *base = NULL, *wanted = NULL;
	ao_auto_manifest ao_manifest *ours = NULL, *theirs = NULL;
	ao_auto_err ao_err *why = NULL;
	int r = ao_load_base_manifest(bundle_dir, &base, reterr);
	if (r == 0)
		r = ao_manifest_read(base, &ours, reterr);
	if (r < 0)
		return r;
	r = ao_bundle_peek_manifest(sources, &wanted, &why);
	if (r == 0)
		r = ao_manifest_read(wanted, &theirs, &why);
	if (r == 0)
		r = check_parent(&ours->kinds[0].resource, &theirs->kinds[0].resource, &why);
	if (r == -EINTR)
		return ao_err_set(reterr, r, "%s", ao_err_text(why));
	if (r == 0) {
		char *another = theirs->lease;
		theirs->lease = ours->lease; /* an operator takes it before it reads ConfigMaps */
		ours->lease = another;
	}
	*ret = r == 0 ? AO_TAKE(theirs) : AO_TAKE(ours);
	*ret_refused = AO_TAKE(why);
	return 0;
}

int ao_load_sources(const ao_load_options *options, ao_sources *sources, ao_err **reterr)
{
	int r = ao_load_base(options->bundle_dir, sources, reterr);
	return r == 0 && options->policies_dir ? ao_sources_dir(sources, options->policies_dir, reterr) : r;
}

int ao_load_config(const char *path, cJSON **ret, ao_err **reterr)
{
	ao_auto_buf ao_buf text = ao_buf_init(MAX_CONFIG);
	ao_auto_json cJSON *documents = NULL;
	int r = ao_file_read(path, &text, reterr);
	if (r == 0)
		r = ao_yaml_parse(text.data ? text.data : "", text.len, path, &documents, reterr);
	if (r < 0)
		return r;
	if (cJSON_GetArraySize(documents) > 1)
		return ao_err_set(reterr, -EINVAL, "%s: holds more than one document", path);
	*ret = cJSON_DetachItemFromArray(documents, 0);
	return 0;
}

/** Adds to `over`, which may be NULL, what it lacks: keys, and the parameters of policies. @return what there is then; takes `over` */
static cJSON *lay_over(cJSON *over, const cJSON *under)
{
	const cJSON *item;
	cJSON *all = over ? over : cJSON_CreateObject();
	cJSON_ArrayForEach (item, under) {
		cJSON *own = ao_json_at(all, item->string);
		if (!own)
			ao_json_set(all, item->string, cJSON_Duplicate(item, 1));
		else if (strcmp(item->string, "params") == 0 && cJSON_IsObject(own))
			lay_over(own, item);
	}
	return all;
}

/** Parameters of policies that the bundle does not have, each with the name that may have been meant, and what policies refuse. */
static char *find_unclaimed(const ao_bundle *bundle, const cJSON *settings, bool alone)
{
	const cJSON *params, *policy;
	ao_auto_buf ao_buf text = ao_buf_init(MAX_UNCLAIMED);
	const cJSON *all = alone ? ao_json_at(settings, "params") : NULL; /* else they may be another bundle's */
	cJSON_ArrayForEach (params, all) {
		ao_suggest near = ao_suggest_for(params->string);
		bool known = false;
		cJSON_ArrayForEach (policy, ao_bundle_policies(bundle)) {
			known = known || strcmp(ao_json_str(policy, "name"), params->string) == 0;
			ao_suggest_offer(&near, ao_json_str(policy, "name"));
		}
		ao_auto_str char *hint = ao_suggest_text(&near);
		if (!known)
			ao_buf_printf(&text, "%s '%s' in the bundle%s", text.len ? "; nor" : "params: there is no policy", params->string,
				      hint);
	}
	const cJSON *problem;
	cJSON_ArrayForEach (problem, ao_bundle_problems(bundle))
		ao_buf_printf(&text, "%s%s", text.len ? "; " : "", problem->valuestring);
	return ao_xstrdup(text.data);
}

/** What a configuration for several bundles says of one: settings of others are left out, and what is for this one alone lies over the rest. */
static int for_bundle(const ao_load_options *options, const cJSON *manifest, cJSON **config, ao_err **reterr)
{
	const char *component = ao_json_str(manifest, "component");
	ao_auto_json cJSON *bundles = cJSON_DetachItemFromObjectCaseSensitive(*config, "bundles");
	if (!cJSON_IsObject(*config) || !(bundles || options->beside_others))
		return 0;
	if (bundles && !cJSON_IsObject(bundles))
		return ao_err_set(reterr, -EINVAL, "config file: bundles: expected a mapping of components to their settings");
	cJSON *own = component ? cJSON_DetachItemFromObjectCaseSensitive(bundles, component) : NULL;
	if (own && !cJSON_IsObject(own) && !cJSON_IsNull(own)) {
		cJSON_Delete(own);
		return ao_err_set(reterr, -EINVAL, "config file: bundles.%s: expected a mapping of setting names to values", component);
	}
	for (cJSON *item = (*config)->child, *next; item; item = next) {
		next = item->next;
		if (strcmp(item->string, "params") != 0 && !ao_json_at(manifest, "settings", item->string))
			cJSON_Delete(cJSON_DetachItemViaPointer(*config, item));
	}
	cJSON *whole = lay_over(cJSON_IsObject(own) ? AO_TAKE(own) : NULL, *config);
	cJSON_Delete(own);
	cJSON_Delete(*config);
	*config = whole;
	return 0;
}

int ao_load_settings(const ao_load_options *options, const ao_sources *sources, cJSON **ret, cJSON **ret_seen, ao_err **reterr)
{
	ao_auto_json cJSON *peeked = NULL, *config = NULL;
	int r = ao_bundle_peek_manifest(sources, &peeked, reterr);
	if (r == 0 && options->config_file)
		r = ao_load_config(options->config_file, &config, reterr);
	if (r == 0 && options->config)
		config = lay_over(AO_TAKE(config), options->config);
	if (r == 0)
		r = for_bundle(options, peeked, &config, reterr);
	ao_auto_json cJSON *flags = options->flags ? cJSON_Duplicate(options->flags, 1) : cJSON_CreateObject();
	if (options->profile)
		ao_json_set_str(flags, "profile", options->profile);
	if (r == 0)
		r = ao_settings_collect(peeked, &(ao_settings_from){config, flags, options->files, options->on_note, options->namespaces},
					ret, reterr);
	if (r == 0 && ret_seen)
		*ret_seen = ao_settings_for_policies(peeked, *ret);
	return r;
}

int ao_load_with(const ao_load_options *options, const ao_sources *sources, const cJSON *settings, const cJSON *seen, ao_loaded *ret,
		 ao_err **reterr)
{
	ao_auto_bundle ao_bundle *bundle = NULL;
	ao_auto_manifest ao_manifest *manifest = NULL;
	int r = ao_bundle_load(sources, seen, options->limits, &bundle, reterr);
	if (r == 0)
		r = ao_manifest_read(ao_bundle_manifest(bundle), &manifest, reterr);
	if (r == 0)
		r = ao_load_check_parents(options->parent, options->finalizer, manifest, reterr);
	if (r == 0 && options->scope)
		r = ao_scope_keeps_class(options->scope, ao_bundle_manifest(bundle), reterr);
	const char *class_ = ao_load_scope(options)->class_;
	if (r == 0 && *class_ && !manifest->class_annotation)
		r = ao_err_set(reterr, -EINVAL, "manifest: without class_annotation an operator of class %s would take all objects",
			       class_);
	if (r == 0)
		r = ao_scope_admits(ao_load_scope(options), manifest, reterr);
	if (r < 0)
		return r;
	char *unclaimed = find_unclaimed(bundle, settings, !options->beside_others);
	*ret = (ao_loaded){
	    .bundle = AO_TAKE(bundle), .manifest = AO_TAKE(manifest), .settings = cJSON_Duplicate(settings, 1), .unclaimed = unclaimed};
	return 0;
}

int ao_load(const ao_load_options *options, const ao_sources *sources, ao_loaded *ret, ao_err **reterr)
{
	ao_auto_json cJSON *settings = NULL, *seen = NULL;
	int r = ao_load_settings(options, sources, &settings, &seen, reterr);
	if (r == 0)
		r = ao_load_with(options, sources, settings, seen, ret, reterr);
	return r < 0 && ao_load_folder(options->bundle_dir) ? ao_err_wrap(reterr, "bundle %s", options->bundle_dir) : r;
}

void ao_loaded_clear(ao_loaded *loaded)
{
	ao_bundle_free(loaded->bundle);
	ao_manifest_free(loaded->manifest);
	cJSON_Delete(loaded->settings);
	free(loaded->unclaimed);
	*loaded = (ao_loaded){0};
}

static int by_name(const void *a, const void *b)
{
	const char *x = ao_json_str(*(const cJSON *const *)a, "metadata", "name"),
		   *y = ao_json_str(*(const cJSON *const *)b, "metadata", "name");
	return strcmp(x ? x : "", y ? y : "");
}

static void lay_file(ao_sources *sources, const char *profile, const char *file, const char *text, size_t len, const char *origin)
{
	ao_auto_str char *name = profile && *profile ? ao_sources_profile_name(profile, file) : ao_xstrdup(file);
	ao_sources_lay(sources, name, text, len, origin);
}

static void add_files(ao_sources *sources, const cJSON *config_map, const char *annotation)
{
	const char *profile = annotation ? ao_json_str(config_map, "metadata", "annotations", annotation) : NULL;
	ao_auto_str char *origin =
	    ao_xasprintf("configmap %s/%s", ao_json_str(config_map, "metadata", "namespace"), ao_json_str(config_map, "metadata", "name"));
	const cJSON *file;
	cJSON_ArrayForEach (file, ao_json_at(config_map, "data"))
		if (cJSON_IsString(file))
			lay_file(sources, profile, file->string, file->valuestring, strlen(file->valuestring), origin);
	cJSON_ArrayForEach (file, ao_json_at(config_map, "binaryData")) { /* no text: who checks the files says so */
		ao_auto_buf ao_buf bytes = ao_buf_init(MAX_CONFIG);
		if (cJSON_IsString(file) && ao_base64_decode(file->valuestring, &bytes))
			lay_file(sources, profile, file->string, bytes.data ? bytes.data : "", bytes.len, origin);
	}
}

size_t ao_load_config_maps(ao_sources *sources, const cJSON *list, const char *annotation)
{
	const cJSON *items = ao_json_at(list, "items"), *item;
	size_t count = 0;
	const cJSON **sorted = ao_xcalloc((size_t)cJSON_GetArraySize(items) + 1, sizeof(cJSON *));
	cJSON_ArrayForEach (item, items)
		sorted[count++] = item;
	qsort(sorted, count, sizeof(cJSON *), by_name);
	for (size_t i = 0; i < count; i++)
		add_files(sources, sorted[i], annotation);
	free(sorted);
	return count;
}
