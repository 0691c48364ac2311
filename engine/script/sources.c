/* sources.c -- the files of a bundle in memory, by name.  They are so few that a list is searched from its start. */
#include "base/file.h"
#include "base/mem.h"
#include "script/bundle.h"
#include "script/embedded.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_FILES 256
#define MAX_FILE (1024 * 1024)

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

void ao_sources_put_all(ao_sources *sources, const ao_sources *from)
{
	for (size_t i = 0; i < from->count; i++)
		ao_sources_put(sources, from->items[i].name, from->items[i].text, from->items[i].len, from->items[i].origin);
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

static int read_one(ao_sources *found, const char *folder, const char *name, ao_err **reterr)
{
	ao_auto_str char *path = ao_xasprintf("%s/%s", folder, name);
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
		ao_sources_put(found, name, text.data, text.len, folder);
	return r;
}

int ao_sources_dir(ao_sources *sources, const char *path, ao_err **reterr)
{
	struct dirent **entries;
	int count = scandir(path, &entries, is_source, alphasort);
	if (count < 0)
		return ao_err_set(reterr, errno == ENOENT || errno == ENOTDIR ? -ENOENT : -EIO, "%s: %s", path, strerror(errno));
	ao_auto_sources ao_sources found = {0};
	int r = 0;
	for (int i = 0; i < count; i++) {
		if (r == 0)
			r = read_one(&found, path, entries[i]->d_name, reterr);
		free(entries[i]);
	}
	free(entries);
	for (size_t i = 0; r == 0 && i < found.count; i++)
		ao_sources_put(sources, found.items[i].name, found.items[i].text, found.items[i].len, path);
	return r;
}
