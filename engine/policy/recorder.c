/* recorder.c -- writes a temporary file and renames it; counts what the files take, and removes the oldest. */
#include "policy/recorder.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "policy/manifest.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 4096 /* a file takes whole blocks of the disk */

/** Each record begins like this, and nobody else's file does. */
static const char HEAD[] = "{\n  \"version\": 1,\n  \"operator\": ";

struct ao_recorder {
	char *dir;
	uint64_t limit, used;       /* used: by the last look, and what was written since */
	bool several, looked, said; /* said: the log tells that nothing can be written */
};

typedef struct file {
	char *path;
	uint64_t size;
	struct timespec changed;
} file;

typedef struct files {
	file *at;
	size_t count, room;
	uint64_t size;
} files;

ao_recorder *ao_recorder_new(const char *dir, uint64_t limit, bool several)
{
	ao_recorder *r = ao_xcalloc(1, sizeof(*r));
	r->dir = ao_xstrdup(dir);
	r->limit = limit;
	r->several = several;
	return r;
}

void ao_recorder_free(ao_recorder *r)
{
	if (!r)
		return;
	free(r->dir);
	free(r);
}

static uint64_t on_disk(uint64_t bytes) { return (bytes + BLOCK - 1) / BLOCK * BLOCK; }

static bool ends_with(const char *name, const char *end)
{
	size_t len = strlen(name), tail = strlen(end);
	return len > tail && strcmp(name + len - tail, end) == 0;
}

/** A regular file that begins as a record does. No link is followed, and no pipe is waited for. */
static bool is_record(const char *path, struct stat *ret)
{
	char head[sizeof(HEAD)] = "";
	FILE *stream = lstat(path, ret) == 0 && S_ISREG(ret->st_mode) ? fopen(path, "re") : NULL;
	bool is = stream && fread(head, 1, sizeof(HEAD) - 1, stream) == sizeof(HEAD) - 1 && strcmp(head, HEAD) == 0;
	if (stream)
		fclose(stream);
	return is;
}

static int by_age(const void *a, const void *b)
{
	const struct timespec *x = &((const file *)a)->changed, *y = &((const file *)b)->changed;
	if (x->tv_sec != y->tv_sec)
		return x->tv_sec < y->tv_sec ? -1 : 1;
	return x->tv_nsec < y->tv_nsec ? -1 : x->tv_nsec > y->tv_nsec;
}

static void files_clear(files *all)
{
	for (size_t i = 0; i < all->count; i++)
		free(all->at[i].path);
	free(all->at);
}

/** Our files, the oldest first. A write that a crash has cut is one of them. */
static void look(const ao_recorder *r, files *ret)
{
	DIR *dir = opendir(r->dir);
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		struct stat st;
		if (!ends_with(entry->d_name, ".json") && !ends_with(entry->d_name, ".json.new"))
			continue;
		ao_auto_str char *path = ao_xasprintf("%s/%s", r->dir, entry->d_name);
		if (!is_record(path, &st))
			continue;
		if (ret->count == ret->room) {
			ret->room = ret->room ? 2 * ret->room : 64;
			ret->at = ao_xrealloc(ret->at, ret->room * sizeof(*ret->at));
		}
		ret->size += on_disk((uint64_t)st.st_size);
		ret->at[ret->count++] = (file){AO_TAKE(path), on_disk((uint64_t)st.st_size), st.st_mtim};
	}
	if (dir)
		closedir(dir);
	if (ret->count)
		qsort(ret->at, ret->count, sizeof(*ret->at), by_age);
}

/** An eighth is for the directory itself. @return whether `more` bytes may be written now */
static bool make_room(ao_recorder *r, uint64_t more)
{
	uint64_t most = r->limit / 8 * 7;
	if (more > most)
		return false;
	if (r->looked && r->used + more <= most)
		return true;
	files all = {0};
	look(r, &all);
	r->used = all.size;
	r->looked = true;
	/* the next look is some writes away */
	uint64_t goal = r->used + more > most && more < most / 4 * 3 ? most / 4 * 3 : most;
	for (size_t i = 0; i < all.count && r->used + more > goal; i++)
		if (unlink(all.at[i].path) == 0)
			r->used -= all.at[i].size;
	files_clear(&all);
	return r->used + more <= most;
}

/** @return 0, or an errno */
static int write_file(const char *path, const char *text)
{
	ao_auto_str char *beside = ao_xasprintf("%s.new", path);
	unlink(beside); /* and "x": whatever is there is not written through */
	FILE *stream = fopen(beside, "wxe");
	if (!stream)
		return errno;
	int r = fputs(text, stream) < 0 ? errno : 0;
	if (fclose(stream) != 0 && r == 0)
		r = errno;
	if (r == 0 && rename(beside, path) < 0)
		r = errno;
	if (r)
		unlink(beside);
	return r;
}

static int put_text(ao_recorder *r, const char *path, const char *text)
{
	struct stat st;
	uint64_t more = on_disk(strlen(text));
	if (!make_room(r, more))
		return EDQUOT;
	uint64_t less = lstat(path, &st) == 0 && S_ISREG(st.st_mode) ? on_disk((uint64_t)st.st_size) : 0;
	int code = write_file(path, text);
	if (code == 0)
		r->used = r->used + more > less ? r->used + more - less : 0;
	else
		r->looked = false;
	return code;
}

void ao_recorder_put(ao_recorder *r, ao_bundle *bundle, const cJSON *snapshot)
{
	ao_auto_json cJSON *record = ao_record_make(bundle, snapshot);
	const char *namespace_ = ao_json_str(snapshot, "parent", "metadata", "namespace"),
		   *name = ao_json_str(snapshot, "parent", "metadata", "name");
	const char *kind = r->several ? ao_manifest_debug_path(ao_bundle_manifest(bundle)) : NULL;
	ao_auto_str char *text = ao_json_pretty(record),
			 *key = ao_xasprintf("%s%s%s", namespace_ ? namespace_ : "", namespace_ ? "/" : "", name ? name : "");
	ao_auto_str char *file_name =
	    ao_xasprintf("%s%s%s%s.json", kind ? kind : "", kind ? "_" : "", key, ao_json_at(record, "error") ? ".failed" : "");
	for (char *c = file_name; *c; c++)
		if (*c == '/')
			*c = '_';
	ao_auto_str char *path = ao_xasprintf("%s/%s", r->dir, file_name);
	int code = put_text(r, path, text);
	if (code && !r->said)
		ao_warn(AO_CORE, key, "cannot record to %s: %s; records that cannot be written are left out until one can be", path,
			code == EDQUOT ? "there is no room below the limit" : strerror(code));
	r->said = code != 0;
}

void ao_recorder_list(const ao_recorder *r, const char *before, ao_buf *out)
{
	files all = {0};
	look(r, &all);
	for (size_t i = 0; i < all.count; i++)
		if (ends_with(all.at[i].path, ".json"))
			ao_buf_printf(out, "%s%s\n", before, all.at[i].path + strlen(r->dir) + 1);
	files_clear(&all);
}

int ao_recorder_read(const ao_recorder *r, const char *name, ao_buf *out, ao_err **reterr)
{
	struct stat st;
	ao_auto_str char *path = ao_xasprintf("%s/%s", r->dir, name);
	if (strchr(name, '/') || !ends_with(name, ".json") || !is_record(path, &st))
		return ao_err_set(reterr, -ENOENT, "no such record");
	return ao_file_read(path, out, reterr);
}
