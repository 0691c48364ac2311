#pragma once
/**
 * settled.h -- what a parent looked like when its plan was carried out to the end: a text for its status, so that an operator after us need
 * not make the same plan again.
 *
 * The text is a digest of all that such a plan depends on and has made: who made it (our build, the server's schemas), the bundle, the
 * parent, each child, and what was rendered.  Whoever finds the same digest would make the same plan, and find all of it carried out.  So a
 * text is never out of date: it fits what is there, or it does not.  What a digest cannot tell -- queues, and what else policies read -- is
 * up to the caller, who records nothing then.  Of shared objects the text holds the digests, because whether they are right is not the
 * parent's matter; and those of its own, so that the first plan that is another one tells which of them it makes otherwise.
 *
 * Behind that stands which fields of the children are ours, whatever they hold.  Who plans anew what was carried out before finds out by that
 * whether one has been written to since, by an operator that ended before it could tell: it may hold what is not wanted any more.  How many
 * children there were is told, too: some may have been kept that the plan did not name.  That part is recorded for every plan that was carried
 * out, so it may stand alone.
 *
 * It is no seal: who may write a status can write one that fits, as they can write any other.
 * Threads: any.
 */
#include "base/buf.h"
#include "kube/store.h"

#include <stdbool.h>
#include <stdint.h>

#define AO_SETTLED_SHARED 8                                /* a plan with more shared objects is not recorded */
#define AO_SETTLED_SHARED_CAP (AO_SETTLED_SHARED * 17 + 1) /* bytes of what is told of them */
#define AO_SETTLED_OWN 8                                   /* of a plan with more objects of its own none is told */
#define AO_SETTLED_OWN_CAP (AO_SETTLED_OWN * 17 + 1)

/** Begins with everything but the children. */
typedef struct ao_settled {
	uint64_t maker; /* digest of our build and of the server's schemas */
	const char *bundle, *rendered;
	const ao_object *parent;
	uint64_t children; /* the last three by ao_settled_add() */
	size_t child_count;
	uint64_t fields;
} ao_settled;

/** Adds a child, in whatever order. */
void ao_settled_add(ao_settled *settled, const char *kind, const ao_object *child);

/** Adds the digest of a shared object to the part of the text that tells of them; that begins empty. */
void ao_settled_put_shared(ao_buf *shared, uint64_t digest);
/** The digest of the shared object at *cursor, which begins at 0. @return false: there is no further one */
bool ao_settled_next_shared(const char *beside, size_t *cursor, uint64_t *ret);
/** Adds the digest of an object of its own, as it was rendered, to the part that tells of those; that begins empty. */
void ao_settled_put_own(ao_buf *own, uint64_t digest);
/** Is it told that just this object was rendered for the parent? */
bool ao_settled_has_own(const char *beside, uint64_t digest);

/** @param beside  what is told of shared objects, and behind it what is told of its own; "" for none. @return the caller frees */
char *ao_settled_text(const ao_settled *settled, const char *beside);
/** Adds the part about fields. @param text  as above, or "". @return the caller frees */
char *ao_settled_with_fields(const char *text, const ao_settled *settled);
/** The part about fields of a text of whatever origin; NULL: there is none. Borrowed. */
const char *ao_settled_fields(const char *text);
/** How many children that part is of; SIZE_MAX where none tells. */
size_t ao_settled_child_count(const char *text);
/** The same text, which tells of at least so many children where it tells of any. @return the caller frees */
char *ao_settled_of_children(const char *text, size_t count);
/** Does a text of whatever origin fit? @return its part that tells of objects, which the caller frees; NULL: it does not fit */
char *ao_settled_fits(const char *text, const ao_settled *settled);
