/*
 * compare.c -- is what we want already there?
 *
 * The server adds defaults, other managers add fields, and values come back in another form; so this looks for each field of ours in
 * what is observed, and for nothing else.
 *
 * A field that is absent has its default, so an empty value of ours may be missing only where that is the default.  The server leaves 0, false
 * and "" out when it stores a built-in kind, unless absent means something else there (a pointer, in Go); the schema does not tell the two
 * apart, so there is a table.  Of a custom resource it stores what it is sent.
 */
#include "base/mem.h"
#include "kube/apply.h"
#include "kube/merge_keys.h"
#include "kube/quantity.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PATH 1024

/** Objects whose members are quantities, and members that are quantities wherever they stand. */
static const char *const quantity_maps[] = {"limits", "requests", "capacity", "hard", NULL};
static const char *const quantity_members[] = {"sizeLimit", "divisor", "storage", "averageValue", NULL};

/** Objects of built-in kinds whose members have names that people choose: an empty value says something there. */
static const char *const free_maps[] = {"labels", "annotations", "matchLabels", "nodeSelector", "data", "stringData", NULL};
/** Fields of built-in kinds that the server stores when they are empty, since absent is not the same. */
static const char *const told_apart[] = {"activeDeadlineSeconds",
					 "allocateLoadBalancerNodePorts",
					 "allowPrivilegeEscalation",
					 "automountServiceAccountToken",
					 "backoffLimit",
					 "backoffLimitPerIndex",
					 "completions",
					 "defaultMode",
					 "enableServiceLinks",
					 "fsGroup",
					 "hostProcess",
					 "hostUsers",
					 "immutable",
					 "maxFailedIndexes",
					 "minReplicas",
					 "mode",
					 "optional",
					 "parallelism",
					 "priority",
					 "privileged",
					 "progressDeadlineSeconds",
					 "readOnlyRootFilesystem",
					 "replicas",
					 "revisionHistoryLimit",
					 "runAsGroup",
					 "runAsNonRoot",
					 "runAsUser",
					 "setHostnameAsFQDN",
					 "shareProcessNamespace",
					 "stabilizationWindowSeconds",
					 "storageClassName",
					 "suspend",
					 "terminationGracePeriodSeconds",
					 "tolerationSeconds",
					 "ttlSecondsAfterFinished",
					 NULL};

/** Where the walk is. */
typedef struct place {
	ao_buf *path;
	const ao_merge_keys *item_of; /* the values compared are items of such a list; or NULL */
	bool quantity;
	bool custom; /* in a custom resource, metadata apart */
	bool root;   /* the object itself */
} place;

static bool same(place at, const cJSON *desired, const cJSON *observed);

static bool is_among(const char *const *words, const char *word)
{
	for (; word && *words; words++)
		if (strcmp(*words, word) == 0)
			return true;
	return false;
}

/** Says as much as nothing at all. */
static bool is_nothing(const cJSON *value)
{
	return cJSON_IsNull(value) || ((cJSON_IsObject(value) || cJSON_IsArray(value)) && !value->child);
}

/** The zero value of a plain type. */
static bool is_zero(const cJSON *value)
{
	return cJSON_IsFalse(value) || (cJSON_IsNumber(value) && value->valuedouble == 0) ||
	       (cJSON_IsString(value) && !*value->valuestring);
}

/** Groups of custom resources have a dot in their names; those of Kubernetes end with "k8s.io", if they have one. */
static bool is_custom(const cJSON *object)
{
	const char *api_version = ao_json_str(object, "apiVersion"), *end = api_version ? strchr(api_version, '/') : NULL;
	size_t len = end ? (size_t)(end - api_version) : 0;
	return len && memchr(api_version, '.', len) && !(len > 7 && strncmp(end - 7, ".k8s.io", 7) == 0);
}

/* ---- the path, for people ---- */

/** "spec" + "replicas", "labels" + "[app.kubernetes.io/name]". @return the length to go back to */
static size_t step_to_member(ao_buf *path, const char *key)
{
	size_t len = path->len;
	if (strpbrk(key, "./"))
		ao_buf_printf(path, "[%s]", key);
	else
		ao_buf_printf(path, "%s%s", len ? "." : "", key);
	return len;
}

