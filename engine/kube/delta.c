/*
 * delta.c -- what of a text lies in its base, too, is copied from there.
 *
 * A delta is a row of pairs: how many bytes come next, and these bytes; how many then come out of the base, and how far their place is from
 * where the last ones ended.  Numbers have seven bits to a byte.  Behind a difference the texts mostly go on side by side; where they do not,
 * the next eight bytes are looked up in a table of each fourth place of the base.
 *
 * A text is told by the base whose length is nearest to its own, because objects of one make in one state are about as long.  A text that this
 * does not fit is a base itself, in place of the oldest one; and so is one of so many in any case, so that bases become what objects have become.
 */
#include "kube/delta.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdint.h>

#define WORD 8
#define STEP 4
#define FEW 32         /* who hold a base that nothing more is told by; its share is then more than what is told of most texts */
#define RENEWAL 128    /* one of so many texts is a base */
#define LEAST_TEXT 512 /* shorter ones are not worth it */

struct ao_delta_base {
	size_t references; /* one of them is the maker's, until it closes */
	uint16_t *places;  /* by hash: 0, or one more than the place divided by STEP; NULL: closed */
	unsigned bits;     /* of such a hash */
	size_t len;
	char text[];
};

/* ---- bases ---- */

static uint16_t *place_of(const ao_delta_base *base, const char *word)
{
	uint64_t bits;
	memcpy(&bits, word, WORD);
	return &base->places[bits * 0x9e3779b97f4a7c15ULL >> (64 - base->bits)];
}

ao_delta_base *ao_delta_base_new(ao_span text)
{
	ao_require(text.len <= AO_DELTA_MOST); /* its places, divided by STEP, fit into two bytes */
	ao_delta_base *base = ao_xmalloc(sizeof(*base) + text.len);
	*base = (ao_delta_base){.references = 1, .bits = 4, .len = text.len};
	memcpy(base->text, text.at, text.len);
	while (((size_t)STEP << base->bits) < text.len)
		base->bits++;
	base->places = ao_xcalloc((size_t)1 << base->bits, sizeof(*base->places));
	for (size_t at = 0; at + WORD <= text.len; at += STEP)
		*place_of(base, base->text + at) = (uint16_t)(at / STEP + 1);
	return base;
}

ao_delta_base *ao_delta_base_ref(ao_delta_base *base)
{
	base->references++;
	return base;
}

void ao_delta_base_unref(ao_delta_base *base)
{
	if (!base || --base->references)
		return;
	free(base->places);
	free(base);
}

void ao_delta_base_close(ao_delta_base *base)
{
	if (base)
		free(AO_TAKE(base->places));
	ao_delta_base_unref(base);
}

static size_t table_bytes(const ao_delta_base *base) { return base->places ? sizeof(*base->places) << base->bits : 0; }

size_t ao_delta_base_share(const ao_delta_base *base)
{
	return base ? (sizeof(*base) + base->len + table_bytes(base)) / base->references : 0;
}

bool ao_delta_base_is_burden(const ao_delta_base *base) { return !base->places && base->references < FEW; }

/* ---- telling ---- */

static void put_number(ao_buf *out, uint64_t number)
{
	unsigned char bytes[10];
	size_t count = 0;
	for (; number >= 0x80; number >>= 7)
		bytes[count++] = (unsigned char)(number | 0x80);
	bytes[count++] = (unsigned char)number;
	ao_buf_put(out, bytes, count);
}

static bool is_at(const ao_delta_base *base, size_t place, const char *word)
{
	return place + WORD <= base->len && memcmp(base->text + place, word, WORD) == 0;
}

/** @param beside  the place that is likely. @return false: the word is not in the base, as far as we know */
static bool find(const ao_delta_base *base, const char *word, size_t beside, size_t *ret)
{
	size_t known = *place_of(base, word);
	*ret = is_at(base, beside, word) ? beside : known ? (known - 1) * STEP : base->len;
	return is_at(base, *ret, word);
}

