#pragma once
/**
 * shape.h -- JSON that people wrote, checked against what it may hold: every key known, every value of its type.
 *
 * A shape is a table of fields.  An error names the path of what is wrong and helps: "config.tls.caa: unknown key; did you mean ca?".
 * Every broker checks its configuration, its secrets and its queues with this one walk; policies check the configuration once more,
 * before it comes here, in words for the author of an actor (policies/transport.lua).
 * Threads: any.
 */
#include "base/err.h"
#include "json/json.h"

typedef enum {
	AO_SHAPE_TEXT,    /* a string or a number */
	AO_SHAPE_STRING,  /* a string */
	AO_SHAPE_UINT,    /* a whole number from 0 up, or a string of one */
	AO_SHAPE_BOOL,    /* true or false */
	AO_SHAPE_FLAG,    /* true or false, or a string of one */
	AO_SHAPE_TEXTS,   /* an array of AO_SHAPE_TEXT */
	AO_SHAPE_STRINGS, /* an object of strings, numbers, true and false under any keys */
	AO_SHAPE_OBJECT,  /* of `fields`; NULL: of anything */
	AO_SHAPE_OTHER,   /* only `wrong` knows */
} ao_shape_type;

typedef struct ao_shape {
	const char *key; /* "*Suffix" stands for every key with that end; NULL ends a list of fields */
	ao_shape_type type;
	const struct ao_shape *fields;
	int64_t max;                              /* of AO_SHAPE_UINT; 0: none */
	bool blank;                               /* an empty string counts as absent, as null always does */
	const char *expected;                     /* what a message says is expected; NULL: the type's own words */
	const char *(*wrong)(const cJSON *value); /* of AO_SHAPE_OTHER. @return what is expected, or NULL when the value fits */
} ao_shape;

/** A field: AO_SHAPE("port", UINT, .max = 65535). */
#define AO_SHAPE(key_, type_, ...)                                                                                                         \
	{                                                                                                                                  \
		.key = (key_), .type = AO_SHAPE_##type_, ##__VA_ARGS__                                                                     \
	}

/**
 * Checks an object that holds only `fields`.
 * @param shape  of the value itself; its key begins every path, "" leaves the paths without a beginning. null is no object
 * @return 0; -EINVAL
 */
int ao_shape_check(const cJSON *value, const ao_shape *shape, ao_err **reterr);

/* Readers of what was checked; a key that is absent or null gives the fallback. */
char *ao_shape_text(const cJSON *object, const char *key, const char *fallback); /* the caller frees */
int64_t ao_shape_uint(const cJSON *object, const char *key, int64_t fallback);
bool ao_shape_bool(const cJSON *object, const char *key, bool fallback); /* also of AO_SHAPE_FLAG */
/** A new object that holds those of AO_SHAPE_STRINGS, each as a string; empty when the key is absent. */
cJSON *ao_shape_strings(const cJSON *object, const char *key);
