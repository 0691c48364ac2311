#pragma once
/** test_kube_store.h -- a store for tests, filled from text. */
#include "base/mem.h"
#include "kube/store.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static inline ao_span span(const char *text) { return (ao_span){text, strlen(text)}; }

static inline const ao_object *put(ao_store *store, const char *text)
{
	const ao_object *object = NULL;
	assert_int_equal(ao_store_put(store, span(text), &object, NULL), 0);
	return object;
}

static inline void assert_text(const ao_object *object, const char *text)
{
	ao_auto_str char *made = NULL;
	assert_string_equal(ao_object_span(object, &made).at, text);
	assert_int_equal(object->len, strlen(text));
}
