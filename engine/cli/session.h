#pragma once
/**
 * session.h -- a cluster for verbs that need one: kubectl's flags, and requests that are waited for.
 * Threads: the main thread.
 */
#include "cli/args.h"
#include "core/load.h"
#include "kube/client.h"

typedef struct ao_session_flags {
	const char *kubeconfig, *context, *namespace_;
} ao_session_flags;

/** The entries of a verb's table for these flags: three of them. */
#define AO_SESSION_FLAGS(f)                                                                                                                \
	{"kubeconfig", 0, .text = &(f)->kubeconfig, .value = "FILE", .help = "how to reach the cluster"},                                  \
	    {"context", 0, .text = &(f)->context, .value = "NAME", .help = "context of the kubeconfig"},                                   \
	{                                                                                                                                  \
		"operator-namespace", 0, .text = &(f)->namespace_, .value = "NS",                                                          \
					 .help = "where the operator and its policy ConfigMaps are"                                        \
	}

typedef struct ao_session {
	ao_loop *loop;
	ao_kubeconfig *config;
	ao_kube *kube;
	const char *namespace_; /* the operator's; borrowed */
} ao_session;

/** @return 0; -EINVAL, -ENOENT no usable kubeconfig */
int ao_session_open(const ao_session_flags *flags, ao_session *ret, ao_err **reterr);
void ao_session_close(ao_session *session); /* one that was not opened is fine */
#define ao_auto_session __attribute__((cleanup(ao_session_close)))

/** GET, waited for. @return 0; as ao_kube_answer */
int ao_session_get(ao_session *session, const char *path, cJSON **ret, ao_err **reterr);

/**
 * The sources that serve in the cluster: built in, then the ConfigMaps of the operator's namespace, then --policies.
 * @param list  the ConfigMapList, for what they say about themselves; may be NULL; the caller frees
 */
int ao_session_sources(ao_session *session, const ao_load_options *load, ao_sources *ret, cJSON **list, ao_err **reterr);
