/* cut.c -- one walk over the text: what look-ups need is noted, and digests grow, while it is copied. */
#include "kube/cut.h"

#include "base/hash.h"
#include "base/mem.h"

#include <string.h>

#define MAX_TEXT (16u << 20)
#define KEEP_BYTES (256 * 1024) /* scratch memory above this is given back */

/** What is kept of an object or of each item of a list; a member without `members` is kept whole. */
typedef struct keep {
	const char *key;
	const struct keep *members;
} keep;

static const keep of_condition[] = {{"type", NULL}, {"status", NULL}, {"reason", NULL}, {"message", NULL}, {"lastTransitionTime", NULL},
				    {NULL, NULL}};
static const keep of_owner[] = {{"kind", NULL}, {"name", NULL}, {"uid", NULL}, {"controller", NULL}, {NULL, NULL}};
static const keep of_waiting[] = {{"reason", NULL}, {"message", NULL}, {NULL, NULL}};
static const keep of_running[] = {{"startedAt", NULL}, {NULL, NULL}};
static const keep of_terminated[] = {{"exitCode", NULL},  {"signal", NULL},     {"reason", NULL}, {"message", NULL},
				     {"startedAt", NULL}, {"finishedAt", NULL}, {NULL, NULL}};
static const keep of_state[] = {{"waiting", of_waiting}, {"running", of_running}, {"terminated", of_terminated}, {NULL, NULL}};
static const keep of_last_state[] = {{"terminated", of_terminated}, {NULL, NULL}};
static const keep of_container[] = {
    {"name", NULL}, {"ready", NULL}, {"restartCount", NULL}, {"state", of_state}, {"lastState", of_last_state}, {NULL, NULL}};
static const keep of_pod_status[] = {{"phase", NULL},
				     {"reason", NULL},
				     {"message", NULL},
				     {"conditions", of_condition},
				     {"containerStatuses", of_container},
				     {"initContainerStatuses", of_container},
				     {NULL, NULL}};
static const keep of_pod_spec[] = {{"nodeName", NULL}, {NULL, NULL}};
static const keep of_metadata[] = {{"name", NULL},
				   {"namespace", NULL},
				   {"uid", NULL},
				   {"labels", NULL},
				   {"ownerReferences", of_owner},
				   {"creationTimestamp", NULL},
				   {"deletionTimestamp", NULL},
				   {NULL, NULL}};
static const keep of_pod[] = {{"metadata", of_metadata}, {"spec", of_pod_spec}, {"status", of_pod_status}, {NULL, NULL}};
static const keep of_status[] = {{"metadata", of_metadata}, {"status", NULL}, {NULL, NULL}};
static const keep of_versioned[] = {{"name", NULL},
				    {"namespace", NULL},
				    {"uid", NULL},
				    {"resourceVersion", NULL},
				    {"labels", NULL},
				    {"ownerReferences", of_owner},
				    {"creationTimestamp", NULL},
				    {"deletionTimestamp", NULL},
				    {NULL, NULL}};
static const keep of_metadata_only[] = {{"metadata", of_versioned}, {NULL, NULL}};
static const keep of_stub_metadata[] = {{"name", NULL}, {"namespace", NULL}, {"uid", NULL}, {"deletionTimestamp", NULL}, {NULL, NULL}};
static const keep of_stub[] = {{"metadata", of_stub_metadata}, {NULL, NULL}};
static const keep *const PROJECTIONS[] = {
    [AO_WHOLE] = NULL, [AO_PROJECTION_POD] = of_pod, [AO_PROJECTION_STATUS] = of_status, [AO_PROJECTION_METADATA] = of_metadata_only};

/** Metadata that the server writes on its own account: not part of spec_digest. */
static const char *const SERVERS_OWN[] = {"resourceVersion", "generation", "uid", "creationTimestamp", "selfLink", "managedFields", NULL};

/** ... and so are annotations of this prefix, which the Deployment controller adds to each Deployment as soon as it is made. */
#define SERVERS_PREFIX "deployment.kubernetes.io/"

