/* settled.c -- one digest, in which children are added up because they come in no order, and behind it those of objects, and of fields. */
#include "reconcile/settled.h"

#include "base/hash.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS 16
#define FIELDS "="
#define COUNT "/"
#define OBJECT_LEN (1 + DIGITS) /* "-" for a shared one, or "+", and the digest */

/** The NUL is part of it, so that two texts never look like two others. */
static uint64_t with_text(uint64_t digest, const char *text) { return ao_hash(digest, text, strlen(text) + 1); }

void ao_settled_add(ao_settled *settled, const char *kind, const ao_object *child)
{
	uint64_t digest = with_text(with_text(with_text(AO_HASH_INIT, kind), child->key), child->uid);
	settled->children += ao_hash_words(digest, &child->spec_digest, sizeof(child->spec_digest));
	settled->fields += ao_hash_words(digest, &child->held.fields, sizeof(child->held.fields));
	settled->child_count++;
}

void ao_settled_put_shared(ao_buf *shared, uint64_t digest) { ao_buf_printf(shared, "-%016" PRIx64, digest); }
void ao_settled_put_own(ao_buf *own, uint64_t digest) { ao_buf_printf(own, "+%016" PRIx64, digest); }

/** The digest of the next object of that sort. @param sign  "-" or "+" */
static bool next_object(const char *beside, char sign, size_t *cursor, uint64_t *ret)
{
	for (; strnlen(beside + *cursor, OBJECT_LEN) == OBJECT_LEN; *cursor += OBJECT_LEN) {
		if (beside[*cursor] != sign)
			continue;
		ao_auto_str char *digits = ao_xstrndup(beside + *cursor + 1, DIGITS);
		*ret = strtoull(digits, NULL, 16);
		*cursor += OBJECT_LEN;
		return true;
	}
	return false;
}

bool ao_settled_next_shared(const char *beside, size_t *cursor, uint64_t *ret) { return next_object(beside, '-', cursor, ret); }

bool ao_settled_has_own(const char *beside, uint64_t digest)
{
	size_t cursor = 0;
	for (uint64_t each; next_object(beside, '+', &cursor, &each);)
		if (each == digest)
			return true;
	return false;
}

char *ao_settled_text(const ao_settled *settled, const char *beside)
{
	uint64_t numbers[] = {settled->maker, settled->parent->spec_digest, settled->children, settled->child_count};
	uint64_t digest = ao_hash(AO_HASH_INIT, numbers, sizeof(numbers));
	digest = with_text(with_text(with_text(digest, settled->bundle), settled->rendered), settled->parent->uid);
	return ao_xasprintf("%016" PRIx64 "%s", with_text(digest, beside), beside);
}

char *ao_settled_with_fields(const char *text, const ao_settled *settled)
{
	return ao_xasprintf("%s" FIELDS "%016" PRIx64 COUNT "%zu", text, settled->fields, settled->child_count);
}

const char *ao_settled_fields(const char *text) { return strstr(text, FIELDS); }

/** The digits behind the part about fields; NULL: there are none. */
static const char *count_in(const char *text)
{
	const char *fields = ao_settled_fields(text), *count = fields ? strstr(fields, COUNT) : NULL;
	return count ? count + strlen(COUNT) : NULL;
}

size_t ao_settled_child_count(const char *text)
{
	const char *count = count_in(text);
	return count ? strtoul(count, NULL, 10) : SIZE_MAX;
}

char *ao_settled_of_children(const char *text, size_t count)
{
	const char *told = count_in(text);
	return ao_settled_child_count(text) < count ? ao_xasprintf("%.*s%zu", (int)(told - text), text, count) : ao_xstrdup(text);
}

char *ao_settled_fits(const char *text, const ao_settled *settled)
{
	const size_t most = DIGITS + (AO_SETTLED_SHARED + AO_SETTLED_OWN) * OBJECT_LEN;
	size_t len = strcspn(text, FIELDS);
	if (len < DIGITS || len > most || (len - DIGITS) % OBJECT_LEN)
		return NULL;
	ao_auto_str char *beside = ao_xstrndup(text + DIGITS, len - DIGITS);
	ao_auto_str char *fitting = ao_settled_text(settled, beside);
	return strncmp(text, fitting, len) == 0 ? AO_TAKE(beside) : NULL;
}
