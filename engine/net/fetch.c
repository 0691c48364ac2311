/* fetch.c -- one request a hop; each answer is a file, a way on, or the end. */
#include "net/fetch.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/sha256.h"
#include "base/utf8.h"
#include "net/http.h"

#include <curl/curl.h>
#include <string.h>
#include <strings.h>

#define MAX_REDIRECTS 5
#define SILENCE_MS 15000
#define MAX_SAID 200 /* bytes of an error page that are shown */

struct ao_fetch {
	ao_fetch_request with; /* texts are our own */
	ao_http *http;
	ao_timer *timer; /* tells of an error that came at once */
	char *origin;    /* of the URL: who may see the token */
	char *url;       /* of this hop */
	uint64_t until_ms;
	unsigned redirects;
};

static void free_text(const char *text) { free((void *)(uintptr_t)text); }

void ao_fetch_cancel(ao_fetch *f)
{
	if (!f)
		return;
	ao_http_free(f->http);
	ao_timer_free(f->timer);
	ao_secret_free((char *)(uintptr_t)f->with.token);
	free_text(f->with.url);
	free_text(f->with.accept);
	free_text(f->with.sha256);
	free_text(f->with.ca_pem);
	free(f->origin);
	free(f->url);
	free(f);
}

static void finish(ao_fetch *f, const ao_fetched *fetched)
{
	f->with.fn(f->with.arg, fetched);
	ao_fetch_cancel(f);
}

static void fail(ao_fetch *f, int error, long retry_after_s, const char *why)
{
	ao_auto_str char *message = ao_xasprintf("%s: %s", f->origin ? f->with.url : "the URL", why);
	finish(f, &(ao_fetched){.error = error, .message = message, .retry_after_s = retry_after_s});
}

/* ---- addresses ---- */

static char *part(CURLU *u, CURLUPart what, unsigned flags)
{
	char *text = NULL;
	return curl_url_get(u, what, &text, flags) == CURLUE_OK ? text : NULL;
}

/** "https://host:port" in one spelling. @return NULL when the URL is none that we would ask; the caller frees */
static char *origin_of(const char *url)
{
	CURLU *u = curl_url();
	char *origin = NULL, *scheme = NULL, *host = NULL, *port = NULL, *user = NULL;
	if (curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK) {
		scheme = part(u, CURLUPART_SCHEME, 0);
		host = part(u, CURLUPART_HOST, 0);
		port = part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT);
		user = part(u, CURLUPART_USER, 0);
	}
	if (scheme && host && port && !user && strcasecmp(scheme, "https") == 0)
		origin = ao_xasprintf("https://%s:%s", host, port);
	for (char *c = origin; c && *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_free(user);
	curl_url_cleanup(u);
	return origin;
}

/* ---- one hop ---- */

static void on_answer(void *arg, const ao_http_response *response);

static void ask(ao_fetch *f, const char *origin)
{
	bool trusted = f->with.token && strcmp(origin, f->origin) == 0;
	ao_auto_secret char *authorization = trusted ? ao_xasprintf("Authorization: Bearer %s", f->with.token) : NULL;
	ao_auto_str char *accept = ao_xasprintf("Accept: %s", f->with.accept);
	const char *const headers[] = {accept, authorization, NULL};
	uint64_t now = ao_mono_ms();
	ao_http_send(f->http, &(ao_http_request){.method = "GET",
						 .url = f->url,
						 .headers = headers,
						 .timeout_ms = f->until_ms > now ? f->until_ms - now : 1,
						 .silence_ms = SILENCE_MS,
						 .max_body = f->with.max_size,
						 .on_done = on_answer,
						 .arg = f});
}

