/* whose.c -- the table in the header's comment, as code. */
#include "queues/whose.h"

#include <stddef.h>
#include <string.h>

static bool become(ao_whose *w, ao_whose_owner owner)
{
	bool news = w->owner != owner;
	w->owner = owner;
	w->tried = false;
	return news;
}

bool ao_whose_is_here(const char *recorded, const char *place) { return !recorded || !place || strcmp(recorded, place) == 0; }

ao_whose ao_whose_recall(ao_whose_owner here, bool elsewhere, bool heir)
{
	if (here == AO_WHOSE_UNKNOWN && elsewhere)
		return (ao_whose){.owner = AO_WHOSE_OTHER};
	return (ao_whose){.owner = here, .heir = heir && !elsewhere};
}

bool ao_whose_saw(ao_whose *w, ao_whose_sight sight)
{
	switch (sight) {
	case AO_WHOSE_TRIED:
		w->tried = true;
		return false;
	case AO_WHOSE_MADE:
		return become(w, AO_WHOSE_PARENT);
	case AO_WHOSE_FOUND:
		if (w->tried || (w->owner == AO_WHOSE_UNKNOWN && w->heir))
			return become(w, AO_WHOSE_PARENT);
		return become(w, w->owner == AO_WHOSE_UNKNOWN ? AO_WHOSE_OTHER : w->owner);
	case AO_WHOSE_MISMATCH:
		w->tried = false;
		return w->owner == AO_WHOSE_UNKNOWN && !w->heir && become(w, AO_WHOSE_OTHER);
	}
	return false;
}

bool ao_whose_inherit(ao_whose *w) { return become(w, AO_WHOSE_PARENT); }

bool ao_whose_may_delete(const ao_whose *w) { return w->owner == AO_WHOSE_PARENT || w->tried || (w->owner == AO_WHOSE_UNKNOWN && w->heir); }

const char *ao_whose_word(ao_whose_owner owner) { return owner == AO_WHOSE_PARENT ? "Actor" : owner == AO_WHOSE_OTHER ? "Other" : NULL; }

ao_whose_owner ao_whose_of_word(const char *word)
{
	if (word && strcmp(word, "Actor") == 0)
		return AO_WHOSE_PARENT;
	return word && strcmp(word, "Other") == 0 ? AO_WHOSE_OTHER : AO_WHOSE_UNKNOWN;
}
