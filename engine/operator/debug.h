#pragma once
/**
 * debug.h -- /debug/<parents>/NAMESPACE/NAME: what the policies see of one parent, what they make of it, and how its passes went.
 *
 * And /debug/records/FILE: what --record wrote, also of a process that leads no more.
 *
 * A page is made when a client asks for it.  Secrets are taken out before the policies are asked, as --record does.
 * Threads: the loop thread only.
 */
#include "net/server.h"
#include "reconcile/reconcile.h"

typedef struct ao_debug {
	const ao_manifest *manifest;     /* NULL: nothing is loaded yet */
	const ao_reconciler *reconciler; /* NULL: standing by */
	ao_world *world;
	const ao_recorder *recorder; /* NULL: nothing is recorded */
	ao_bundle *(*bundle_of)(void *arg, const ao_object *parent);
	void *arg;
} ao_debug;

/** @param rest  what follows "/debug" in the path */
void ao_debug_reply(const ao_debug *debug, const char *rest, ao_server_reply *reply);