/** "[asya]", "[8080]", "[2]". */
static size_t step_to_item(ao_buf *path, const cJSON *key, int index)
{
	size_t len = path->len;
	if (cJSON_IsString(key))
		ao_buf_printf(path, "[%s]", key->valuestring);
	else
		ao_buf_printf(path, "[%d]", cJSON_IsNumber(key) ? key->valueint : index);
	return len;
}

static void step_back(ao_buf *path, size_t len)
{
	path->len = len;
	path->overflow = false;
	if (path->data)
		path->data[len] = '\0';
}

/* ---- lists ---- */

static bool same_key(const cJSON *a, const cJSON *b, const ao_merge_keys *row)
{
	if (!row->keys[0])
		return ao_json_equal(a, b);
	for (const char *const *key = row->keys; *key; key++)
		if (!ao_merge_same(a, b, *key))
			return false;
	return true;
}

/** The last item wins, as it does when a container starts with a variable given twice. */
static const cJSON *find_item(const cJSON *list, const cJSON *like, const ao_merge_keys *row)
{
	const cJSON *item, *found = NULL;
	cJSON_ArrayForEach (item, list) {
		if (same_key(like, item, row))
			found = item;
	}
	return found;
}

static bool same_list(place at, const cJSON *desired, const cJSON *observed)
{
	const ao_merge_keys *row = ao_merge_keys_of(desired);
	const cJSON *item, *other = observed->child;
	int index = 0;
	if (!row && cJSON_GetArraySize(desired) != cJSON_GetArraySize(observed))
		return false;
	cJSON_ArrayForEach (item, desired) {
		size_t len = step_to_item(at.path, row ? ao_json_at(item, row->keys[0]) : NULL, index++);
		const cJSON *found = row ? find_item(observed, item, row) : other;
		if (!found || !same((place){at.path, row, false, at.custom, false}, item, found))
			return false;
		step_back(at.path, len);
		other = other ? other->next : NULL;
	}
	return true;
}

/* ---- objects and plain values ---- */

static bool is_item_of(const ao_merge_keys *row, const char *list) { return row && strcmp(row->list, list) == 0; }

/** May a member of ours be missing in what is observed? @param desired  the object that it is a member of */
static bool may_be_missing(place at, const cJSON *desired, const cJSON *member, const cJSON *observed)
{
	if (is_item_of(at.item_of, "volumes") && cJSON_IsObject(member))
		return false; /* emptyDir: {} is not the same as another source */
	if (is_item_of(at.item_of, "env") && ao_json_at(observed, "valueFrom"))
		return false; /* which excludes a value, be it empty */
	if (is_nothing(member))
		return true;
	return is_zero(member) && !at.custom && !is_among(free_maps, desired->string) && !is_among(told_apart, member->string);
}

static bool same_object(place at, const cJSON *desired, const cJSON *observed)
{
	const cJSON *member;
	bool quantities = !at.root && is_among(quantity_maps, desired->string);
	cJSON_ArrayForEach (member, desired) {
		if (at.root && (strcmp(member->string, "apiVersion") == 0 || strcmp(member->string, "kind") == 0))
			continue; /* of one object, whatever version it is read in */
		size_t len = step_to_member(at.path, member->string);
		const cJSON *other = ao_json_at(observed, member->string);
		place below = {at.path, NULL, quantities || is_among(quantity_members, member->string),
			       at.custom && !(at.root && strcmp(member->string, "metadata") == 0), false};
		if (other && !cJSON_IsNull(other) ? !same(below, member, other) : !may_be_missing(at, desired, member, observed))
			return false;
		step_back(at.path, len);
	}
	return true;
}

/** A quantity may be written as a number. */
static bool same_quantity(const cJSON *desired, const cJSON *observed)
{
	ao_auto_str char *a = cJSON_IsString(desired) ? ao_xstrdup(desired->valuestring) : ao_json_print(desired);
	ao_auto_str char *b = cJSON_IsString(observed) ? ao_xstrdup(observed->valuestring) : ao_json_print(observed);
	return strcmp(a, b) == 0 || ao_quantity_equal(a, b);
}

