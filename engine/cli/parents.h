#pragma once
/**
 * parents.h -- the parents that a command line names, or that a selector finds.
 * Threads: the main thread.
 */
#include "cli/session.h"

typedef struct ao_parents_request {
	const ao_manifest *manifest;
	const char **names;     /* NULL at the end; none: every parent that is meant */
	const char *namespace_; /* NULL: that of the kubeconfig */
	const char *selector;   /* of labels; may be NULL */
	bool everywhere;        /* all namespaces that the operator watches */
	bool all_classes;       /* whatever operator they are for */
	void (*on_parent)(void *arg, const cJSON *parent);
	void (*on_error)(void *arg, int code, ao_err *err); /* takes `err`; the other parents come all the same. code 0: there was none */
	void *arg;
} ao_parents_request;

/** Reads one parent with the right to list, because an operator has no other. @param ret  the caller's. @return 0; -ENOENT; as ao_session_get() */
int ao_parents_get(ao_session *session, const ao_manifest *m, const char *namespace_, const char *name, cJSON **ret, ao_err **reterr);

/** Calls on_parent for each of them, one after the other. A kind that is not installed has none. */
void ao_parents_each(ao_session *session, const ao_parents_request *request);
