/* setting_files.c -- one entry for each setting.  Its id says what is asked for: a setting with a new id gets a new entry. */
#include "policy/setting_files.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/sha256.h"
#include "base/utf8.h"
#include "loop/backoff.h"
#include "loop/file_watch.h"
#include "net/fetch.h"
#include "json/json.h"

#include <stdlib.h>
#include <string.h>

#define MAX_FILE (256 * 1024) /* the longest string a policy may hold; a ConfigMap could take 1 MiB */
#define MAX_TOKEN (64 * 1024)
#define MAX_CA (1024 * 1024)
#define MAX_RELEASE (1024 * 1024)
#define SYSTEM_CA "/etc/ssl/certs/ca-certificates.crt"
#define FETCH_MS 30000
#define LOOK_MS 2000
#define FIRST_MS 1000
#define MAX_MS 300000
#define MAX_ASKED_MS 3600000 /* of a Retry-After */
#define SETTLE_MS 2000

typedef struct entry {
	ao_setting_files *files;
	char *setting, *label, *id, *path, *url, *token_file, *token_env, *ca_file, *wrong, *hint;
	char *release;
	bool pinned, has_token;
	char sha256[AO_SHA256_HEX]; /* of the pin */
	char *text;                 /* NULL: not there */
	char found[AO_SHA256_HEX];  /* of the text */
	char *trouble;              /* said last; NULL: all is well */
	ao_fetch *fetch;
	ao_timer *timer; /* the next attempt at a URL */
	ao_file_watch *watch;
	unsigned failures;
} entry;

struct ao_setting_files {
	ao_setting_files_options with;
	ao_map *entries; /* setting -> entry */
	bool started;
	uint64_t started_ms;
};

static void free_entry(entry *e)
{
	ao_fetch_cancel(e->fetch);
	ao_timer_free(e->timer);
	ao_file_watch_free(e->watch);
	char *const texts[] = {e->setting, e->label, e->id,   e->path,    e->url,  e->token_file, e->token_env,
			       e->ca_file, e->wrong, e->hint, e->release, e->text, e->trouble};
	for (size_t i = 0; i < AO_LEN(texts); i++)
		free(texts[i]);
	free(e);
}

/* ---- what people are told ---- */

static void news(const entry *e, bool warning, const char *reason, const char *note)
{
	if (e->files->with.on_news)
		e->files->with.on_news(e->files->with.arg, warning, reason, note);
}

static void count(const entry *e, const char *result)
{
	if (e->files->with.on_read)
		e->files->with.on_read(e->files->with.arg, e->setting, result);
}

void ao_setting_files_each(const ao_setting_files *files, void (*fn)(void *arg, const char *setting, bool there), void *arg)
{
	size_t cursor = 0;
	for (const entry *e; files->started && (e = ao_map_next(files->entries, &cursor, NULL));)
		fn(arg, e->setting, e->text != NULL);
}

/** Logs a failure once, but sends an Event each time, because the server forgets Events after an hour. */
static void failed(entry *e, const char *why)
{
	ao_auto_str char *note = ao_xasprintf("%s: %s; %s", e->label, why,
					      e->text ? "the file that was read before is still used" : "what is there stays as it is");
	count(e, "error");
	news(e, true, "FileMissing", note);
	if (!e->trouble || strcmp(e->trouble, why) != 0)
		ao_warn(AO_CORE, NULL, "%s", note);
	free(e->trouble);
	e->trouble = ao_xstrdup(why);
}

static void succeeded(entry *e, const char *text)
{
	bool recovered = e->trouble != NULL;
	free(e->trouble);
	e->trouble = NULL;
	free(e->text);
	e->text = ao_xstrdup(text);
	ao_sha256(text, strlen(text), e->found);
	ao_auto_str char *note =
	    ao_xasprintf("%s: read %s, %zu bytes, SHA-256 %s", e->label, e->url ? e->url : e->path, strlen(text), e->found);
	ao_info(AO_CORE, NULL, "%s", note);
	count(e, "ok");
	if (recovered)
		news(e, false, "FileRead", note);
}