static bool is_servers_own(ao_span key, const ao_store_options *options)
{
	if (options->projection == AO_PROJECTION_METADATA && ao_span_is_key(key, "resourceVersion"))
		return false;
	for (size_t i = 0; SERVERS_OWN[i]; i++)
		if (ao_span_is_key(key, SERVERS_OWN[i]))
			return true;
	return false;
}

static const keep *find_keep(const keep *table, ao_span key)
{
	for (; table->key; table++)
		if (ao_span_is_key(key, table->key))
			return table;
	return NULL;
}

/* ---- what look-ups need ---- */

/** Keeps the text of a JSON string. @return false when it is none, empty, or holds a NUL */
static bool note_string(ao_cut *cut, ao_cut_string which, ao_span string)
{
	if (!string.at || string.len <= 2 || string.at[0] != '"' || memchr(string.at, '\0', string.len))
		return false;
	size_t at = cut->strings.len;
	if (memchr(string.at, '\\', string.len)) {
		ao_auto_str char *text = ao_span_text(string);
		if (!text)
			return false;
		ao_buf_puts(&cut->strings, text);
	} else {
		ao_buf_put(&cut->strings, string.at + 1, string.len - 2);
	}
	ao_buf_put(&cut->strings, "", 1);
	cut->at[which] = at;
	return true;
}

static void note_owner(ao_cut *cut, ao_span references)
{
	size_t cursor = 0;
	ao_span reference;
	while (ao_span_item(references, &cursor, &reference)) {
		ao_span controller = ao_span_get(reference, "controller");
		if (controller.len != 4 || memcmp(controller.at, "true", 4) != 0)
			continue;
		note_string(cut, AO_CUT_OWNER_UID, ao_span_get(reference, "uid"));
		note_string(cut, AO_CUT_OWNER_KIND, ao_span_get(reference, "kind"));
		note_string(cut, AO_CUT_OWNER_NAME, ao_span_get(reference, "name"));
		return;
	}
}

/** "namespace/name", or "name". */
static void note_key(ao_cut *cut)
{
	size_t at = cut->strings.len;
	/* copied out: the buffer may move while it is appended to */
	ao_auto_str char *namespace_ = ao_xstrdup(ao_cut_str(cut, AO_CUT_NAMESPACE)), *name = ao_xstrdup(ao_cut_str(cut, AO_CUT_NAME));
	if (*namespace_)
		ao_buf_printf(&cut->strings, "%s/", namespace_);
	cut->at[AO_CUT_KEY] = at;
	cut->at[AO_CUT_NAME] = cut->strings.len;
	ao_buf_put(&cut->strings, name, strlen(name) + 1);
}

static void note_labels(ao_cut *cut, ao_span labels, const ao_store_options *options)
{
	if (options->index_label)
		note_string(cut, AO_CUT_LABEL, ao_span_get(labels, options->index_label));
	if (options->owner_label)
		note_string(cut, AO_CUT_OWNER_UID, ao_span_get(labels, options->owner_label));
}

static void note_annotations(ao_cut *cut, ao_span annotations, const ao_store_options *options)
{
	if (options->annotation)
		note_string(cut, AO_CUT_ANNOTATION, ao_span_get(annotations, options->annotation));
	if (options->owner_label)
		note_string(cut, AO_CUT_OWNER_NAME, ao_span_get(annotations, options->owner_annotation));
}

/** What look-ups need of one member of metadata. @param value  absent when the text is broken */
static void note_member(ao_cut *cut, ao_span key, ao_span value, const ao_store_options *options)
{
	if (ao_span_is_key(key, "name"))
		note_string(cut, AO_CUT_NAME, value);
	else if (ao_span_is_key(key, "namespace"))
		note_string(cut, AO_CUT_NAMESPACE, value);
	else if (ao_span_is_key(key, "uid"))
		note_string(cut, AO_CUT_UID, value);
	else if (ao_span_is_key(key, "resourceVersion"))
		note_string(cut, AO_CUT_VERSION, value);
	else if (ao_span_is_key(key, "generation"))
		cut->generation = ao_span_int(value, 0);
	else if (ao_span_is_key(key, "deletionTimestamp"))
		cut->deleting = value.len > 2 && *value.at == '"';
	else if (ao_span_is_key(key, "ownerReferences") && !options->owner_label)
		note_owner(cut, value);
	else if (ao_span_is_key(key, "labels"))
		note_labels(cut, value, options);
	else if (ao_span_is_key(key, "annotations"))
		note_annotations(cut, value, options);
}