bool ao_delta_put(const ao_delta_base *base, ao_span text, ao_buf *out)
{
	const size_t most = text.len / 2;
	size_t told = 0, place = 0; /* so much of the text is told, and the last of it ended there in the base */
	ao_buf_clear(out);
	if (base->len / 2 > text.len)
		return false;
	for (size_t at = 0, from; at + WORD <= text.len && out->len + (at - told) <= most;) {
		if (!find(base, text.at + at, place + (at - told), &from)) {
			at++;
			continue;
		}
		size_t end = from + WORD;
		for (; at > told && from && text.at[at - 1] == base->text[from - 1]; at--)
			from--;
		while (at + (end - from) + WORD <= text.len && is_at(base, end, text.at + at + (end - from)))
			end += WORD;
		while (end < base->len && at + (end - from) < text.len && text.at[at + (end - from)] == base->text[end])
			end++;
		put_number(out, at - told);
		ao_buf_put(out, text.at + told, at - told);
		put_number(out, end - from);
		put_number(out, (uint64_t)(from - place) << 1 ^ (from < place ? UINT64_MAX : 0)); /* the sign is the lowest bit */
		told = at += end - from;
		place = end;
	}
	put_number(out, text.len - told);
	ao_buf_put(out, text.at + told, text.len - told);
	return out->len <= most && !out->overflow;
}

/* ---- telling by one of a few ---- */

/** How far the lengths are apart. */
static size_t distance(const ao_delta_base *base, size_t len)
{
	size_t has = base ? base->len : SIZE_MAX;
	return has > len ? has - len : len - has;
}

static size_t nearest(const ao_delta_bases *bases, size_t len)
{
	size_t found = 0;
	for (size_t i = 1; i < AO_LEN(bases->each); i++)
		if (distance(bases->each[i], len) < distance(bases->each[found], len))
			found = i;
	return found;
}

ao_delta_base *ao_delta_bases_put(const ao_delta_bases *bases, ao_span text, ao_buf *out)
{
	ao_delta_base *base = bases->each[nearest(bases, text.len)];
	return base && ao_delta_put(base, text, out) ? base : NULL;
}

ao_delta_base *ao_delta_bases_tell(ao_delta_bases *bases, ao_span text, ao_buf *out)
{
	if (text.len < LEAST_TEXT || text.len > AO_DELTA_MOST)
		return NULL;
	ao_delta_base *base = ++bases->told % RENEWAL ? ao_delta_bases_put(bases, text, out) : NULL;
	if (base)
		return base;
	ao_delta_base **oldest = &bases->each[bases->oldest++ % AO_LEN(bases->each)];
	ao_delta_base_close(*oldest);
	*oldest = ao_delta_base_new(text);
	ao_delta_put(*oldest, text, out);
	return *oldest;
}

size_t ao_delta_bases_share(const ao_delta_bases *bases)
{
	size_t bytes = 0;
	for (size_t i = 0; i < AO_LEN(bases->each); i++)
		bytes += ao_delta_base_share(bases->each[i]);
	return bytes;
}

void ao_delta_bases_close(ao_delta_bases *bases)
{
	for (size_t i = 0; i < AO_LEN(bases->each); i++)
		ao_delta_base_close(bases->each[i]);
	*bases = (ao_delta_bases){0};
}

/* ---- making again ---- */

static uint64_t take_number(const unsigned char **delta)
{
	uint64_t number = 0;
	for (unsigned shift = 0;; shift += 7) {
		unsigned char byte = *(*delta)++;
		number |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return number;
	}
}

void ao_delta_read(const ao_delta_base *base, const char *delta, size_t len, char *text)
{
	const unsigned char *next = (const unsigned char *)delta;
	char *end = text;
	for (size_t place = 0;;) {
		size_t count = take_number(&next);
		memcpy(end, next, count);
		next += count;
		end += count;
		if (end == text + len)
			break;
		count = take_number(&next);
		uint64_t away = take_number(&next);
		place += away >> 1 ^ -(away & 1);
		memcpy(end, base->text + place, count);
		end += count;
		place += count;
	}
	*end = '\0';
}
