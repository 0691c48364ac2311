#pragma once
/**
 * event.h -- Kubernetes Events (events.k8s.io/v1) about objects, aggregated and rate limited as client-go does.
 *
 * The same (object, type, reason, note) again within 6 minutes raises series.count of the Event that exists; a token bucket per
 * object (burst 25, one back each 300 s) drops the rest.  Fire and forget: a failed write is tried again for two minutes, then dropped with a
 * debug line.
 * Threads: the loop thread only.
 */
#include "kube/client.h"
#include "kube/resource.h"

typedef struct ao_events ao_events;

typedef struct ao_event {
	const char *api_version, *kind, *namespace_, *name,
	    *uid;           /* what it is about; namespace_ "" when cluster-scoped (the Event goes to "default") */
	bool warning;       /* type Warning, else Normal */
	const char *reason; /* CamelCase, at most 128 bytes */
	const char *action; /* CamelCase; NULL: same as reason */
	const char *note;   /* at most 1 KiB, cut on a UTF-8 border */
} ao_event;

/** An event about an object, yet without a reason; texts are borrowed until it is emitted. */
ao_event ao_event_about(const ao_resource *kind, const char *namespace_, const char *name, const char *uid);
/** @param component reportingController; @param instance reportingInstance */
ao_events *ao_events_new(ao_loop *loop, ao_kube *kube, const char *component, const char *instance);
void ao_events_free(ao_events *events);
void ao_events_emit(ao_events *events, const ao_event *event);
/** The same for what ao_event_about() gave. @param action NULL: as the reason */
void ao_events_say(ao_events *events, ao_event about, bool warning, const char *reason, const char *action, const char *note);