static bool same(place at, const cJSON *desired, const cJSON *observed)
{
	if (cJSON_IsObject(desired) && cJSON_IsObject(observed))
		return same_object(at, desired, observed);
	if (cJSON_IsArray(desired) && cJSON_IsArray(observed))
		return same_list(at, desired, observed);
	if (is_nothing(desired) && is_nothing(observed))
		return true;
	if (at.quantity)
		return same_quantity(desired, observed);
	return ao_json_equal(desired, observed);
}

bool ao_apply_equal(const cJSON *desired, const cJSON *observed, char **ret_path)
{
	ao_auto_buf ao_buf path = ao_buf_init(MAX_PATH);
	bool equal = same((place){.path = &path, .custom = is_custom(desired), .root = true}, desired, observed);
	if (!equal && ret_path)
		*ret_path = ao_buf_steal(&path);
	return equal;
}

/* ---- what a server-side apply cannot empty ---- */

/** The same place in two ways. */
typedef struct emptied {
	ao_buf pointer; /* "/spec/volumes/0/emptyDir" */
	ao_buf path;    /* "spec.volumes[].emptyDir" */
	char *refusal;  /* what the server said, without the numbers of items: it counts those of a list that it has not stored */
	cJSON *patch;
} emptied;

static char *without_indexes(const char *text)
{
	char *copy = ao_xstrdup(text), *to = copy;
	for (const char *from = copy; *from; from++) {
		size_t digits = *from == '[' ? strspn(from + 1, "0123456789") : 0;
		*to++ = *from;
		if (digits && from[1 + digits] == ']')
			from += digits;
	}
	*to = '\0';
	return copy;
}

static void step_down(emptied *e, const cJSON *container, const cJSON *child)
{
	int index = 0;
	for (const cJSON *item = container->child; item != child; item = item->next)
		index++;
	if (cJSON_IsArray(container)) {
		ao_buf_puts(&e->path, "[]");
		ao_buf_printf(&e->pointer, "/%d", index);
		return;
	}
	step_to_member(&e->path, child->string);
	ao_buf_puts(&e->pointer, "/");
	for (const char *c = child->string; *c; c++)
		ao_buf_printf(&e->pointer, *c == '~' ? "~0" : *c == '/' ? "~1" : "%c", *c);
}

/** Did the server complain that this place would be null? */
static bool is_refused(const emptied *e)
{
	if (e->path.overflow || e->pointer.overflow || !e->path.len)
		return false;
	ao_auto_str char *words = ao_xasprintf("%s: Invalid value: \"null\"", e->path.data);
	return strstr(e->refusal, words) != NULL;
}

static void find_emptied(emptied *e, const cJSON *desired, const cJSON *live)
{
	const ao_merge_keys *row = cJSON_IsArray(desired) ? ao_merge_keys_of(desired) : NULL;
	const cJSON *member, *other = live->child;
	if (cJSON_IsObject(desired) && !desired->child && live->child && is_refused(e))
		cJSON_AddItemToArray(e->patch, ao_json_patch_step("replace", e->pointer.data, cJSON_CreateObject()));
	cJSON_ArrayForEach (member, desired) {
		const cJSON *found = cJSON_IsObject(desired) ? ao_json_at(live, member->string)
				     : row                   ? find_item(live, member, row)
							     : other;
		bool objects = cJSON_IsObject(member) && cJSON_IsObject(found), lists = cJSON_IsArray(member) && cJSON_IsArray(found);
		if (objects || lists) {
			size_t pointer_len = e->pointer.len, path_len = e->path.len;
			step_down(e, live, found);
			find_emptied(e, member, found);
			step_back(&e->pointer, pointer_len);
			step_back(&e->path, path_len);
		}
		other = other ? other->next : NULL;
	}
}

cJSON *ao_apply_emptied(const cJSON *desired, const cJSON *live, const char *refusal)
{
	emptied e = {ao_buf_init(MAX_PATH), ao_buf_init(MAX_PATH), without_indexes(refusal), cJSON_CreateArray()};
	find_emptied(&e, desired, live);
	free(e.refusal);
	ao_buf_free(&e.pointer);
	ao_buf_free(&e.path);
	if (e.patch->child)
		return e.patch;
	cJSON_Delete(e.patch);
	return NULL;
}
