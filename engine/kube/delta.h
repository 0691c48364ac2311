#pragma once
/**
 * delta.h -- a text as its differences from another one that looks much the same, the base.
 *
 * Objects of one kind that one author makes repeat each other but for names, uids and times: what is left of one is about a tenth.  To tell
 * the differences takes about a microsecond for each KB; to make the text again, a tenth of that.
 * Ownership: a base lives until its maker has closed it and each reference is given back.
 * Threads: a base has one owner at a time.
 */
#include "base/buf.h"
#include "json/span.h"

typedef struct ao_delta_base ao_delta_base;

/** @param text  AO_DELTA_MOST bytes at most; copied */
ao_delta_base *ao_delta_base_new(ao_span text);
/** Nothing more will be told by it. NULL is fine */
void ao_delta_base_close(ao_delta_base *base);
/** For as long as there is something that was told by it. @return the base */
ao_delta_base *ao_delta_base_ref(ao_delta_base *base);
void ao_delta_base_unref(ao_delta_base *base); /* NULL is fine */
/** Its bytes, divided by all who hold it. NULL: 0 */
size_t ao_delta_base_share(const ao_delta_base *base);
/** Is it closed, and held by so few that it takes much of the memory of each? */
bool ao_delta_base_is_burden(const ao_delta_base *base);

/**
 * Tells `text` by the base, in `out`, which is overwritten.
 * @return false: it would take more than half of the text, or the base is twice as long as that, which it would keep from being freed
 */
bool ao_delta_put(const ao_delta_base *base, ao_span text, ao_buf *out);

/** A few texts that others of a kind are told by. Zeroed: none yet; one owner at a time. */
typedef struct ao_delta_bases {
	ao_delta_base *each[8];
	size_t oldest; /* ... of them, counted on */
	size_t told;   /* so many texts */
} ao_delta_bases;

#define AO_DELTA_MOST ((size_t)64 * 1024)

/** Tells `text` by one of them, which it becomes itself when none fits. @return that one, borrowed; NULL: it is too short or too long */
ao_delta_base *ao_delta_bases_tell(ao_delta_bases *bases, ao_span text, ao_buf *out);
/** The same, but it becomes none of them. @return NULL also when none fits */
ao_delta_base *ao_delta_bases_put(const ao_delta_bases *bases, ao_span text, ao_buf *out);
size_t ao_delta_bases_share(const ao_delta_bases *bases);
void ao_delta_bases_close(ao_delta_bases *bases);

/** Makes the text again. @param delta  told by this base; @param len  of the text; @param text  takes it and a NUL */
void ao_delta_read(const ao_delta_base *base, const char *delta, size_t len, char *text);
