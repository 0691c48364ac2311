#pragma once
/**
 * config.h -- a RabbitMQ registry entry, checked and made ready for use.  The format is in rabbitmq.h.
 * Threads: any; read only once made.
 */
#include "base/err.h"

#include <cjson/cJSON.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AO_RABBIT_MAX_HOSTS 16

typedef struct ao_rabbit_config {
	struct {
		char *host, *port;
	} at[AO_RABBIT_MAX_HOSTS];
	size_t hosts; /* at least 1 */
	char *username, *password, *vhost;
	unsigned heartbeat_s;
	uint64_t idle_ms;
	SSL_CTX *tls;         /* NULL: plain TCP */
	char *server_name;    /* NULL: the host */
	char *ca;             /* PEM, for the management API; may be NULL */
	char *management_url; /* without a slash at the end; NULL: none */
	bool management_insecure;
} ao_rabbit_config;

/** @return 0; -EINVAL with the path of what is wrong */
int ao_rabbit_config_new(const cJSON *config, const cJSON *secrets, ao_rabbit_config **ret, ao_err **reterr);
/** As ao_broker_place(), without the type; NULL when the configuration makes no sense. */
char *ao_rabbit_config_place(const cJSON *config);
void ao_rabbit_config_free(ao_rabbit_config *config); /* wipes what is secret; NULL is fine */
