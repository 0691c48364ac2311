/* identity.c -- three texts with the files they are from, and the time when those were read. */
#include "kube/identity.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"

#include <string.h>

#define LIFE_MS 60000
#define DOUBT_MS 1000
#define MAX_PEM (1024 * 1024)

typedef struct part {
	const char *file; /* borrowed of the configuration; NULL: it came without one, and stays */
	char *pem;        /* or NULL */
	bool failed;      /* the file could not be used; this is logged once */
} part;

struct ao_identity {
	part ca, cert, key;
	uint64_t read_ms;
	bool doubted;
};

ao_identity *ao_identity_new(const ao_kubeconfig *config)
{
	ao_identity *identity = ao_xcalloc(1, sizeof(*identity));
	identity->ca = (part){.file = config->ca_file, .pem = ao_xstrdup(config->ca_pem)};
	identity->cert = (part){.file = config->client_cert_file, .pem = ao_xstrdup(config->client_cert_pem)};
	identity->key = (part){.file = config->client_key_file, .pem = ao_xstrdup(config->client_key_pem)};
	identity->read_ms = ao_mono_ms();
	return identity;
}

void ao_identity_free(ao_identity *identity)
{
	if (!identity)
		return;
	free(identity->ca.pem);
	free(identity->cert.pem);
	ao_secret_free(identity->key.pem);
	free(identity);
}

/** @return is there another text now? */
static bool renew(part *p)
{
	ao_auto_buf ao_buf text = ao_buf_init(MAX_PEM);
	ao_auto_err ao_err *err = NULL;
	if (!p->file)
		return false;
	int r = ao_file_read(p->file, &text, &err);
	ao_auto_secret char *pem = ao_buf_steal(&text);
	if (r == 0 && (!pem || !strstr(pem, "-----BEGIN ")))
		r = ao_err_set(&err, -EINVAL, "%s: holds no PEM", p->file);
	if (r < 0 && !p->failed)
		ao_warn(AO_KUBE, NULL, "cannot read a certificate or key again, keeping the old one: %s", ao_err_text(err));
	p->failed = r < 0;
	if (r < 0 || strcmp(pem, p->pem) == 0)
		return false;
	ao_info(AO_KUBE, NULL, "%s has changed: new connections use it", p->file);
	ao_secret_free(p->pem);
	p->pem = AO_TAKE(pem);
	return true;
}

bool ao_identity_renew(ao_identity *identity)
{
	uint64_t now = ao_mono_ms();
	if (now - identity->read_ms < (identity->doubted ? DOUBT_MS : LIFE_MS))
		return false;
	identity->read_ms = now;
	identity->doubted = false;
	bool ca = renew(&identity->ca), cert = renew(&identity->cert), key = renew(&identity->key);
	return ca || cert || key;
}

void ao_identity_doubt(ao_identity *identity) { identity->doubted = true; }

const char *ao_identity_ca(const ao_identity *identity) { return identity->ca.pem; }
const char *ao_identity_cert(const ao_identity *identity) { return identity->cert.pem; }
const char *ao_identity_key(const ao_identity *identity) { return identity->key.pem; }
