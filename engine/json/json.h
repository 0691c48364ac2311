#pragma once
/**
 * json.h -- cJSON made strict.
 *
 * Trees are plain cJSON.  What this adds: a parser that refuses what cJSON lets through (bytes after the value,
 * invalid UTF-8, \u0000, integers beyond 2^53 or numbers that overflow, depth and size beyond a cap), case-sensitive
 * look-ups by path, a canonical form, and the difference of two trees.  A key that occurs twice is let through (the server
 * never sends one; look-ups take the first).
 * Ownership: a returned `cJSON *` named ret_ belongs to the caller (cJSON_Delete, ao_auto_json); look-ups borrow.
 * Threads: any; a tree belongs to one owner at a time.
 */
#include "base/buf.h"
#include "base/err.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AO_JSON_MAX_DEPTH 64
#define AO_JSON_MAX_INT 9007199254740992LL /* 2^53: the largest integer that a double, and so cJSON, keeps */

/**
 * Parses exactly one JSON value.
 *
 * @param text    `len` bytes, need not be terminated
 * @param reterr  on failure names the path and what is wrong: "spec.ports[0].port: 12345678901234567890 cannot be kept exactly"
 * @return 0; -EINVAL malformed, or a number that cannot be kept; -E2BIG too deep
 */
int ao_json_parse(const char *text, size_t len, cJSON **ret, ao_err **reterr);

/**
 * Compact text in the order of the tree; integral numbers up to 2^53 print as integers, others with the fewest digits that read
 * back the same, -0 as 0. Text beyond 64 MiB is cut off, and no reader takes it for JSON then. The caller frees.
 */
char *ao_json_print(const cJSON *value);
/** The same with the keys of every object sorted bytewise: equal values give equal text. The caller frees. */
char *ao_json_canonical(const cJSON *value);
/** Indented by two spaces, for people; ends with a newline. The caller frees. */
char *ao_json_pretty(const cJSON *value);
/** ao_hash() of the canonical text. */
uint64_t ao_json_digest(const cJSON *value);

/** Deep equality; the order of keys does not matter, that of array items does. NULL equals only NULL. */
bool ao_json_equal(const cJSON *a, const cJSON *b);

/**
 * The RFC 7386 merge patch that turns `from` into `to` (both objects; NULL counts as {}). A member that is null counts as absent
 * on either side, because no patch can store one; nulls inside arrays are values like others.
 * @return a new object, or NULL when nothing differs
 */
cJSON *ao_json_merge_diff(const cJSON *from, const cJSON *to);

/* Look-ups: never follow a wrong type, never match case-insensitively; NULL when any step is missing. */
cJSON *ao_json_at_(const cJSON *object, ...) __attribute__((sentinel));
/** ao_json_at(object, "metadata", "name"): the member at that path, borrowed, or NULL. */
#define ao_json_at(...) ao_json_at_(__VA_ARGS__, (const char *)NULL)
/** The same for a string: its text, borrowed, or NULL when missing or not a string. */
const char *ao_json_str_(const cJSON *object, ...) __attribute__((sentinel));
#define ao_json_str(...) ao_json_str_(__VA_ARGS__, (const char *)NULL)

/** The first object of a list whose member `key` is that text; NULL when there is none. Borrowed. */
cJSON *ao_json_item(const cJSON *list, const char *key, const char *text);
/** The position of that text in a list of texts; -1 when it is not there. `list` may be NULL. */
int ao_json_index(const cJSON *list, const char *text);
/** What is at a path given as a list of keys, NULL-terminated; NULL when there is nothing. Borrowed. */
cJSON *ao_json_at_path(const cJSON *tree, char *const *path);
/** Puts something there, with the objects that it needs around it; takes `value`. */
void ao_json_put_path(cJSON *tree, char *const *path, cJSON *value);
/** obj.key, an object, made when missing or not an object. Borrowed from `obj`. */
cJSON *ao_json_object(cJSON *obj, const char *key);
/** Sets or replaces obj.key; takes `value`. Aborts when `obj` is not an object. */
void ao_json_set(cJSON *obj, const char *key, cJSON *value);
/** Sets obj.key to a copy of `text`; NULL removes the key. */
void ao_json_set_str(cJSON *obj, const char *key, const char *text);
/** An integral number within +-2^53; false leaves *ret alone. */
bool ao_json_int(const cJSON *value, int64_t *ret);

/** One step of a JSON patch. Takes `value`, which may be NULL. */
cJSON *ao_json_patch_step(const char *op, const char *path, cJSON *value);

static inline void ao_json_freep(cJSON **value) { cJSON_Delete(*value); }
#define ao_auto_json __attribute__((cleanup(ao_json_freep)))
