/* archive.c -- cuts the texts of a bundle into ConfigMaps, and puts them together again. */
#include "rollout/archive.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "rollout/config_map.h"

#include <string.h>

#define PART (900 * 1024)          /* bytes of texts in one ConfigMap, which can hold 1 MiB */
#define SETTINGS "_settings_.json" /* the key of the settings, which are not a file of the bundle */

typedef struct putting {
	cJSON *parts; /* what each ConfigMap is to hold */
	ao_kept slots;
	size_t at;
	char *digest;
	ao_archive_put_fn fn;
	void *arg;
	ao_kube_call *call;
} putting;

typedef struct getting {
	struct getting *next;
	ao_archive *archive;
	ao_sources sources;
	ao_buf settings;
	ao_kept slots;
	size_t at;
	char *digest;
	ao_archive_get_fn fn;
	void *arg;
	ao_kube_call *call;
} getting;

struct ao_archive {
	ao_kube *kube;
	const char *namespace_;
	const ao_manifest *manifest;
	char *prefix; /* names are this, "-" and a number */
	ao_map *kept;
	putting *putting; /* or NULL */
	getting *getting; /* a list */
};

/* ---- which there are ---- */

char *ao_archive_prefix(const ao_scope *scope, const char *component)
{
	ao_auto_str char *base = ao_xasprintf("%s-policies-kept", component);
	return ao_scope_name(scope, base);
}

ao_archive *ao_archive_new(ao_kube *kube, const char *namespace_, const ao_manifest *manifest, const ao_scope *scope)
{
	ao_archive *archive = ao_xcalloc(1, sizeof(*archive));
	*archive = (ao_archive){.kube = kube,
				.namespace_ = namespace_,
				.manifest = manifest,
				.prefix = ao_archive_prefix(scope, manifest->component),
				.kept = ao_map_new()};
	return archive;
}

static void free_putting(putting *p)
{
	if (!p)
		return;
	if (p->call)
		ao_kube_cancel(p->call);
	cJSON_Delete(p->parts);
	free(p->digest);
	free(p);
}

static void free_getting(getting *g)
{
	getting **at = &g->archive->getting;
	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	if (g->call)
		ao_kube_cancel(g->call);
	ao_sources_clear(&g->sources);
	ao_buf_free(&g->settings);
	free(g->digest);
	free(g);
}

void ao_archive_free(ao_archive *archive)
{
	if (!archive)
		return;
	free_putting(archive->putting);
	while (archive->getting)
		free_getting(archive->getting);
	ao_map_free_all(archive->kept);
	free(archive->prefix);
	free(archive);
}

const ao_map *ao_archive_kept(const ao_archive *archive) { return archive->kept; }
void ao_archive_forget(ao_archive *archive, const char *digest) { free(ao_map_remove(archive->kept, digest)); }
bool ao_archive_has(const ao_archive *archive, const char *digest) { return ao_map_get(archive->kept, digest) != NULL; }

void ao_archive_adopt(ao_archive *archive, ao_map *kept)
{
	ao_map_free_all(archive->kept);
	archive->kept = kept;
}

static char *name_of(const ao_archive *archive, unsigned slot) { return ao_xasprintf("%s-%u", archive->prefix, slot); }

char *ao_archive_where(const ao_archive *archive, const char *digest)
{
	const ao_kept *kept = ao_map_get(archive->kept, digest);
	return kept && kept->count ? name_of(archive, kept->slots[0]) : NULL;
}

/* ---- into ConfigMaps ---- */

/** The key of a file: a key holds no slash, which two dots stand for. The caller frees it. */
static char *key_of(const char *name)
{
	char *key = ao_xcalloc(2 * strlen(name) + 1, 1), *to = key;
	for (const char *at = name; *at; at++) {
		if (*at == '/')
			*to++ = '.';
		*to++ = *at == '/' ? '.' : *at;
	}
	return key;
}

/** The file of a key. The caller frees it. */
static char *file_of(const char *key)
{
	char *name = ao_xstrdup(key), *to = name;
	for (const char *at = key; *at; at++) {
		bool slash = at[0] == '.' && at[1] == '.';
		*to++ = slash ? '/' : *at;
		at += slash;
	}
	*to = '\0';
	return name;
}

/** Can this be kept, and read again under the same name? */
static bool is_key(const char *file)
{
	ao_auto_str char *name = key_of(file), *again = file_of(name);
	return strcmp(again, file) == 0 && *name && strlen(name) <= 253 && strcmp(name, SETTINGS) != 0 && strncmp(name, "..", 2) != 0 &&
	       strcmp(name, ".") != 0 && name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")] == '\0';
}

