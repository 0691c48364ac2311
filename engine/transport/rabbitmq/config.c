/* config.c -- the shape is a table; what a table cannot say (hosts, TLS) follows it. */
#include "transport/rabbitmq/config.h"

#include "base/buf.h"
#include "base/mem.h"
#include "transport/rabbitmq/amqp_tls.h"
#include "transport/shape.h"
#include "json/json.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PORT 65535
#define MAX_HEARTBEAT 3600
#define MAX_IDLE 86400
#define MAX_PLACE 16384

static const ao_shape SECRET_REF[] = {AO_SHAPE("name", TEXT), AO_SHAPE("key", TEXT), AO_SHAPE("optional", BOOL), {0}};
static const ao_shape TLS[] = {
    AO_SHAPE("enabled", BOOL),
    AO_SHAPE("serverName", TEXT),
    AO_SHAPE("insecureSkipVerify", BOOL),
    AO_SHAPE("caSecretRef", OBJECT, .fields = SECRET_REF),
    AO_SHAPE("certSecretRef", OBJECT, .fields = SECRET_REF),
    AO_SHAPE("keySecretRef", OBJECT, .fields = SECRET_REF),
    AO_SHAPE("*SecretRef", OBJECT, .fields = SECRET_REF),
    {0},
};
static const ao_shape MANAGEMENT[] = {
    AO_SHAPE("url", TEXT),
    AO_SHAPE("insecureSkipVerify", BOOL),
    AO_SHAPE("*SecretRef", OBJECT, .fields = SECRET_REF),
    {0},
};
static const ao_shape DLQ[] = {
    AO_SHAPE("enabled", BOOL),
    AO_SHAPE("maxRetryCount", UINT),
    AO_SHAPE("retentionDays", UINT),
    {0},
};
static const ao_shape QUEUES[] = {
    AO_SHAPE("autoCreate", BOOL),     AO_SHAPE("forceRecreate", BOOL),        AO_SHAPE("type", TEXT),
    AO_SHAPE("deletionPolicy", TEXT), AO_SHAPE("dlq", OBJECT, .fields = DLQ), {0},
};
static const ao_shape FIELDS[] = {
    AO_SHAPE("host", TEXT),
    AO_SHAPE("hosts", TEXTS),
    AO_SHAPE("port", UINT, .max = MAX_PORT),
    AO_SHAPE("username", TEXT),
    AO_SHAPE("passwordSecretRef", OBJECT, .fields = SECRET_REF),
    AO_SHAPE("*SecretRef", OBJECT, .fields = SECRET_REF),
    AO_SHAPE("exchange", TEXT),
    AO_SHAPE("vhost", TEXT),
    AO_SHAPE("heartbeat", UINT, .max = MAX_HEARTBEAT),
    AO_SHAPE("idleSeconds", UINT, .max = MAX_IDLE),
    AO_SHAPE("tls", OBJECT, .fields = TLS),
    AO_SHAPE("management", OBJECT, .fields = MANAGEMENT),
    AO_SHAPE("queues", OBJECT, .fields = QUEUES),
    {0},
};
static const ao_shape CONFIG = AO_SHAPE("config", OBJECT, .fields = FIELDS);

/* ---- hosts ---- */

static int wrong_host(const char *path, const char *text, ao_err **reterr)
{
	return ao_err_set(reterr, -EINVAL, "%s: \"%s\" is not a valid host; expected a name or an address, with :PORT if need be", path,
			  text);
}

static bool good_port(const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && n > 0 && n <= MAX_PORT;
}

/** One of "name", "name:port", "address", "[address]:port". */
static int add_host(ao_rabbit_config *c, const char *text, const char *port, const char *path, ao_err **reterr)
{
	size_t len;
	const char *colon = strchr(text, ':'), *own_port = NULL;
	if (strstr(text, "://"))
		return ao_err_set(reterr, -EINVAL, "%s: expected a host, not a URL; user, vhost and TLS have keys of their own", path);
	if (*text == '[') {
		len = strcspn(++text, "]");
		own_port = text[len] && text[len + 1] == ':' ? text + len + 2 : NULL;
		if (!text[len] || (text[len + 1] && !own_port))
			return wrong_host(path, text - 1, reterr);
	} else {
		own_port = colon && !strchr(colon + 1, ':') ? colon + 1 : NULL; /* several colons: an address of version 6 */
		len = own_port ? (size_t)(colon - text) : strlen(text);
	}
	if (!len || strcspn(text, " \t\r\n/@") < len || (own_port && !good_port(own_port)))
		return wrong_host(path, text, reterr);
	if (c->hosts == AO_RABBIT_MAX_HOSTS)
		return ao_err_set(reterr, -EINVAL, "%s: more than %d hosts", path, AO_RABBIT_MAX_HOSTS);
	c->at[c->hosts].host = ao_xstrndup(text, len);
	c->at[c->hosts++].port = ao_xstrdup(own_port ? own_port : port);
	return 0;
}

/** Both keys may be lists: `host` is split at commas, each of `hosts` stands for itself. */
static int add_hosts(ao_rabbit_config *c, const cJSON *config, const char *port, ao_err **reterr)
{
	ao_auto_str char *host = ao_shape_text(config, "host", "");
	char *rest = host, *each;
	int r = 0;
	while (r == 0 && *host && (each = strsep(&rest, ","))) {
		each += strspn(each, " ");
		for (size_t len = strlen(each); len && each[len - 1] == ' ';)
			each[--len] = '\0';
		r = add_host(c, each, port, "config.host", reterr);
	}
	const cJSON *item;
	size_t i = 0;
	cJSON_ArrayForEach (item, ao_json_at(config, "hosts")) {
		ao_auto_str char *path = ao_xasprintf("config.hosts[%zu]", i++);
		if (r == 0)
			r = add_host(c, cJSON_IsString(item) ? item->valuestring : "", port, path, reterr);
	}
	if (r == 0 && !c->hosts)
		r = ao_err_set(reterr, -EINVAL, "config.host: missing; name the broker's host");
	return r;
}

