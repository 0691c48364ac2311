#pragma once
/**
 * shape.h -- JSON that people wrote, checked against what it may hold: every key known, every value of its type.
 *
 * Errors name the path and help: "config.tls.caa: unknown key; did you mean ca?".
 * Threads: any.
 */
#include "base/err.h"
#include "json/json.h"

typedef enum {
	AO_SHAPE_TEXT, /* a string or a number */
	AO_SHAPE_UINT, /* a whole number from 0 up, or a string of one */
	AO_SHAPE_BOOL,
	AO_SHAPE_TEXTS,  /* an array of AO_SHAPE_TEXT */
	AO_SHAPE_OBJECT, /* of `fields`; NULL: of anything */
} ao_shape_type;

typedef struct ao_shape {
	const char *key; /* "*Suffix" stands for every key with that end; NULL ends the list */
	ao_shape_type type;
	const struct ao_shape *fields;
	int64_t max; /* of AO_SHAPE_UINT; 0: none */
} ao_shape;

/** @param path  of `object`, for messages. null counts as absent everywhere. @return 0; -EINVAL */
int ao_shape_check(const cJSON *object, const char *path, const ao_shape *fields, ao_err **reterr);

/* Readers of what was checked; a key that is absent or null gives the fallback. */
char *ao_shape_text(const cJSON *object, const char *key, const char *fallback); /* the caller frees */
int64_t ao_shape_uint(const cJSON *object, const char *key, int64_t fallback);
bool ao_shape_bool(const cJSON *object, const char *key, bool fallback);
