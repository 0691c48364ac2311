/* auth.c -- keeps a token and the time when it was read; a plugin keeps its own. */
#include "kube/auth.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "kube/plugin.h"

#include <string.h>

#define TOKEN_LIFE_MS 60000
#define FIRST_TOKEN_MS 1000
#define MAX_TOKEN (64 * 1024)

struct ao_auth {
	const ao_kubeconfig *config;
	unsigned owners;
	ao_plugin *plugin; /* or NULL */
	ao_auth_waiter *waiters;
	char *token;      /* the last good token of the file */
	uint64_t read_ms; /* when the file was last tried; 0: it must be read now */
	bool failed;      /* ... and could not be used; this is logged once */
};

static void plugin_ended(void *arg)
{
	const ao_auth *auth = arg;
	for (const ao_auth_waiter *waiter = auth->waiters; waiter; waiter = waiter->next)
		waiter->fn(waiter->arg);
}

ao_auth *ao_auth_new(ao_loop *loop, const ao_kubeconfig *config)
{
	ao_auth *auth = ao_xcalloc(1, sizeof(*auth));
	auth->config = config;
	auth->owners = 1;
	if (config->plugin)
		auth->plugin = ao_plugin_new(loop, config->plugin, plugin_ended, auth);
	return auth;
}

ao_auth *ao_auth_share(ao_auth *auth)
{
	auth->owners++;
	return auth;
}

void ao_auth_free(ao_auth *auth)
{
	if (!auth || --auth->owners)
		return;
	ao_plugin_free(auth->plugin);
	ao_secret_free(auth->token);
	free(auth);
}

static const char *current(const ao_auth *auth) { return auth->token ? auth->token : auth->config->token; }

static void read_file(ao_auth *auth)
{
	const char *path = auth->config->token_file;
	ao_auto_buf ao_buf text = ao_buf_init(MAX_TOKEN);
	ao_auto_err ao_err *err = NULL;
	auth->read_ms = ao_mono_ms();
	int r = ao_file_read(path, &text, &err);
	ao_auto_secret char *token = ao_buf_steal(&text);
	if (r == 0 && !ao_secret_clean(token))
		r = ao_err_set(&err, -EINVAL, "%s: holds no token", path);
	if (r < 0) {
		if (!auth->failed)
			ao_warn(AO_KUBE, NULL,
				current(auth) ? "cannot read the token again, keeping the old one: %s"
					      : "cannot read the token, and send nothing without one: %s",
				ao_err_text(err));
		auth->failed = true;
		return;
	}
	if (auth->failed)
		ao_info(AO_KUBE, NULL, "the token could be read: %s", path);
	auth->failed = false;
	ao_secret_free(auth->token);
	auth->token = AO_TAKE(token);
}

void ao_auth_wait(ao_auth *auth, ao_auth_waiter *waiter)
{
	waiter->next = auth->waiters;
	auth->waiters = waiter;
}

void ao_auth_leave(ao_auth *auth, const ao_auth_waiter *waiter)
{
	for (ao_auth_waiter **at = &auth->waiters; *at; at = &(*at)->next)
		if (*at == waiter) {
			*at = waiter->next;
			return;
		}
}

static const ao_credential *credential(ao_auth *auth)
{
	const ao_credential *found = NULL;
	return auth->plugin && ao_plugin_get(auth->plugin, &found) == 0 ? found : NULL;
}

void ao_auth_identity(ao_auth *auth, const char **ret_cert_pem, const char **ret_key_pem)
{
	const ao_credential *found = credential(auth);
	*ret_cert_pem = found ? found->cert_pem : NULL;
	*ret_key_pem = found ? found->key_pem : NULL;
}

static const char *current_token(ao_auth *auth)
{
	const ao_credential *found = credential(auth);
	if (found)
		return found->token;
	if (!auth->config->token_file)
		return auth->config->token;
	uint64_t life = current(auth) ? TOKEN_LIFE_MS : FIRST_TOKEN_MS;
	if (!auth->read_ms || ao_mono_ms() - auth->read_ms >= life)
		read_file(auth);
	return current(auth);
}

int ao_auth_ready(ao_auth *auth)
{
	const ao_credential *ignored;
	if (auth->plugin)
		return ao_plugin_get(auth->plugin, &ignored);
	return !auth->config->token_file || current_token(auth) ? 0 : -EIO;
}

const char *ao_auth_why(const ao_auth *auth)
{
	return auth->plugin ? ao_plugin_why(auth->plugin) : "no token could be read yet, and nothing is sent without one";
}

char *ao_auth_header(ao_auth *auth)
{
	const char *token = current_token(auth);
	return token && *token ? ao_xasprintf("Authorization: Bearer %s", token) : NULL;
}

char *ao_auth_userpwd(const ao_auth *auth)
{
	const ao_kubeconfig *c = auth->config;
	if (c->token || c->token_file || !c->username)
		return NULL;
	return ao_xasprintf("%s:%s", c->username, c->password ? c->password : "");
}

bool ao_auth_refused(ao_auth *auth, uint64_t sent_ms)
{
	if (auth->read_ms <= sent_ms)
		auth->read_ms = 0;
	if (auth->plugin)
		ao_plugin_refused(auth->plugin, sent_ms);
	return auth->plugin || auth->config->token_file;
}
