/* probes.c -- writes lists of checks as text, and runs the heartbeat. */
#include "serve/probes.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <string.h>

#define BEAT_MS 1000
#define LEASE_LIMIT_MS 5000 /* after the renew deadline; the process should have ended by then */

void ao_checks_add(ao_checks *checks, const char *name, char *failure, char *note)
{
	ao_require(checks->count < AO_CHECKS);
	checks->items[checks->count++] = (ao_check){name, failure, note};
}

void ao_checks_clear(ao_checks *checks)
{
	for (size_t i = 0; i < checks->count; i++) {
		free(checks->items[i].failure);
		free(checks->items[i].note);
	}
	*checks = (ao_checks){0};
}

/* ---- the query ---- */

/** The next "name" or "name=value" of a query. @return false at its end */
static bool next_parameter(const char **query, const char **name, size_t *name_len, const char **value, size_t *value_len)
{
	while (**query == '&')
		++*query;
	if (!**query)
		return false;
	size_t len = strcspn(*query, "&");
	const char *equals = memchr(*query, '=', len);
	*name = *query;
	*name_len = equals ? (size_t)(equals - *query) : len;
	*value = equals ? equals + 1 : *query + len;
	*value_len = equals ? len - *name_len - 1 : 0;
	*query += len;
	return true;
}

static bool same(const char *at, size_t len, const char *text) { return strlen(text) == len && memcmp(at, text, len) == 0; }

/** Does the query hold this parameter (with this value, unless NULL)? */
static bool has_parameter(const char *query, const char *wanted, const char *with)
{
	const char *name, *value;
	size_t name_len, value_len;
	while (next_parameter(&query, &name, &name_len, &value, &value_len))
		if (same(name, name_len, wanted) && (!with || same(value, value_len, with)))
			return true;
	return false;
}

/* ---- the answer ---- */

static bool put_check(const ao_check *check, bool excluded, ao_buf *out)
{
	if (excluded)
		ao_buf_printf(out, "[+]%s excluded: ok\n", check->name);
	else if (check->failure)
		ao_buf_printf(out, "[-]%s failed: %s\n", check->name, check->failure);
	else
		ao_buf_printf(out, "[+]%s ok\n", check->name);
	return excluded || !check->failure;
}

static const ao_check *find(const ao_checks *checks, const char *name, size_t len)
{
	for (size_t i = 0; i < checks->count; i++)
		if (same(name, len, checks->items[i].name))
			return &checks->items[i];
	return NULL;
}

/** Warns of wrong names as kube-apiserver does. Otherwise a typing error would look like a check that is excluded. */
static void warn_of_excludes(const ao_checks *checks, const char *query, ao_buf *out)
{
	const char *name, *value;
	size_t name_len, value_len;
	while (next_parameter(&query, &name, &name_len, &value, &value_len))
		if (same(name, name_len, "exclude") && !find(checks, value, value_len))
			ao_buf_printf(out, "warn: some health checks cannot be excluded: no matches for \"%.*s\"\n", (int)value_len, value);
}

static void reply_one(const ao_checks *checks, const char *probe, const char *name, ao_server_reply *reply)
{
	const ao_check *check = find(checks, name, strlen(name));
	if (check && !check->failure) {
		ao_buf_puts(&reply->body, "ok");
		return;
	}
	reply->status = check ? 500 : 404;
	if (check)
		ao_buf_printf(&reply->body, "internal server error: %s\n", check->failure);
	else
		ao_buf_printf(&reply->body, "no check of that name; /%s?verbose lists them\n", probe);
}

void ao_checks_reply(const ao_checks *checks, const char *probe, const char *rest, const char *query, ao_server_reply *reply)
{
	bool passed = true;
	ao_auto_buf ao_buf list = ao_buf_init(64 * 1024);
	if (*rest == '/')
		rest++;
	if (*rest && strcmp(rest, probe) != 0) {
		reply_one(checks, probe, rest, reply);
		return;
	}
	for (size_t i = 0; i < checks->count; i++) {
		const ao_check *check = &checks->items[i];
		passed &= put_check(check, has_parameter(query, "exclude", check->name), &list);
	}
	warn_of_excludes(checks, query, &list);
	for (size_t i = 0; i < checks->count; i++)
		if (checks->items[i].note)
			ao_buf_printf(&list, "note: %s: %s\n", checks->items[i].name, checks->items[i].note);
	ao_buf_printf(&list, "%s check %s\n", probe, passed ? "passed" : "failed");
	reply->status = passed ? 200 : 500;
	if (passed && !has_parameter(query, "verbose", NULL))
		ao_buf_puts(&reply->body, "ok");
	else
		ao_buf_put(&reply->body, list.data, list.len);
}

/* ---- the heartbeat ---- */

struct ao_heartbeat {
	ao_timer *timer;
	void (*on_beat)(void *arg, uint64_t late_ms);
	void *arg;
	uint64_t due_ms, late_ms;
};

static uint64_t past(uint64_t due_ms)
{
	uint64_t now = ao_mono_ms();
	return now > due_ms ? now - due_ms : 0;
}

static void start(ao_heartbeat *heartbeat)
{
	heartbeat->due_ms = ao_mono_ms() + BEAT_MS;
	ao_timer_start(heartbeat->timer, BEAT_MS);
}

static void beat(void *arg)
{
	ao_heartbeat *heartbeat = arg;
	heartbeat->late_ms = past(heartbeat->due_ms);
	start(heartbeat);
	if (heartbeat->on_beat)
		heartbeat->on_beat(heartbeat->arg, heartbeat->late_ms);
}

ao_heartbeat *ao_heartbeat_new(ao_loop *loop, void (*on_beat)(void *arg, uint64_t late_ms), void *arg)
{
	ao_heartbeat *heartbeat = ao_xcalloc(1, sizeof(*heartbeat));
	*heartbeat = (ao_heartbeat){.timer = ao_timer_new(loop, beat, heartbeat), .on_beat = on_beat, .arg = arg};
	start(heartbeat);
	return heartbeat;
}

void ao_heartbeat_free(ao_heartbeat *heartbeat)
{
	if (!heartbeat)
		return;
	ao_timer_free(heartbeat->timer);
	free(heartbeat);
}

uint64_t ao_heartbeat_late_ms(const ao_heartbeat *heartbeat)
{
	uint64_t now = past(heartbeat->due_ms);
	return now > heartbeat->late_ms ? now : heartbeat->late_ms;
}

void ao_checks_add_health(ao_checks *checks, uint64_t late_ms, uint64_t lease_overdue_ms)
{
	char *loop = NULL, *lease = NULL;
	if (late_ms > AO_LAG_LIMIT_MS)
		loop = ao_xasprintf("the last heartbeat came %llu ms late, more than %d ms", (unsigned long long)late_ms, AO_LAG_LIMIT_MS);
	if (lease_overdue_ms > LEASE_LIMIT_MS)
		lease = ao_xasprintf("leading, but the lease should have been renewed %llu ms ago", (unsigned long long)lease_overdue_ms);
	ao_checks_add(checks, "ping", NULL, NULL);
	ao_checks_add(checks, "loop", loop, NULL);
	ao_checks_add(checks, "lease", lease, NULL);
}
