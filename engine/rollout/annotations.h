#pragma once
/**
 * annotations.h -- writes an annotation on objects that says what has become of them.
 *
 * The last of several texts for one object wins.  Each object has at most one write in flight, and a text that comes meanwhile waits for
 * that write, so that an older text cannot arrive later.  A write that fails is dropped with a debug line.  The next text is written all
 * the same.
 * Threads: the loop thread only.
 */
#include "kube/client.h"
#include "kube/resource.h"

typedef struct ao_annotations ao_annotations;

/** @param resource  borrowed; `key` and `manager` (the field manager) are copied */
ao_annotations *ao_annotations_new(ao_kube *kube, const ao_resource *resource, const char *key, const char *manager);
/** Texts that are not written yet are dropped. */
void ao_annotations_free(ao_annotations *notes);
/** @param text  NULL: removes the annotation */
void ao_annotations_put(ao_annotations *notes, const char *namespace_, const char *name, const char *text);
/** Removes another annotation of the object, whose key is `other`, when the text that was put before is written: who wrote it finds the answer. */
void ao_annotations_take_off(ao_annotations *notes, const char *namespace_, const char *name, const char *other);
