#pragma once
/**
 * annotations.h -- one annotation on objects that says what has become of them.
 *
 * Of several texts for one object the last one stands: each object has at most one write in flight, and what comes meanwhile waits for it,
 * so that an earlier text cannot arrive later.  A write that fails is dropped with a debug line: the next text is written all the same.
 * Threads: the loop thread only.
 */
#include "kube/client.h"
#include "kube/resource.h"

typedef struct ao_annotations ao_annotations;

/** @param resource borrowed; key and manager (of fields) are copied */
ao_annotations *ao_annotations_new(ao_kube *kube, const ao_resource *resource, const char *key, const char *manager);
/** What is not written yet is dropped. */
void ao_annotations_free(ao_annotations *notes);
void ao_annotations_put(ao_annotations *notes, const char *namespace_, const char *name, const char *text);
