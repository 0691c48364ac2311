#pragma once
/**
 * notes.h -- one annotation on objects that says what has become of them.
 *
 * Of several texts for one object the last one stands: each object has at most one write in flight, and what comes meanwhile waits for it,
 * so that an earlier text cannot arrive later.  A write that fails is dropped with a debug line: the next text is written all the same.
 * Threads: the loop thread only.
 */
#include "kube/client.h"
#include "kube/resource.h"

typedef struct ao_notes ao_notes;

/** @param resource borrowed; key and manager (of fields) are copied */
ao_notes *ao_notes_new(ao_kube *kube, const ao_resource *resource, const char *key, const char *manager);
/** What is not written yet is dropped. */
void ao_notes_free(ao_notes *notes);
void ao_notes_put(ao_notes *notes, const char *namespace_, const char *name, const char *text);