/* ---- copying ---- */

/** Copies the next value, of objects (or of the objects in a list) only what `only` names; NULL: everything. */
static void put_value(ao_buf *out, ao_walk *walk, const keep *only)
{
	char open = only ? ao_walk_opens(walk) : '\0';
	bool first = true, first_put = true;
	ao_span key;
	if (!open) {
		ao_walk_put(walk, out);
		return;
	}
	ao_walk_enter(walk, open);
	ao_buf_put(out, &open, 1);
	if (open == '[') {
		while (ao_walk_next(walk, &first, NULL)) {
			if (!first_put)
				ao_buf_put(out, ",", 1);
			first_put = false;
			put_value(out, walk, ao_walk_opens(walk) == '{' ? only : NULL);
		}
		ao_buf_put(out, "]", 1);
		return;
	}
	while (ao_walk_next(walk, &first, &key)) {
		const keep *found = find_keep(only, key);
		if (!found) {
			ao_walk_skip(walk);
			continue;
		}
		ao_span_put_key(key, &first_put, out);
		put_value(out, walk, found->members);
	}
	ao_buf_put(out, "}", 1);
}

static void digest_from(ao_cut *cut, size_t start)
{
	if (!cut->text.overflow)
		cut->spec_digest = ao_hash_words(cut->spec_digest, cut->text.data + start, cut->text.len - start);
}

/** As if the server had added none of its own. */
static void digest_annotations(ao_cut *cut, size_t start)
{
	ao_walk walk = {.text = {cut->text.data + start, cut->text.len - start}};
	ao_auto_buf ao_buf others = ao_buf_init(MAX_TEXT);
	bool first = true, first_put = true;
	ao_span key;
	walk.at = strlen("\"annotations\":");
	if (cut->text.overflow || ao_walk_opens(&walk) != '{' ||
	    !memmem(walk.text.at, walk.text.len, SERVERS_PREFIX, strlen(SERVERS_PREFIX))) {
		digest_from(cut, start);
		return;
	}
	ao_buf_puts(&others, "\"annotations\":{");
	ao_walk_enter(&walk, '{');
	while (ao_walk_next(&walk, &first, &key)) {
		ao_span value = ao_walk_skip(&walk);
		if (key.len >= strlen(SERVERS_PREFIX) && memcmp(key.at, SERVERS_PREFIX, strlen(SERVERS_PREFIX)) == 0)
			continue;
		ao_span_put_key(key, &first_put, &others);
		ao_buf_put(&others, value.at, value.len);
	}
	ao_buf_puts(&others, "}");
	if (!first_put)
		cut->spec_digest = ao_hash_words(cut->spec_digest, others.data, others.len);
}

static void put_member(ao_cut *cut, ao_walk *walk, ao_span key, const keep *only, const ao_store_options *options, bool *first_put)
{
	size_t start = ao_span_put_key(key, first_put, &cut->text);
	ao_walk_opens(walk); /* steps over spaces */
	size_t from = walk->at;
	put_value(&cut->text, walk, only);
	if (!walk->broken)
		note_member(cut, key, (ao_span){walk->text.at + from, walk->at - from}, options);
	if (ao_span_is_key(key, "annotations"))
		digest_annotations(cut, start);
	else if (!is_servers_own(key, options))
		digest_from(cut, start);
}

