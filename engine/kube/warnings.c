/* warnings.c -- `299 - "text"`: the text between the quotes is what counts, and a digest of it what is remembered. */
#include "kube/warnings.h"

#include "base/buf.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "kube/lru.h"

#include <stdio.h>

#define MAX_KNOWN 256 /* one that was forgotten is logged again */
#define MAX_TEXT 1024

struct ao_warnings {
	ao_lru *known;
};

ao_warnings *ao_warnings_new(void)
{
	ao_warnings *warnings = ao_xcalloc(1, sizeof(*warnings));
	warnings->known = ao_lru_new(MAX_KNOWN, free);
	return warnings;
}

void ao_warnings_free(ao_warnings *warnings)
{
	if (!warnings)
		return;
	ao_lru_free(warnings->known);
	free(warnings);
}

static void say_once(ao_warnings *warnings, const ao_buf *text)
{
	char key[17];
	snprintf(key, sizeof(key), "%016llx", (unsigned long long)ao_hash(AO_HASH_INIT, text->data, text->len));
	if (ao_lru_get(warnings->known, key))
		return;
	ao_lru_put(warnings->known, key, ao_xstrdup(""));
	ao_warn(AO_KUBE, NULL, "the server warns: %s", text->data);
}

void ao_warnings_see(ao_warnings *warnings, const char *headers)
{
	ao_auto_buf ao_buf text = ao_buf_init(MAX_TEXT);
	bool quoted = false;
	for (const char *c = headers; *c; c++) {
		if (*c == '"' && quoted && text.len)
			say_once(warnings, &text);
		if (*c == '"' || *c == '\n') {
			quoted = *c == '"' && !quoted;
			ao_buf_clear(&text);
			continue;
		}
		if (quoted && *c == '\\' && c[1])
			c++;
		if (quoted)
			ao_buf_put(&text, c, 1);
	}
}
