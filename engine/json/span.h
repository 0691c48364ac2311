#pragma once
/**
 * span.h -- looking into JSON text without building a tree.
 *
 * A watch delivers megabytes of which we keep a name, a few labels and the text itself; a span is a piece of such
 * text.  The scanner checks only what it walks over, and never reads outside the span, whatever the bytes are.
 * Ownership: spans borrow the text.  Threads: any.
 */
#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct ao_span {
	const char *at; /* NULL: absent */
	size_t len;
} ao_span;

/**
 * Walks the members of an object: start with *cursor = 0. @return false at the end or at malformed text.
 * `ret_key` is raw, without its quotes; keys are compared as they are written, so one spelt with escapes is not found.
 */
bool ao_span_member(ao_span object, size_t *cursor, ao_span *ret_key, ao_span *ret_value);
/** Walks the items of an array the same way. */
bool ao_span_item(ao_span array, size_t *cursor, ao_span *ret_item);

/** Did a walk with this cursor stop at the end of its object or array, with nothing but spaces behind it, rather than at malformed text? */
bool ao_span_ended(ao_span walked, size_t cursor);
/** Is the text one object to its very end? What lies inside its members is not looked at. */
bool ao_span_is_object(ao_span text);

/**
 * The values of some members, in one walk: for each key the first one, or an absent span. It looks at all of the object, so one key is better got.
 * @param keys  NULL at the end. @param ret  one for each
 * @return as ao_span_is_object()
 */
bool ao_span_pick(ao_span object, const char *const *keys, ao_span *ret);
/** The value of the first member with that key, or an absent span. */
ao_span ao_span_get(ao_span object, const char *key);
/** ao_span_at(object, "metadata", "name") */
ao_span ao_span_at_(ao_span object, ...) __attribute__((sentinel));
#define ao_span_at(...) ao_span_at_(__VA_ARGS__, (const char *)NULL)
/** The same with a path that ends with NULL; absent without one. */
ao_span ao_span_at_path(ao_span object, char *const *path);

/** The text of a JSON string, unescaped; NULL when the span is absent, not a string, malformed, or holds a NUL. The caller frees. */
char *ao_span_text(ao_span string);
bool ao_span_is(ao_span string, const char *text); /* compares an unescaped string; cheap when nothing is escaped */
/** An integer; `fallback` when absent, not one, or beyond long long. */
long long ao_span_int(ao_span number, long long fallback);

/** Is this the raw key of a member? */
bool ao_span_is_key(ao_span key, const char *text);

/** Appends a value without the spaces between its tokens. */
void ao_span_put(ao_span value, ao_buf *out);
/** Appends `"key":`, with a comma in front unless it is the first. @return where it begins in `out`, after the comma */
size_t ao_span_put_key(ao_span key, bool *first, ao_buf *out);

/**
 * Appends `object` to `out` without the member at `path` (dots between keys: "metadata.managedFields"), and
 * without spaces between tokens. Absent path: everything is copied.
 * @return false when the text is cut off or visibly malformed: what was appended is then to be thrown away
 */
bool ao_span_without(ao_span object, const char *path, ao_buf *out);

/**
 * Where a single walk over a text stands: for those who look into a value while they copy it, without scanning it first to find its end.
 * Begins as {.text = text}.  Each value that it comes to is to be stepped over in one of the ways below.  Once it is broken, every step
 * fails and copies nothing.
 */
typedef struct ao_walk {
	ao_span text;
	size_t at;
	bool broken; /* the text is cut off, or visibly malformed */
} ao_walk;

/** The bracket with which the next value opens, or NUL. */
char ao_walk_opens(ao_walk *walk);
/** Steps into the next value, which must open with this bracket. Begin with `first` true for ao_walk_next(). */
bool ao_walk_enter(ao_walk *walk, char open);
/**
 * Goes to the next member (its raw key in `ret_key`) or, with NULL, to the next item.
 * @return true before its value; false behind the closing bracket, or when it is broken
 */
bool ao_walk_next(ao_walk *walk, bool *first, ao_span *ret_key);
/** Steps over the next value. @return what it was; absent when it is broken */
ao_span ao_walk_skip(ao_walk *walk);
/** The same, and appends it without the spaces between its tokens. */
ao_span ao_walk_put(ao_walk *walk, ao_buf *out);
/** Is the walk at the end of the text? */
bool ao_walk_ended(const ao_walk *walk);