int ao_archive_check(const ao_sources *sources, const cJSON *seen, ao_err **reterr)
{
	ao_auto_str char *settings = ao_json_print(seen);
	size_t bytes = strlen(settings);
	for (size_t i = 0; i < sources->count; i++) {
		const ao_source *file = &sources->items[i];
		bytes += file->len + strlen(file->name);
		if (!is_key(file->name) || !ao_utf8_is_text(file->text, file->len))
			return ao_err_set(reterr, -EINVAL,
					  "the file %s (%s) has a name, or bytes that are not UTF-8, which no text of a ConfigMap can "
					  "have: policies are kept there, so that a restart finds them",
					  file->name, file->origin);
	}
	if (bytes > AO_ARCHIVE_MAX)
		return ao_err_set(reterr, -E2BIG, "the files and settings of the policies take %zu KiB; at most %d KiB are allowed",
				  bytes / 1024, AO_ARCHIVE_MAX / 1024);
	return 0;
}

/** Puts a text into the last part, and what does not fit there into further ones. */
static void put_text(cJSON *parts, size_t *room, const char *name, const char *text, size_t len)
{
	do {
		if (*room <= 4) { /* a character may need so much */
			cJSON_AddItemToArray(parts, cJSON_CreateObject());
			*room = PART;
		}
		size_t piece = len < *room ? len : *room;
		while (piece < len && ((unsigned char)text[piece] & 0xC0) == 0x80)
			piece--; /* not within a character */
		ao_auto_str char *copy = ao_xstrndup(text, piece);
		ao_json_set_str(cJSON_GetArrayItem(parts, cJSON_GetArraySize(parts) - 1), name, copy);
		*room -= piece;
		text += piece;
		len -= piece;
		if (len)
			*room = 0;
	} while (len);
}

static cJSON *cut(const ao_sources *sources, const cJSON *seen)
{
	cJSON *parts = cJSON_CreateArray();
	size_t room = 0;
	ao_auto_str char *settings = ao_json_print(seen);
	put_text(parts, &room, SETTINGS, settings, strlen(settings));
	for (size_t i = 0; i < sources->count; i++) {
		ao_auto_str char *key = key_of(sources->items[i].name);
		put_text(parts, &room, key, sources->items[i].text, sources->items[i].len);
	}
	return parts;
}

/** Finds the lowest numbers that no bundle has. */
static bool find_slots(const ao_archive *archive, size_t count, ao_kept *ret)
{
	bool taken[AO_KEPT_SLOTS] = {false};
	size_t cursor = 0;
	for (const ao_kept *k; (k = ao_map_next(archive->kept, &cursor, NULL));)
		for (size_t i = 0; i < k->count; i++)
			taken[k->slots[i]] = true;
	for (unsigned slot = 0; slot < AO_KEPT_SLOTS && ret->count < count; slot++)
		if (!taken[slot])
			ret->slots[ret->count++] = slot;
	return ret->count == count;
}

static void end_putting(ao_archive *archive, const ao_err *error)
{
	putting *p = archive->putting;
	archive->putting = NULL;
	if (!error) {
		ao_kept *kept = ao_xcalloc(1, sizeof(*kept));
		*kept = p->slots;
		free(ao_map_put(archive->kept, p->digest, kept));
	}
	p->fn(p->arg, p->digest, error);
	free_putting(p);
}

static void put_next(ao_archive *archive);

static void on_put(void *arg, const ao_kube_answer *answer)
{
	ao_archive *archive = arg;
	putting *p = archive->putting;
	ao_auto_err ao_err *err = NULL;
	p->call = NULL;
	if (answer->error) {
		ao_kube_answer_err(answer, "cannot keep the texts of a bundle", &err);
		end_putting(archive, err);
	} else if (++p->at < p->slots.count) {
		put_next(archive);
	} else {
		end_putting(archive, NULL);
	}
}

static void put_next(ao_archive *archive)
{
	putting *p = archive->putting;
	const char *label = archive->manifest->policies_label;
	ao_auto_str char *name = name_of(archive, p->slots.slots[p->at]), *kept = ao_xasprintf("%s-kept", label),
			 *digest = ao_xasprintf("%s-digest", label);
	ao_auto_json cJSON *object = ao_config_map_make(name, kept, archive->manifest->component);
	ao_json_set_str(ao_json_object(ao_json_object(object, "metadata"), "annotations"), digest, p->digest);
	ao_json_set(object, "data", cJSON_Duplicate(cJSON_GetArrayItem(p->parts, (int)p->at), 1));
	p->call = ao_config_map_apply(archive->kube, archive->namespace_, archive->manifest->field_manager, object, on_put, archive);
}