static void follow(ao_fetch *f, const char *location)
{
	ao_auto_str char *origin = origin_of(location), *why = NULL;
	if (!*location)
		why = ao_xstrdup("redirected to nowhere");
	else if (!origin && strchr(location, '@'))
		why = ao_xstrdup("redirected to an address that may hold a password");
	else if (!origin)
		why = ao_xasprintf("redirected to %.*s, and only https is followed", (int)strcspn(location, "?"), location);
	else if (++f->redirects > MAX_REDIRECTS)
		why = ao_xasprintf("redirected more than %d times", MAX_REDIRECTS);
	if (why) {
		fail(f, -EPROTO, -1, why);
		return;
	}
	free(f->url);
	f->url = ao_xstrdup(location);
	ask(f, origin);
}

/** The beginning of an error page, on one line. */
static char *said(const ao_http_response *response)
{
	size_t len = 0;
	ao_auto_str char *text = ao_xstrndup(response->body, response->body_len < MAX_SAID ? response->body_len : MAX_SAID);
	for (size_t n; text[len] && (n = ao_utf8_len(text + len, 4)); len += n)
		if ((unsigned char)text[len] < ' ' || text[len] == 0x7f)
			text[len] = ' ';
	text[len] = '\0';
	return ao_xasprintf("HTTP %ld%s%s", response->status, len && text[strspn(text, " ")] ? ": " : "", text + strspn(text, " "));
}

static void refuse(ao_fetch *f, const ao_http_response *response)
{
	ao_auto_str char *why = said(response);
	int error = response->status == 404 || response->status == 410   ? -ENOENT
		    : response->status == 401 || response->status == 403 ? -EPERM
									 : -EIO;
	fail(f, error, response->retry_after_s, why);
}

static void take(ao_fetch *f, const ao_http_response *response)
{
	char found[AO_SHA256_HEX];
	ao_auto_str char *why = NULL;
	ao_sha256(response->body, response->body_len, found);
	if (f->with.sha256 && strcmp(f->with.sha256, found) != 0)
		why = ao_xasprintf("the file is not the wanted one: wanted SHA-256 %s, found %s", f->with.sha256, found);
	else if (!response->body_len)
		why = ao_xstrdup("the file is empty");
	else if (!ao_utf8_is_text(response->body, response->body_len))
		why = ao_xstrdup("the file is not UTF-8 text");
	if (why)
		fail(f, -EPROTO, -1, why);
	else
		finish(f, &(ao_fetched){.text = response->body, .len = response->body_len, .sha256 = found, .retry_after_s = -1});
}

static void on_answer(void *arg, const ao_http_response *response)
{
	ao_fetch *f = arg;
	if (response->error == -E2BIG) {
		ao_auto_str char *why = ao_xasprintf("the answer is larger than %zu bytes", f->with.max_size);
		fail(f, -E2BIG, -1, why);
	} else if (response->error) {
		fail(f, response->error, -1, response->error_text);
	} else if (response->status / 100 == 3) {
		follow(f, response->location);
	} else if (response->status == 200) {
		take(f, response);
	} else {
		refuse(f, response);
	}
}

/* ---- the beginning ---- */

static void on_timer(void *arg)
{
	ao_fetch *f = arg;
	fail(f, -EINVAL, -1, f->origin ? "libcurl cannot be used" : "must begin with https:// and hold no password");
}

ao_fetch *ao_fetch_start(const ao_fetch_request *request)
{
	ao_fetch *f = ao_xcalloc(1, sizeof(*f));
	f->with = *request;
	f->with.url = ao_xstrdup(request->url);
	f->with.token = ao_xstrdup(request->token);
	f->with.accept = ao_xstrdup(request->accept ? request->accept : "application/octet-stream");
	f->with.sha256 = ao_xstrdup(request->sha256);
	f->with.ca_pem = ao_xstrdup(request->ca_pem);
	f->url = ao_xstrdup(request->url);
	f->origin = origin_of(request->url);
	f->until_ms = ao_mono_ms() + request->timeout_ms;
	f->timer = ao_timer_new(request->loop, on_timer, f);
	ao_http_options options = {.ca_pem = f->with.ca_pem, .user_agent = "asya-operator", .http1 = true};
	if (f->origin && ao_http_new(request->loop, &options, &f->http, NULL) == 0)
		ask(f, f->origin);
	else
		ao_timer_start(f->timer, 0);
	return f;
}
