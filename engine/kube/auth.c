/* auth.c -- keeps a token and the time when it was read. */
#include "kube/auth.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"

#include <string.h>

#define TOKEN_LIFE_MS 60000
#define FIRST_TOKEN_MS 1000
#define MAX_TOKEN (64 * 1024)

struct ao_auth {
	const ao_kubeconfig *config;
	char *token;      /* the last good token of the file */
	uint64_t read_ms; /* when the file was last tried; 0: it must be read now */
	bool failed;      /* ... and could not be used; this is logged once */
};

ao_auth *ao_auth_new(const ao_kubeconfig *config)
{
	ao_auth *auth = ao_xcalloc(1, sizeof(*auth));
	auth->config = config;
	return auth;
}

void ao_auth_free(ao_auth *auth)
{
	if (!auth)
		return;
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

static const char *current_token(ao_auth *auth)
{
	if (!auth->config->token_file)
		return auth->config->token;
	uint64_t life = current(auth) ? TOKEN_LIFE_MS : FIRST_TOKEN_MS;
	if (!auth->read_ms || ao_mono_ms() - auth->read_ms >= life)
		read_file(auth);
	return current(auth);
}

bool ao_auth_ready(ao_auth *auth) { return !auth->config->token_file || current_token(auth); }

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
	return auth->config->token_file != NULL;
}
