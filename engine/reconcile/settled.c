/* settled.c -- one digest, in which children are added up because they come in no order, and behind it those of shared objects. */
#include "reconcile/settled.h"

#include "base/hash.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS 16
#define SHARED_LEN (1 + DIGITS) /* "-" and the digest */

/** The NUL is part of it, so that two texts never look like two others. */
static uint64_t with_text(uint64_t digest, const char *text) { return ao_hash(digest, text, strlen(text) + 1); }

void ao_settled_add(ao_settled *settled, const char *kind, const ao_object *child)
{
	uint64_t digest = with_text(with_text(with_text(AO_HASH_INIT, kind), child->key), child->uid);
	settled->children += ao_hash_words(digest, &child->spec_digest, sizeof(child->spec_digest));
	settled->child_count++;
}

void ao_settled_put_shared(ao_buf *shared, uint64_t digest) { ao_buf_printf(shared, "-%016" PRIx64, digest); }

bool ao_settled_next_shared(const char *text, size_t *cursor, uint64_t *ret)
{
	if (strnlen(text + *cursor, SHARED_LEN) < SHARED_LEN)
		return false;
	ao_auto_str char *digits = ao_xstrndup(text + *cursor + 1, DIGITS);
	*ret = strtoull(digits, NULL, 16);
	*cursor += SHARED_LEN;
	return true;
}

char *ao_settled_text(const ao_settled *settled, const char *shared)
{
	uint64_t numbers[] = {settled->maker, settled->parent->spec_digest, settled->children, settled->child_count};
	uint64_t digest = ao_hash(AO_HASH_INIT, numbers, sizeof(numbers));
	digest = with_text(with_text(with_text(digest, settled->bundle), settled->rendered), settled->parent->uid);
	return ao_xasprintf("%016" PRIx64 "%s", with_text(digest, shared), shared);
}

const char *ao_settled_fits(const char *text, const ao_settled *settled)
{
	size_t len = strnlen(text, DIGITS + AO_SETTLED_SHARED * SHARED_LEN + 1);
	if (len < DIGITS || len > DIGITS + AO_SETTLED_SHARED * SHARED_LEN || (len - DIGITS) % SHARED_LEN)
		return NULL;
	ao_auto_str char *fitting = ao_settled_text(settled, text + DIGITS);
	return strcmp(text, fitting) == 0 ? text + DIGITS : NULL;
}