/* ---- the rest ---- */

static const char *secret(const cJSON *secrets, const char *name) { return secrets ? ao_json_str(secrets, name) : NULL; }

static char *non_empty(const cJSON *object, const char *key, const char *fallback)
{
	char *text = ao_shape_text(object, key, fallback);
	if (text && *text)
		return text;
	free(text);
	return ao_xstrdup(fallback);
}

static int read_tls(ao_rabbit_config *c, const cJSON *tls, const cJSON *secrets, ao_err **reterr)
{
	const char *ca = secret(secrets, "ca");
	c->ca = ao_xstrdup(ca);
	if (!tls || cJSON_IsNull(tls) || !ao_shape_bool(tls, "enabled", true))
		return 0;
	c->server_name = non_empty(tls, "serverName", NULL);
	return ao_amqp_tls_new(ca, secret(secrets, "cert"), secret(secrets, "key"), ao_shape_bool(tls, "insecureSkipVerify", false),
			       &c->tls, reterr);
}

static int read_management(ao_rabbit_config *c, const cJSON *management, ao_err **reterr)
{
	char *url = c->management_url = non_empty(management, "url", NULL);
	c->management_insecure = ao_shape_bool(management, "insecureSkipVerify", false);
	if (!url)
		return 0;
	if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
		return ao_err_set(reterr, -EINVAL, "config.management.url: must begin with http:// or https://");
	if (strchr(url, '@') || strpbrk(url, "?# \t\r\n"))
		return ao_err_set(reterr, -EINVAL, "config.management.url: expected scheme, host, port and path only");
	size_t len = strlen(url);
	while (url[len - 1] == '/')
		url[--len] = '\0';
	return 0;
}

static int read_all(ao_rabbit_config *c, const cJSON *config, const cJSON *secrets, ao_err **reterr)
{
	const cJSON *tls = ao_json_at(config, "tls");
	int r = read_tls(c, tls, secrets, reterr);
	if (r < 0)
		return r;
	char port[8];
	int64_t number = ao_shape_uint(config, "port", 0);
	snprintf(port, sizeof(port), "%d", (int)(number ? number : c->tls ? 5671 : 5672));
	const char *password = secret(secrets, "password");
	c->username = non_empty(config, "username", "guest");
	c->password = ao_xstrdup(password ? password : "guest");
	c->vhost = non_empty(config, "vhost", "/");
	c->heartbeat_s = (unsigned)ao_shape_uint(config, "heartbeat", 20);
	c->idle_ms = (uint64_t)ao_shape_uint(config, "idleSeconds", 60) * 1000;
	if (strlen(c->vhost) > 255)
		return ao_err_set(reterr, -EINVAL, "config.vhost: longer than 255 bytes");
	r = add_hosts(c, config, port, reterr);
	return r < 0 ? r : read_management(c, ao_json_at(config, "management"), reterr);
}

int ao_rabbit_config_new(const cJSON *config, const cJSON *secrets, ao_rabbit_config **ret, ao_err **reterr)
{
	if (config && ao_json_at(config, "password"))
		return ao_err_set(reterr, -EINVAL,
				  "config.password: not here; put the password into a Secret and name it in passwordSecretRef");
	int r = ao_shape_check(config, &CONFIG, reterr);
	if (r < 0)
		return r;
	ao_rabbit_config *c = ao_xcalloc(1, sizeof(*c));
	r = read_all(c, config, secrets, reterr);
	if (r < 0)
		ao_rabbit_config_free(c);
	else
		*ret = c;
	return r;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/** The order of hosts says nothing, nor how often one is named, and names of hosts know no case. */
char *ao_rabbit_config_place(const cJSON *config)
{
	ao_rabbit_config *c = NULL;
	char *hosts[AO_RABBIT_MAX_HOSTS];
	ao_buf place = ao_buf_init(MAX_PLACE);
	if (ao_rabbit_config_new(config, NULL, &c, NULL) < 0)
		return NULL;
	for (size_t i = 0; i < c->hosts; i++) {
		hosts[i] = ao_xasprintf("%s:%s", c->at[i].host, c->at[i].port);
		for (char *at = hosts[i]; *at; at++)
			*at = (char)tolower((unsigned char)*at);
	}
	qsort(hosts, c->hosts, sizeof(*hosts), by_name);
	for (size_t i = 0; i < c->hosts; i++)
		if (i == 0 || strcmp(hosts[i], hosts[i - 1]) != 0)
			ao_buf_printf(&place, "%s ", hosts[i]);
	for (size_t i = 0; i < c->hosts; i++)
		free(hosts[i]);
	ao_buf_puts(&place, c->vhost);
	ao_rabbit_config_free(c);
	return ao_buf_steal(&place);
}

void ao_rabbit_config_free(ao_rabbit_config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->hosts; i++) {
		free(c->at[i].host);
		free(c->at[i].port);
	}
	if (c->password)
		explicit_bzero(c->password, strlen(c->password));
	SSL_CTX_free(c->tls);
	free(c->username);
	free(c->password);
	free(c->vhost);
	free(c->server_name);
	free(c->ca);
	free(c->management_url);
	free(c);
}
