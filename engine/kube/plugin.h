#pragma once
/**
 * plugin.h -- credentials from a program (client.authentication.k8s.io v1 and v1beta1).  Private to kube/.
 *
 * The program runs beside the loop, never more than once at a time, and for a minute at most (ten with somebody at a terminal).  What it says
 * is kept in memory until it expires or the server refuses it.  After a failure the program rests, longer each time, up to 30 s.
 * Threads: the loop thread only.
 */
#include "kube/config.h"
#include "loop/loop.h"

typedef struct ao_plugin ao_plugin;

/** Borrowed until the program runs again. */
typedef struct ao_credential {
	char *token;              /* or NULL */
	char *cert_pem, *key_pem; /* both or neither */
} ao_credential;

/** @param on_end  called when a run has ended, well or not; never from inside a call of this file */
ao_plugin *ao_plugin_new(ao_loop *loop, const ao_kube_plugin *config, void (*on_end)(void *arg), void *arg);
void ao_plugin_free(ao_plugin *plugin); /* ends the program; NULL is fine */

/**
 * The credential that counts now. When there is none the program is started, unless it runs or rests already.
 * @return 0; -EAGAIN it runs: on_end will be called; -EIO it failed and rests, see ao_plugin_why()
 */
int ao_plugin_get(ao_plugin *plugin, const ao_credential **ret);
/** Why there is no credential. Borrowed. */
const char *ao_plugin_why(const ao_plugin *plugin);
/** The server refused what was sent at `sent_ms`: the program is asked again, unless it has been since. */
void ao_plugin_refused(ao_plugin *plugin, uint64_t sent_ms);
