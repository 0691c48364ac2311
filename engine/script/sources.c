/* sources.c -- the files of a bundle in memory, by name.  They are so few that a list is searched from its start. */
#include "base/file.h"
#include "base/mem.h"
#include "script/bundle.h"
#include "script/embedded.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#define PROFILES "profiles" /* the folder of their folders */
#define MAX_FILES 256
#define MAX_FILE (1024 * 1024)
#define MAX_READINGS 5

static void clear_source(ao_source *source)
{
	free(source->name);
	free(source->text);
	free(source->origin);
}

static ao_source *place(ao_sources *sources, const char *name)
{
	for (size_t i = 0; i < sources->count; i++)
		if (strcmp(sources->items[i].name, name) == 0) {
			clear_source(&sources->items[i]);
			return &sources->items[i];
		}
	sources->items = ao_xrealloc(sources->items, (sources->count + 1) * sizeof(*sources->items));
	return &sources->items[sources->count++];
}

void ao_sources_put(ao_sources *sources, const char *name, const char *text, size_t len, const char *origin)
{
	char *copy = ao_xmalloc(len + 1);
	if (len)
		memcpy(copy, text, len);
	copy[len] = '\0';
	ao_source made = {.name = ao_xstrdup(name), .text = copy, .len = len, .origin = ao_xstrdup(origin)};
	*place(sources, name) = made;
}

char *ao_sources_profile_name(const char *profile, const char *name) { return ao_xasprintf(PROFILES "/%s/%s", profile, name); }

/** Is this the file of a profile that lies over `name`? */
static bool lies_over(const char *file, const char *name)
{
	const char *slash = strrchr(file, '/');
	return slash && strncmp(file, PROFILES "/", sizeof(PROFILES)) == 0 && strcmp(slash + 1, name) == 0;
}

void ao_sources_lay(ao_sources *sources, const char *name, const char *text, size_t len, const char *origin)
{
	size_t kept = 0;
	for (size_t i = 0; i < sources->count; i++)
		if (lies_over(sources->items[i].name, name))
			clear_source(&sources->items[i]);
		else
			sources->items[kept++] = sources->items[i];
	sources->count = kept;
	ao_sources_put(sources, name, text, len, origin);
}

/** Files without folder are laid first, because in one set those of profiles lie over them. */
void ao_sources_put_all(ao_sources *sources, const ao_sources *from)
{
	for (int profiles = 0; profiles < 2; profiles++)
		for (size_t i = 0; i < from->count; i++) {
			const ao_source *file = &from->items[i];
			if ((strchr(file->name, '/') != NULL) == (profiles == 1))
				ao_sources_lay(sources, file->name, file->text, file->len, file->origin);
		}
}

void ao_sources_builtin(ao_sources *sources)
{
	for (const ao_embedded *file = ao_embedded_policies; file->name; file++)
		ao_sources_put(sources, file->name, file->text, file->len, "built-in");
}

void ao_sources_clear(ao_sources *sources)
{
	for (size_t i = 0; i < sources->count; i++)
		clear_source(&sources->items[i]);
	free(sources->items);
	*sources = (ao_sources){0};
}

/** Follows links, because a mounted ConfigMap holds links into a hidden folder. */
static int is_source(const struct dirent *entry) { return entry->d_name[0] != '.'; }

/** @param profile  of a file in its folder, or NULL */
static int read_one(ao_sources *found, const char *folder, const char *profile, const char *name, ao_err **reterr)
{
	ao_auto_str char *path = ao_xasprintf("%s/%s", folder, name);
	ao_auto_str char *as = profile ? ao_sources_profile_name(profile, name) : ao_xstrdup(name);
	struct stat info;
	if (stat(path, &info) < 0)
		return ao_err_set(reterr, errno == ENOENT ? -ENOENT : -EIO, "%s: %s", path, strerror(errno));
	if (!S_ISREG(info.st_mode))
		return 0;
	if (found->count == MAX_FILES)
		return ao_err_set(reterr, -E2BIG, "%s: more than %d files", folder, MAX_FILES);
	ao_auto_buf ao_buf text = ao_buf_init(MAX_FILE);
	int r = ao_file_read(path, &text, reterr);
	if (r == 0)
		ao_sources_put(found, as, text.data, text.len, folder);
	return r;
}

static int read_folder(ao_sources *found, const char *path, const char *profile, ao_err **reterr)
{
	struct dirent **entries;
	int count = scandir(path, &entries, is_source, alphasort), r = 0;
	if (count < 0)
		return ao_err_set(reterr, errno == ENOENT || errno == ENOTDIR ? -ENOENT : -EIO, "%s: %s", path, strerror(errno));
	for (int i = 0; i < count; i++) {
		if (r == 0)
			r = read_one(found, path, profile, entries[i]->d_name, reterr);
		free(entries[i]);
	}
	free(entries);
	return r;
}

/** The folders of profiles, if there are any. */
static int read_profiles(ao_sources *found, const char *path, ao_err **reterr)
{
	ao_auto_str char *profiles = ao_xasprintf("%s/" PROFILES, path);
	struct dirent **entries;
	int count = scandir(profiles, &entries, is_source, alphasort), r = 0;
	for (int i = 0; i < count; i++) {
		ao_auto_str char *folder = ao_xasprintf("%s/%s", profiles, entries[i]->d_name);
		struct stat info;
		if (r == 0 && stat(folder, &info) == 0 && S_ISDIR(info.st_mode))
			r = read_folder(found, folder, entries[i]->d_name, reterr);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	return r;
}

/** In a mounted ConfigMap all files change at once, when this link is exchanged; zeros where there is none. */
static struct stat data_of(const char *path)
{
	struct stat info = {0};
	ao_auto_str char *data = ao_xasprintf("%s/..data", path);
	return lstat(data, &info) == 0 ? info : (struct stat){0};
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/** @param ret_whole  set to false when it was exchanged meanwhile: then what was read, or not found, may be of both */
static int read_all(ao_sources *found, const char *path, bool *ret_whole, ao_err **reterr)
{
	const struct stat before = data_of(path);
	int r = read_folder(found, path, NULL, reterr);
	if (r == 0)
		r = read_profiles(found, path, reterr);
	const struct stat after = data_of(path);
	*ret_whole = is_same(&before, &after);
	return r;
}

int ao_sources_dir(ao_sources *sources, const char *path, ao_err **reterr)
{
	for (int i = 0; i < MAX_READINGS; i++) {
		bool whole;
		ao_auto_sources ao_sources found = {0};
		ao_auto_err ao_err *err = NULL;
		int r = read_all(&found, path, &whole, &err);
		if (!whole)
			continue;
		if (r < 0)
			return ao_err_set(reterr, r, "%s", ao_err_text(err));
		ao_sources_put_all(sources, &found);
		return 0;
	}
	return ao_err_set(reterr, -EIO, "%s: it changes while it is read", path);
}