/* ---- a path ---- */

static int read_path(const char *path, char **ret, ao_err **reterr)
{
	ao_auto_buf ao_buf content = ao_buf_init(MAX_FILE);
	int r = ao_file_read(path, &content, reterr);
	if (r < 0)
		return r;
	if (!content.len || !ao_utf8_is_text(content.data, content.len))
		return ao_err_set(reterr, -EINVAL, "%s is %s", path, content.len ? "not UTF-8 text" : "empty");
	*ret = ao_buf_steal(&content);
	return 0;
}

/** @return true when the text of the entry has changed */
static bool look_at_path(entry *e)
{
	ao_auto_str char *text = NULL;
	ao_auto_err ao_err *err = NULL;
	int r = read_path(e->path, &text, &err);
	if (r < 0) {
		if (e->files->started)
			failed(e, ao_err_text(err));
		return false;
	}
	if (e->text && strcmp(e->text, text) == 0 && !e->trouble)
		return false;
	bool changed = !e->text || strcmp(e->text, text) != 0;
	succeeded(e, text);
	return changed;
}

static void on_path(void *arg)
{
	entry *e = arg;
	if (look_at_path(e))
		e->files->with.on_change(e->files->with.arg);
}

/* ---- a URL ---- */

static bool leads_nowhere(const ao_fetched *fetched) { return fetched->error == -ENOENT || fetched->error == -EPERM; }

static void try_later(entry *e, const ao_fetched *fetched, const char *why);
static void on_listed(void *arg, const ao_fetched *fetched);

/** @param ret  the token, or NULL when there is none; free it with ao_secret_free() */
static int read_token(const entry *e, char **ret, ao_err **reterr)
{
	const char *in_env = e->token_env ? getenv(e->token_env) : NULL;
	ao_auto_buf ao_buf file = ao_buf_init(MAX_TOKEN);
	int r = e->token_file ? ao_file_read(e->token_file, &file, reterr) : 0;
	if (r < 0)
		return ao_err_wrap(reterr, "its token");
	ao_auto_secret char *token = e->token_file ? ao_buf_steal(&file) : ao_xstrdup(in_env && *in_env ? in_env : NULL);
	if (token && !ao_secret_clean(token))
		return ao_err_set(reterr, -EINVAL, "its token: %s holds no token", e->token_file ? e->token_file : e->token_env);
	*ret = AO_TAKE(token);
	return 0;
}

/** @param ret  the system's CAs and those of `ca_file`; NULL when there is no `ca_file`: the system's alone */
static int read_ca(const entry *e, char **ret, ao_err **reterr)
{
	const char *system = getenv("SSL_CERT_FILE");
	ao_auto_buf ao_buf pem = ao_buf_init(MAX_CA);
	if (!e->ca_file)
		return 0;
	if (ao_file_read(system && *system ? system : SYSTEM_CA, &pem, NULL) < 0)
		ao_buf_clear(&pem); /* the system has none: those of ca_file alone */
	ao_buf_puts(&pem, "\n");
	int r = ao_file_read(e->ca_file, &pem, reterr);
	if (r < 0)
		return ao_err_wrap(reterr, "its CAs");
	*ret = ao_buf_steal(&pem);
	return 0;
}

/** Fetches one URL. The token and the CAs are read again each time. */
static void start(entry *e, const char *url, const char *accept, void (*fn)(void *arg, const ao_fetched *fetched))
{
	ao_auto_secret char *token = NULL;
	ao_auto_str char *ca = NULL;
	ao_auto_err ao_err *err = NULL;
	if (read_token(e, &token, &err) < 0 || read_ca(e, &ca, &err) < 0) {
		try_later(e, NULL, ao_err_text(err));
		return;
	}
	e->has_token = token != NULL;
	e->fetch = ao_fetch_start(&(ao_fetch_request){.loop = e->files->with.loop,
						      .url = url,
						      .token = token,
						      .accept = accept,
						      .sha256 = e->pinned && fn != on_listed ? e->sha256 : NULL,
						      .ca_pem = ca,
						      .max_size = fn == on_listed ? MAX_RELEASE : MAX_FILE,
						      .timeout_ms = FETCH_MS,
						      .fn = fn,
						      .arg = e});
}

