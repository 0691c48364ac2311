/* variant.c -- puts sources together, and decides which parents a canary is for. */
#include "policy/variant.h"

#include "base/hash.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static void put_all(ao_sources *to, const ao_sources *from)
{
	for (size_t i = 0; i < from->count; i++)
		ao_sources_put(to, from->items[i].name, from->items[i].text, from->items[i].len, from->items[i].origin);
}

int ao_variant_load_files(const ao_load_options *options, const ao_sources *own, ao_variant **ret, ao_err **reterr)
{
	ao_auto_sources ao_sources all = {0};
	ao_variant *variant = ao_xcalloc(1, sizeof(*variant));
	variant->references = 1;
	put_all(&variant->own, own);
	int r = ao_load_sources(options, &all, reterr);
	if (r == 0) {
		put_all(&all, own);
		r = ao_load(options, &all, &variant->loaded, reterr);
	}
	if (r < 0)
		ao_variant_unref(variant);
	else
		*ret = variant;
	return r;
}

int ao_variant_load(const ao_load_options *options, const cJSON *const *lists, ao_variant **ret, ao_err **reterr)
{
	ao_auto_sources ao_sources own = {0};
	ao_auto_json cJSON *names = cJSON_CreateArray();
	for (; *lists; lists++) {
		const cJSON *item;
		ao_load_config_maps(&own, *lists);
		cJSON_ArrayForEach (item, ao_json_at(*lists, "items"))
			cJSON_AddItemToArray(names, cJSON_CreateString(ao_json_str(item, "metadata", "name")));
	}
	ao_variant *variant = NULL;
	int r = ao_variant_load_files(options, &own, &variant, reterr);
	if (r < 0)
		return r;
	variant->config_maps = AO_TAKE(names);
	*ret = variant;
	return 0;
}

int ao_variant_cases(const ao_load_options *options, const ao_variant *variant, ao_cases **ret, ao_err **reterr)
{
	ao_auto_sources ao_sources all = {0};
	int r = ao_load_sources(options, &all, reterr);
	if (r < 0)
		return r;
	put_all(&all, &variant->own);
	*ret = ao_cases_new(&variant->loaded, &all, &variant->own);
	return 0;
}

ao_variant *ao_variant_ref(ao_variant *variant)
{
	variant->references++;
	return variant;
}

void ao_variant_unref(ao_variant *variant)
{
	if (!variant || --variant->references)
		return;
	ao_loaded_clear(&variant->loaded);
	ao_sources_clear(&variant->own);
	cJSON_Delete(variant->config_maps);
	free(variant->selector);
	free(variant);
}

bool ao_variant_same_manifest(const ao_variant *a, const ao_variant *b)
{
	return ao_json_equal(ao_bundle_manifest(a->loaded.bundle), ao_bundle_manifest(b->loaded.bundle));
}

/* ---- canaries ---- */

typedef struct requirement {
	char *key, *value; /* value NULL: the label must be there, with any value */
	bool negated;
} requirement;

/** Reads the next requirement of a selector. Sets `wrong` when it is malformed. @return false at the end of the selector */
static bool next_requirement(const char **at, requirement *ret, bool *wrong)
{
	*at += strspn(*at, " ,");
	size_t len = strcspn(*at, ",");
	if (!len)
		return false;
	ao_auto_str char *text = ao_xstrndup(*at, len);
	*at += len;
	*ret = (requirement){0};
	char *begin = text, *equals = strchr(text, '=');
	if (*begin == '!') {
		ret->negated = true;
		begin++;
	}
	if (equals && equals > begin && equals[-1] == '!') {
		ret->negated = true;
		equals[-1] = '\0';
	}
	if (equals) {
		*equals = '\0';
		ret->value = ao_xstrdup(equals[1] == '=' ? equals + 2 : equals + 1);
	}
	ret->key = ao_xstrdup(begin);
	*wrong = !*ret->key || strpbrk(ret->key, " ()") || (ret->value && strpbrk(ret->value, " ()"));
	return true;
}

static void clear_requirement(requirement *r)
{
	free(r->key);
	free(r->value);
}

int ao_variant_limit(ao_variant *variant, const char *selector, const char *percent, ao_err **reterr)
{
	bool wrong = false;
	requirement r;
	if (percent) {
		char *end;
		long n = strtol(percent, &end, 10);
		if (*end || n < 1 || n > 100)
			return ao_err_set(reterr, -EINVAL, "the canary's percentage must be 1 to 100, is \"%.20s\"", percent);
		variant->percent = (unsigned)n;
		return 0;
	}
	if (!selector || !*selector)
		return ao_err_set(reterr, -EINVAL, "the canary names neither a selector nor a percentage of parents");
	for (const char *at = selector; !wrong && next_requirement(&at, &r, &wrong);)
		clear_requirement(&r);
	if (wrong)
		return ao_err_set(reterr, -EINVAL,
				  "the canary's selector \"%.100s\" is not valid: write key=value, key!=value, key or !key, with commas",
				  selector);
	variant->selector = ao_xstrdup(selector);
	return 0;
}

bool ao_variant_concerns(const ao_variant *variant, const ao_object *parent)
{
	if (variant->percent)
		return ao_hash(AO_HASH_INIT, parent->key, strlen(parent->key)) % 100 < variant->percent;
	ao_auto_json cJSON *tree = NULL;
	if (!variant->selector || ao_object_tree(parent, &tree, NULL) < 0)
		return false;
	const cJSON *labels = ao_json_at(tree, "metadata", "labels");
	bool all = true, wrong;
	requirement r;
	for (const char *at = variant->selector; all && next_requirement(&at, &r, &wrong);) {
		const char *label = ao_json_str(labels, r.key);
		bool holds = r.value ? label && strcmp(label, r.value) == 0 : label != NULL;
		all = holds != r.negated;
		clear_requirement(&r);
	}
	return all;
}