int ao_archive_put(ao_archive *archive, const char *digest, const ao_sources *sources, const cJSON *seen, ao_archive_put_fn fn, void *arg,
		   ao_err **reterr)
{
	int r = ao_archive_check(sources, seen, reterr);
	if (r == 0 && archive->putting)
		r = ao_err_set(reterr, -EBUSY, "another bundle is being written");
	if (r < 0)
		return r;
	ao_auto_json cJSON *parts = cut(sources, seen);
	ao_kept slots = {.count = 0};
	size_t count = (size_t)cJSON_GetArraySize(parts);
	if (count > AO_LEN(slots.slots) || !find_slots(archive, count, &slots))
		return ao_err_set(reterr, -ENOSPC, "there is no room for the texts of another bundle");
	putting *p = archive->putting = ao_xcalloc(1, sizeof(*p));
	*p = (putting){.parts = AO_TAKE(parts), .slots = slots, .digest = ao_xstrdup(digest), .fn = fn, .arg = arg};
	put_next(archive);
	return 0;
}

/* ---- and back ---- */

static void end_getting(getting *g, const ao_err *error)
{
	ao_auto_json cJSON *seen = NULL;
	ao_auto_err ao_err *err = NULL;
	char digest[AO_BUNDLE_DIGEST];
	if (!error && (!g->settings.data || ao_json_parse(g->settings.data, g->settings.len, &seen, NULL) < 0))
		ao_err_set(&err, -EINVAL, "its settings cannot be read");
	if (!error && !err) {
		ao_bundle_digest_of(&g->sources, seen, digest);
		if (strcmp(digest, g->digest) != 0)
			ao_err_set(&err, -EINVAL, "its ConfigMaps (%s-%u and on) hold something else", g->archive->prefix,
				   g->slots.slots[0]);
	}
	bool good = !error && !err;
	g->fn(g->arg, g->digest, good ? &g->sources : NULL, good ? seen : NULL, error ? error : err);
	free_getting(g);
}

/** A file that is there already goes on. */
static void append(ao_sources *sources, const char *name, const char *text, const char *origin)
{
	for (size_t i = 0; i < sources->count; i++) {
		const ao_source *file = &sources->items[i];
		if (strcmp(file->name, name) == 0) {
			ao_auto_str char *all = ao_xasprintf("%s%s", file->text, text);
			ao_sources_put(sources, name, all, strlen(all), origin);
			return;
		}
	}
	ao_sources_put(sources, name, text, strlen(text), origin);
}

static void get_next(getting *g);

static void on_got(void *arg, const ao_kube_answer *answer)
{
	getting *g = arg;
	ao_auto_err ao_err *err = NULL;
	ao_auto_json cJSON *object = NULL;
	const cJSON *file;
	g->call = NULL;
	if (answer->error)
		ao_kube_answer_err(answer, "cannot read its texts", &err);
	else
		ao_json_parse(answer->body, answer->body_len, &object, &err);
	if (err) {
		end_getting(g, err);
		return;
	}
	ao_auto_str char *origin = ao_xasprintf("configmap %s/%s", g->archive->namespace_, ao_json_str(object, "metadata", "name"));
	cJSON_ArrayForEach (file, ao_json_at(object, "data"))
		if (cJSON_IsString(file) && strcmp(file->string, SETTINGS) == 0) {
			ao_buf_put(&g->settings, file->valuestring, strlen(file->valuestring));
		} else if (cJSON_IsString(file)) {
			ao_auto_str char *name = file_of(file->string);
			append(&g->sources, name, file->valuestring, origin);
		}
	if (++g->at < g->slots.count)
		get_next(g);
	else
		end_getting(g, NULL);
}

static void get_next(getting *g)
{
	const ao_archive *archive = g->archive;
	/* a bundle that no record says is kept asks for a name that nobody has: the answer comes the usual way */
	ao_auto_str char *name =
	    g->slots.count ? name_of(archive, g->slots.slots[g->at]) : ao_xasprintf("%s-%s", archive->prefix, g->digest);
	ao_auto_str char *path = ao_resource_path(&ao_config_maps, archive->namespace_, name, NULL);
	g->call = ao_kube_send(
	    archive->kube,
	    &(ao_kube_request){
		.method = "GET", .path = path, .object = {&ao_config_maps, archive->namespace_, name, NULL}, .fn = on_got, .arg = g});
}

void ao_archive_get(ao_archive *archive, const char *digest, ao_archive_get_fn fn, void *arg)
{
	const ao_kept *kept = ao_map_get(archive->kept, digest), none = {.count = 0};
	getting *g = ao_xcalloc(1, sizeof(*g));
	*g = (getting){.next = archive->getting,
		       .archive = archive,
		       .settings = ao_buf_init(AO_ARCHIVE_MAX),
		       .slots = kept ? *kept : none,
		       .digest = ao_xstrdup(digest),
		       .fn = fn,
		       .arg = arg};
	archive->getting = g;
	get_next(g);
}
