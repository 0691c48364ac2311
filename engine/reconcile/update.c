/* update.c -- one look at all children of a kind decides, so that at most one that was ready is not ready at any time. */
#include "reconcile/update.h"

#include "base/mem.h"

#include <string.h>

ao_update ao_update_of(const char *word)
{
	static const char *const WORDS[] = {[AO_UPDATE_RECREATE] = "Recreate",
					    [AO_UPDATE_ON_DELETE] = "OnDelete",
					    [AO_UPDATE_ROLLING_IN_PLACE] = "RollingInPlace",
					    [AO_UPDATE_ROLLING_RECREATE] = "RollingRecreate"};
	for (size_t i = AO_UPDATE_RECREATE; word && i < AO_LEN(WORDS); i++)
		if (strcmp(word, WORDS[i]) == 0)
			return (ao_update)i;
	return AO_UPDATE_IN_PLACE;
}

long ao_update_waits_for(const ao_standing *children, size_t count, size_t index)
{
	bool healthy = children[index].ready;
	for (size_t i = 0; i < count; i++) {
		const ao_standing *other = &children[i];
		bool good = other->there && other->ready;
		if (i != index && !good && (healthy || !other->there || other->wanted))
			return (long)i;
	}
	return -1;
}
