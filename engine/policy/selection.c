/* selection.c -- reads selections; there are few, and their text is short. */
#include "policy/selection.h"

#include "base/hash.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

typedef struct requirement {
	char *key, *value; /* value NULL: the label must be there, with any value */
	bool negated;
} requirement;

/** Reads the next requirement of a selector. Sets `wrong` when it is malformed. @return false at the end of the selector */
static bool next_requirement(const char **at, requirement *ret, bool *wrong)
{
	*at += strspn(*at, " ,");
	size_t len = strcspn(*at, ",");
	if (!len)
		return false;
	ao_auto_str char *text = ao_xstrndup(*at, len);
	*at += len;
	*ret = (requirement){0};
	char *begin = text, *equals = strchr(text, '=');
	if (*begin == '!') {
		ret->negated = true;
		begin++;
	}
	if (equals && equals > begin && equals[-1] == '!') {
		ret->negated = true;
		equals[-1] = '\0';
	}
	if (equals) {
		*equals = '\0';
		ret->value = ao_xstrdup(equals[1] == '=' ? equals + 2 : equals + 1);
	}
	ret->key = ao_xstrdup(begin);
	*wrong = !*ret->key || strpbrk(ret->key, " ()") || (ret->value && strpbrk(ret->value, " ()"));
	return true;
}

static void clear_requirement(requirement *r)
{
	free(r->key);
	free(r->value);
}

int ao_selection_make(const char *selector, const char *percent, char **ret, ao_err **reterr)
{
	bool wrong = false;
	requirement r;
	if (percent) {
		char *end;
		long n = strtol(percent, &end, 10);
		if (*end || n < 1 || n > 100)
			return ao_err_set(reterr, -EINVAL, "the canary's percentage must be 1 to 100, not \"%.20s\"", percent);
		*ret = ao_xasprintf("%ld%%", n);
		return 0;
	}
	if (!selector || !selector[strspn(selector, " ,")])
		return ao_err_set(reterr, -EINVAL, "the canary names neither a selector nor a percentage of parents");
	for (const char *at = selector; !wrong && next_requirement(&at, &r, &wrong);)
		clear_requirement(&r);
	if (wrong)
		return ao_err_set(reterr, -EINVAL,
				  "the canary's selector \"%.100s\" is not valid: write key=value, key!=value, key or !key, with commas",
				  selector);
	*ret = ao_xstrdup(selector);
	return 0;
}

int ao_selection_of(const cJSON *config_map, const char *label, char **ret, ao_err **reterr)
{
	const cJSON *annotations = ao_json_at(config_map, "metadata", "annotations");
	ao_auto_str char *selector = ao_xasprintf("%s-canary-selector", label), *percent = ao_xasprintf("%s-canary-percent", label);
	return ao_selection_make(ao_json_str(annotations, selector), ao_json_str(annotations, percent), ret, reterr);
}

/** @return 1 to 100; 0: it is a selector (a label cannot hold a %) */
static unsigned share_of(const char *selection)
{
	char *end;
	unsigned long n = strtoul(selection, &end, 10);
	return end > selection && strcmp(end, "%") == 0 && n <= 100 ? (unsigned)n : 0;
}

bool ao_selection_concerns(const char *selection, const ao_object *parent)
{
	unsigned share = share_of(selection);
	if (share)
		return ao_hash(AO_HASH_INIT, parent->key, strlen(parent->key)) % 100 < share;
	ao_auto_json cJSON *tree = NULL;
	if (ao_object_tree(parent, &tree, NULL) < 0)
		return false;
	const cJSON *labels = ao_json_at(tree, "metadata", "labels");
	bool all = true, wrong;
	requirement r;
	for (const char *at = selection; all && next_requirement(&at, &r, &wrong);) {
		const char *label = ao_json_str(labels, r.key);
		bool holds = r.value ? label && strcmp(label, r.value) == 0 : label != NULL;
		all = holds != r.negated;
		clear_requirement(&r);
	}
	return all;
}
