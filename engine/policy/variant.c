/* variant.c -- puts sources and settings together, and counts who needs the result. */
#include "policy/variant.h"

#include "base/mem.h"

int ao_variant_load(const ao_load_options *options, ao_sources *sources, const cJSON *settings, const cJSON *seen, ao_variant **ret,
		    ao_err **reterr)
{
	ao_variant *variant = ao_xcalloc(1, sizeof(*variant));
	variant->references = 1;
	variant->sources = *sources;
	*sources = (ao_sources){0};
	int r = ao_load_with(options, &variant->sources, settings, seen, &variant->loaded, reterr);
	if (r < 0)
		ao_variant_unref(variant);
	else
		*ret = variant;
	return r;
}

int ao_variant_load_kept(const ao_load_options *options, ao_sources *sources, const cJSON *seen, ao_variant **ret, ao_err **reterr)
{
	ao_load_options load = *options;
	ao_scope scope = *ao_load_scope(options);
	scope.own = false;
	load.scope = options->scope ? &scope : NULL;
	return ao_variant_load(&load, sources, seen, seen, ret, reterr);
}

int ao_variant_load_base(const ao_load_options *options, ao_variant **ret, ao_err **reterr)
{
	ao_auto_sources ao_sources sources = {0};
	ao_auto_json cJSON *settings = NULL, *seen = NULL;
	int r = ao_load_sources(options, &sources, reterr);
	if (r == 0)
		r = ao_load_settings(options, &sources, &settings, &seen, reterr);
	return r < 0 ? r : ao_variant_load(options, &sources, settings, seen, ret, reterr);
}

void ao_variant_shed(ao_variant *variant) { ao_sources_clear(&variant->sources); }

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
	ao_sources_clear(&variant->sources);
	free(variant);
}