static void put_metadata(ao_cut *cut, ao_walk *walk, const keep *only, const ao_store_options *options)
{
	bool first = true, first_put = true;
	ao_span key;
	ao_walk_enter(walk, '{');
	ao_buf_put(&cut->text, "{", 1);
	while (ao_walk_next(walk, &first, &key)) {
		const keep *found = only ? find_keep(only, key) : NULL;
		if (ao_span_is_key(key, "managedFields")) {
			ao_walk again = *walk;
			cut->held = ao_managed_scan(walk, options->manager, options->legacy_managers);
			if (options->keep_managed) {
				ao_span_put_key(key, &first_put, &cut->text);
				put_value(&cut->text, &again, NULL);
			}
		} else if (only && !found) {
			note_member(cut, key, ao_walk_skip(walk), options);
		} else {
			put_member(cut, walk, key, found ? found->members : NULL, options, &first_put);
		}
	}
	ao_buf_put(&cut->text, "}", 1);
}

/** @return false when the text is no object, or has no metadata */
static bool put_object(ao_cut *cut, ao_walk *walk, const ao_store_options *options)
{
	const keep *only = cut->stub ? of_stub : PROJECTIONS[options->projection];
	bool first = true, first_put = true, has_metadata = false;
	ao_span key;
	ao_walk_enter(walk, '{');
	ao_buf_put(&cut->text, "{", 1);
	while (ao_walk_next(walk, &first, &key)) {
		const keep *found = only ? find_keep(only, key) : NULL;
		bool is_metadata = ao_span_is_key(key, "metadata");
		if ((only && !found) || (is_metadata && has_metadata) || ao_span_is_key(key, "apiVersion") || ao_span_is_key(key, "kind")) {
			ao_walk_skip(walk);
			continue;
		}
		size_t start = ao_span_put_key(key, &first_put, &cut->text);
		if (is_metadata) {
			has_metadata = true;
			put_metadata(cut, walk, found ? found->members : NULL, options);
			continue;
		}
		put_value(&cut->text, walk, found ? found->members : NULL);
		if (!ao_span_is_key(key, "status"))
			digest_from(cut, start);
	}
	ao_buf_put(&cut->text, "}", 1);
	return has_metadata;
}

/* ---- the whole ---- */

ao_cut ao_cut_init(void) { return (ao_cut){.strings = ao_buf_init(64 * 1024), .text = ao_buf_init(MAX_TEXT)}; }

void ao_cut_free(ao_cut *cut)
{
	ao_buf_free(&cut->strings);
	ao_buf_free(&cut->text);
}

static void reset(ao_cut *cut)
{
	ao_buf_clear(&cut->strings);
	ao_buf_clear(&cut->text);
	if (cut->text.size > KEEP_BYTES)
		ao_buf_free(&cut->text);
	*cut = (ao_cut){.strings = cut->strings, .text = cut->text, .held = {.post_at = -1}, .spec_digest = AO_HASH_INIT};
	ao_buf_put(&cut->strings, "", 1);
}

/** Does it have all that the options ask for? */
static bool has_traits(ao_span object, const ao_store_options *options)
{
	for (size_t i = 0; i < options->trait_count; i++) {
		const ao_trait *trait = &options->traits[i];
		ao_span at = object;
		for (char *const *step = trait->path; at.at && *step; step++)
			at = ao_span_get(at, *step);
		if (!at.at || (trait->value && !ao_span_is(at, trait->value)))
			return false;
	}
	return true;
}

int ao_cut_make(ao_cut *cut, ao_span object, const ao_store_options *options, ao_err **reterr)
{
	ao_walk walk = {.text = object};
	reset(cut);
	cut->stub = !has_traits(object, options);
	bool has_metadata = put_object(cut, &walk, options);
	if (!ao_walk_ended(&walk))
		return ao_err_set(reterr, -EINVAL, "not a JSON object");
	if (!has_metadata)
		return ao_err_set(reterr, -EINVAL, "an object without metadata");
	if (!cut->at[AO_CUT_NAME])
		return ao_err_set(reterr, -EINVAL, "an object without metadata.name");
	if (!cut->at[AO_CUT_UID])
		return ao_err_set(reterr, -EINVAL, "%s: no metadata.uid", ao_cut_str(cut, AO_CUT_NAME));
	note_key(cut);
	if (cut->text.overflow || cut->strings.overflow)
		return ao_err_set(reterr, -E2BIG, "%s: the object is larger than %u bytes", ao_cut_str(cut, AO_CUT_NAME), MAX_TEXT);
	return 0;
}
