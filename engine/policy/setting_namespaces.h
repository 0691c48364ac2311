#pragma once
/**
 * setting_namespaces.h -- what namespaces say in their annotations, for settings that are made of it.
 *
 * Namespaces are watched once a setting asks for one of their annotations.  Whoever is not allowed to list them is told so once, and does
 * without; it is tried again every ten minutes.
 * Threads: the loop thread only.  Callbacks run on the loop.
 */
#include "kube/client.h"
#include "json/json.h"

#include <stdbool.h>

typedef struct ao_setting_namespaces ao_setting_namespaces;

typedef struct ao_setting_namespaces_options {
	ao_loop *loop;
	ao_kube *kube;
	void (*on_change)(void *arg);                 /* ao_setting_namespaces_get() gives something else now, or they are known now */
	void (*on_note)(void *arg, const char *note); /* for people: they cannot be listed, or can be again */
	void *arg;
} ao_setting_namespaces_options;

ao_setting_namespaces *ao_setting_namespaces_new(const ao_setting_namespaces_options *options);
void ao_setting_namespaces_free(ao_setting_namespaces *namespaces); /* NULL is fine */

/** From now on namespaces are watched, and on_change is called. */
void ao_setting_namespaces_start(ao_setting_namespaces *namespaces);
/** Is there nothing to wait for: are they listed, or refused, or did nobody ask? */
bool ao_setting_namespaces_settled(const ao_setting_namespaces *namespaces);
/** Does somebody ask who is not allowed to list them? */
bool ao_setting_namespaces_refused(const ao_setting_namespaces *namespaces);
/** Are they to be seen at all? */
bool ao_setting_namespaces_seen(const ao_setting_namespaces *namespaces);

/**
 * What namespaces say with an annotation.
 * @return {NAMESPACE: text}, without those that do not have it; the caller frees. NULL: none has it, or it is not known
 */
cJSON *ao_setting_namespaces_get(ao_setting_namespaces *namespaces, const char *annotation);