/** @param fetched  NULL when no request was sent */
static void try_later(entry *e, const ao_fetched *fetched, const char *why)
{
	uint64_t wait = ao_backoff_ms(FIRST_MS, MAX_MS, e->failures);
	uint64_t asked = fetched && fetched->retry_after_s > 0 ? (uint64_t)fetched->retry_after_s * 1000 : 0;
	if (asked > wait)
		wait = asked < MAX_ASKED_MS ? asked : MAX_ASKED_MS;
	e->failures += fetched != NULL;
	failed(e, why);
	ao_timer_start(e->timer, fetched ? wait : LOOK_MS * 5); /* a mounted token may come late */
}

static void on_end(void *arg, const ao_fetched *fetched)
{
	entry *e = arg;
	e->fetch = NULL;
	if (fetched->error) {
		bool check = leads_nowhere(fetched) && e->hint;
		ao_auto_str char *why = ao_xasprintf("%s%s%s", fetched->message, check ? "; check " : "", check ? e->hint : "");
		try_later(e, fetched, why);
		return;
	}
	succeeded(e, fetched->text);
	e->files->with.on_change(e->files->with.arg);
}

/** The URL of the file in a release. NULL when it is on another server, which must not see the token. The caller frees it. */
static char *find_asset(const entry *e, const ao_fetched *listed)
{
	ao_auto_json cJSON *release = NULL;
	const char *file = strrchr(e->url, '/') + 1;
	size_t scheme = strlen("https://"), host = scheme + strcspn(e->release + scheme, "/") + 1;
	const cJSON *asset;
	if (ao_json_parse(listed->text, listed->len, &release, NULL) < 0)
		return NULL;
	cJSON_ArrayForEach (asset, ao_json_at(release, "assets")) {
		const char *name = ao_json_str(asset, "name"), *url = ao_json_str(asset, "url");
		if (name && url && strcmp(name, file) == 0 && strncmp(url, e->release, host) == 0)
			return ao_xstrdup(url);
	}
	return NULL;
}

static void on_listed(void *arg, const ao_fetched *fetched)
{
	entry *e = arg;
	if (fetched->error) {
		on_end(e, fetched);
		return;
	}
	ao_auto_str char *url = find_asset(e, fetched);
	ao_auto_str char *why = ao_xasprintf("%s: the release has no file %s", e->release, strrchr(e->url, '/') + 1);
	e->fetch = NULL;
	if (url)
		start(e, url, NULL, on_end);
	else
		try_later(e, fetched, why);
}

static void on_direct(void *arg, const ao_fetched *fetched)
{
	entry *e = arg;
	if (!leads_nowhere(fetched) || !e->release || !e->has_token) {
		on_end(e, fetched);
		return;
	}
	e->fetch = NULL;
	start(e, e->release, "application/json", on_listed);
}

static void attempt(void *arg)
{
	entry *e = arg;
	start(e, e->url, NULL, on_direct);
}

/* ---- what is asked for ---- */

static void begin(entry *e)
{
	if (e->wrong) {
		failed(e, e->wrong);
	} else if (e->path) {
		look_at_path(e);
		e->watch = ao_file_watch_new(e->files->with.loop, e->path, LOOK_MS, on_path, e);
	} else {
		attempt(e);
	}
}

static const char *or_empty(const char *text) { return text ? text : ""; }

