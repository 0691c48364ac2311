#pragma once
/**
 * discovery.h -- does the server really not know a kind?  Asked after a 404, which anything on the way to it can say.
 *
 * A server answers in plain text for a path that it does not serve, so the 404 itself proves nothing.  What counts is its own list: the
 * resources of the kind's group and version, or, when those are gone, too, the list of groups.
 * Threads: the loop thread only; callbacks run on the loop.
 */
#include "kube/client.h"

typedef struct ao_discovery ao_discovery;

/**
 * @param resource  borrowed until fn
 * @param fn        once, unless freed before; the handle is gone. `absent`: the server's lists lack the kind; else `message` says what
 * speaks against it
 */
ao_discovery *ao_discovery_start(ao_kube *kube, const ao_resource *resource, void (*fn)(void *arg, bool absent, const char *message),
				 void *arg);
void ao_discovery_free(ao_discovery *discovery); /* NULL is fine */
