#pragma once
/* script_case.h -- a bundle from a few lines of Lua, for the tests of script/. */
#include "base/mem.h"
#include "script/bundle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MANIFEST                                                                                                                           \
	"return require 'policy'.manifest { parent = { apiVersion = 'x/v1', kind = 'Thing', plural = 'things' },"                          \
	" children = { { apiVersion = 'v1', kind = 'ConfigMap', plural = 'configmaps' } },"                                                \
	" field_manager = 'm', lease = 'l', component = 'c', settings = { image = { default = 'i:1' }, list = { type = 'json' } } }"

#define PARENT "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"uid\":\"u\"},\"spec\":{}}"

static inline void put(ao_sources *sources, const char *name, const char *text)
{
	ao_sources_put(sources, name, text, strlen(text), "test");
}

/** A policy 'p' in p.lua whose render hook has the given body; line 2 is the body's first. */
static inline void put_render(ao_sources *sources, const char *body)
{
	ao_auto_str char *text =
	    ao_xasprintf("return require 'policy'.define { name = 'p', render = function(actor, ctx, plan)\n%s\nend }", body);
	put(sources, "manifest.lua", MANIFEST);
	put(sources, "p.lua", text);
}

static inline ao_bundle *load_sources(const ao_sources *sources, const ao_limits *limits)
{
	ao_bundle *bundle = NULL;
	ao_auto_err ao_err *err = NULL;
	if (ao_bundle_load(sources, NULL, limits, &bundle, &err) != 0)
		fail_msg("%s", ao_err_text(err));
	return bundle;
}

static inline ao_bundle *load_render(const char *body, const ao_limits *limits)
{
	ao_auto_sources ao_sources sources = {0};
	put_render(&sources, body);
	return load_sources(&sources, limits);
}

static inline cJSON *parse(const char *text)
{
	cJSON *value = cJSON_Parse(text);
	assert_non_null(value);
	return value;
}

/** Plans for PARENT; the caller frees the result. */
static inline int plan(ao_bundle *bundle, cJSON **ret, ao_call_stats *stats, ao_err **reterr)
{
	ao_auto_json cJSON *snapshot =
	    parse("{\"now\":\"2026-01-02T15:04:05Z\",\"parent\":" PARENT ",\"children\":[],\"related\":[],\"queues\":{}}");
	return ao_bundle_plan(bundle, snapshot, ret, stats, reterr);
}

static inline void assert_text(const char *text, const char *part)
{
	if (!text || !strstr(text, part))
		fail_msg("expected \"%s\" in \"%s\"", part, text ? text : "(null)");
}