static entry *new_entry(ao_setting_files *files, const ao_file_wanted *w, char *id)
{
	entry *e = ao_xcalloc(1, sizeof(*e));
	*e = (entry){.files = files,
		     .setting = ao_xstrdup(w->setting),
		     .label = ao_xstrdup(w->label),
		     .id = id,
		     .path = ao_xstrdup(w->path),
		     .url = ao_xstrdup(w->url),
		     .token_file = ao_xstrdup(w->token_file),
		     .token_env = ao_xstrdup(w->token_env),
		     .ca_file = ao_xstrdup(w->ca_file),
		     .release = ao_xstrdup(w->release),
		     .wrong = ao_xstrdup(w->wrong),
		     .hint = ao_xstrdup(w->hint)};
	e->timer = ao_timer_new(files->with.loop, attempt, e);
	e->pinned = w->sha256 && ao_sha256_read(w->sha256, e->sha256);
	if (!e->wrong && w->sha256 && !e->pinned)
		e->wrong = ao_xasprintf("the checksum '%.80s' is not a valid SHA-256 of 64 hex digits", w->sha256);
	return e;
}

int ao_setting_files_get(ao_setting_files *files, const ao_file_wanted *w, char **ret, ao_err **reterr)
{
	*ret = NULL;
	if (!files)
		return w->path ? read_path(w->path, ret, reterr) : 0;
	char *id = ao_xasprintf("%s\n%s\n%s\n%s\n%s\n%s\n%s", or_empty(w->path), or_empty(w->url), or_empty(w->release),
				or_empty(w->sha256), or_empty(w->ca_file), or_empty(w->token_file), or_empty(w->wrong));
	entry *e = ao_map_get(files->entries, w->setting);
	if (e && strcmp(e->id, id) == 0) {
		free(id);
	} else {
		ao_setting_files_forget(files, w->setting);
		e = new_entry(files, w, id);
		ao_map_put(files->entries, e->setting, e);
		if (files->started)
			begin(e);
		else if (e->path && !e->wrong)
			look_at_path(e);
	}
	*ret = ao_xstrdup(e->text);
	return 0;
}

void ao_setting_files_forget(ao_setting_files *files, const char *setting)
{
	entry *e = files ? ao_map_remove(files->entries, setting) : NULL;
	if (e)
		free_entry(e);
}

ao_setting_files *ao_setting_files_new(const ao_setting_files_options *options)
{
	ao_setting_files *files = ao_xcalloc(1, sizeof(*files));
	files->with = *options;
	files->entries = ao_map_new();
	return files;
}

void ao_setting_files_free(ao_setting_files *files)
{
	if (!files)
		return;
	size_t cursor = 0;
	for (entry *e; (e = ao_map_next(files->entries, &cursor, NULL));)
		free_entry(e);
	ao_map_free(files->entries);
	free(files);
}

void ao_setting_files_start(ao_setting_files *files)
{
	size_t cursor = 0;
	if (files->started)
		return;
	files->started = true;
	files->started_ms = ao_mono_ms();
	for (entry *e; (e = ao_map_next(files->entries, &cursor, NULL));)
		begin(e);
}

bool ao_setting_files_settling(const ao_setting_files *files)
{
	size_t cursor = 0;
	bool busy = false;
	for (const entry *e; files && (e = ao_map_next(files->entries, &cursor, NULL));)
		busy = busy || (e->fetch && !e->failures);
	return busy && ao_mono_ms() - files->started_ms < SETTLE_MS;
}

bool ao_setting_files_missing(const ao_setting_files *files)
{
	size_t cursor = 0;
	for (const entry *e; files && (e = ao_map_next(files->entries, &cursor, NULL));)
		if (!e->text)
			return true;
	return false;
}

void ao_setting_files_tell(const ao_setting_files *files, ao_buf *out)
{
	size_t cursor = 0;
	for (const entry *e; files && (e = ao_map_next(files->entries, &cursor, NULL));)
		if (e->text)
			ao_buf_printf(out, "%s%s: %s, SHA-256 %s", out->len ? "; " : "", e->label, e->url ? e->url : e->path, e->found);
		else
			ao_buf_printf(out, "%s%s degraded: %s", out->len ? "; " : "", e->label,
				      e->trouble ? e->trouble : "waiting for its file");
}
