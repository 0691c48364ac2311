/* management.c -- GET /api/queues/VHOST/NAME, one field of the answer. */
#include "transport/rabbitmq/management.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/http.h"
#include "json/json.h"

#include <string.h>

#define TIMEOUT_MS 5000
#define PAUSE_MS 30000 /* after a failure */
#define CONNECTIONS 4
#define MAX_ANSWER (256 * 1024)

struct ao_rabbit_management {
	const ao_rabbit_config *config;
	ao_http *http;
	char *userpwd;
	uint64_t pause_until;
	bool failing; /* and said so */
};

struct ao_rabbit_count {
	ao_rabbit_management *owner;
	ao_http_call *call;
	ao_rabbit_count_fn fn;
	void *arg;
};

ao_rabbit_management *ao_rabbit_management_new(ao_loop *loop, const ao_rabbit_config *config)
{
	if (!config->management_url)
		return NULL;
	ao_rabbit_management *m = ao_xcalloc(1, sizeof(*m));
	m->config = config;
	m->userpwd = ao_xasprintf("%s:%s", config->username, config->password);
	ao_http_options options = {.ca_pem = config->ca,
				   .insecure = config->management_insecure,
				   .user_agent = "asya-operator",
				   .max_streams = CONNECTIONS,
				   .http1 = true};
	ao_require(ao_http_new(loop, &options, &m->http, NULL) == 0);
	return m;
}

void ao_rabbit_management_free(ao_rabbit_management *m)
{
	if (!m)
		return;
	ao_http_free(m->http);
	explicit_bzero(m->userpwd, strlen(m->userpwd));
	free(m->userpwd);
	free(m);
}

static void put_escaped(ao_buf *url, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-_.~", c);
		ao_buf_printf(url, plain ? "%c" : "%%%02X", c);
	}
}

/** @return what is wrong with the answer, or NULL: then *ret is set. A queue that is new may have no figure yet. */
static char *read_answer(const ao_http_response *response, int64_t *ret)
{
	ao_auto_json cJSON *answer = NULL;
	if (response->error)
		return ao_xstrdup(response->error_text);
	if (response->status == 404)
		return NULL; /* it learns of queues a little later than AMQP */
	if (response->status != 200)
		return ao_xasprintf("HTTP status %ld", response->status);
	if (ao_json_parse(response->body, response->body_len, &answer, NULL) < 0)
		return ao_xstrdup("the answer is not JSON");
	ao_json_int(ao_json_at(answer, "messages_unacknowledged"), ret);
	return NULL;
}

static void on_answer(void *arg, const ao_http_response *response)
{
	ao_rabbit_count *count = arg;
	ao_rabbit_management *m = count->owner;
	ao_rabbit_count_fn fn = count->fn;
	void *fn_arg = count->arg;
	int64_t in_flight = -1;
	ao_auto_str char *trouble = read_answer(response, &in_flight);
	free(count);
	if (trouble) {
		m->pause_until = ao_mono_ms() + PAUSE_MS;
		if (!m->failing)
			ao_warn(AO_TRANSPORT, "rabbitmq", "management API %s: %s; messages in flight are not known",
				m->config->management_url, trouble);
	}
	m->failing = trouble != NULL;
	fn(fn_arg, in_flight); /* may free `m` */
}

ao_rabbit_count *ao_rabbit_management_count(ao_rabbit_management *m, const char *queue, uint64_t timeout_ms, ao_rabbit_count_fn fn,
					    void *arg)
{
	if (!m || ao_mono_ms() < m->pause_until)
		return NULL;
	ao_auto_buf ao_buf url = ao_buf_init(4096);
	ao_buf_printf(&url, "%s/api/queues/", m->config->management_url);
	put_escaped(&url, m->config->vhost);
	ao_buf_puts(&url, "/");
	put_escaped(&url, queue);
	if (url.overflow)
		return NULL;
	ao_rabbit_count *count = ao_xcalloc(1, sizeof(*count));
	*count = (ao_rabbit_count){.owner = m, .fn = fn, .arg = arg};
	count->call = ao_http_send(m->http, &(ao_http_request){.method = "GET",
							       .url = url.data,
							       .timeout_ms = timeout_ms < TIMEOUT_MS ? timeout_ms : TIMEOUT_MS,
							       .max_body = MAX_ANSWER,
							       .userpwd = m->userpwd,
							       .on_done = on_answer,
							       .arg = count});
	return count;
}

void ao_rabbit_management_cancel(ao_rabbit_count *count)
{
	ao_http_cancel(count->call);
	free(count);
}
