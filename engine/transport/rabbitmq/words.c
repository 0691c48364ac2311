/* words.c -- the broker cuts its text at 255 bytes, so every part may be missing. */
#include "transport/rabbitmq/words.h"

#include "base/mem.h"

#include <string.h>

/** "the value 'X' of type 'T'" is X in quotes; "none" is absent. */
static char *plain(const char *text, size_t len, bool with_type)
{
	static const char before[] = "the value ", type[] = " of type '";
	if (len == 4 && strncmp(text, "none", 4) == 0)
		return ao_xstrdup("absent");
	if (len > sizeof(before) && strncmp(text, before, sizeof(before) - 1) == 0) {
		text += sizeof(before) - 1;
		len -= sizeof(before) - 1;
	}
	for (size_t i = len; !with_type && i > 0; i--)
		if (len - i >= sizeof(type) - 1 && strncmp(text + i, type, sizeof(type) - 1) == 0)
			return ao_xstrndup(text, i);
	return ao_xstrndup(text, len);
}

char *ao_rabbit_difference(const char *text)
{
	static const char inequivalent[] = "inequivalent arg '", received[] = "received ", current[] = " but current is ";
	const char *name = strstr(text, inequivalent), *wanted = name ? strstr(name, received) : NULL;
	const char *found = wanted ? strstr(wanted, current) : NULL, *end = name ? strchr(name + sizeof(inequivalent) - 1, '\'') : NULL;
	if (!found || !end)
		return ao_xstrdup(text);
	name += sizeof(inequivalent) - 1;
	wanted += sizeof(received) - 1;
	size_t wanted_len = (size_t)(found - wanted);
	found += sizeof(current) - 1;
	ao_auto_str char *is = plain(found, strlen(found), false), *should = plain(wanted, wanted_len, false);
	if (strcmp(is, should) == 0) { /* only the types differ */
		ao_auto_str char *is_typed = plain(found, strlen(found), true), *should_typed = plain(wanted, wanted_len, true);
		return ao_xasprintf("%.*s is %s, wanted is %s", (int)(end - name), name, is_typed, should_typed);
	}
	return ao_xasprintf("%.*s is %s, wanted is %s", (int)(end - name), name, is, should);
}

bool ao_rabbit_is_replicated(const char *text, bool wanted)
{
	static const char before[] = "inequivalent arg 'x-queue-type'", current[] = " but current is ";
	const char *found = strstr(text, before);
	found = found ? strstr(found, current) : NULL;
	if (!found)
		return wanted;
	return strstr(found, "'quorum'") || strstr(found, "'stream'");
}
