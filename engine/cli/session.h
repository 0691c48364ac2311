#pragma once
/**
 * session.h -- a connection to a cluster for the verbs that need one: kubectl's flags, and requests that wait for their answer.
 * Threads: the main thread.
 */
#include "cli/args.h"
#include "kube/client.h"
#include "policy/load.h"

/** The entry of --bundle. */
#define AO_BUNDLE_FLAG(to)                                                                                                                 \
	{                                                                                                                                  \
		"bundle", 0, .text = (to), .value = "DIR",                                                                                 \
			     .help = "a bundle in place of the built-in one: its manifest, policies and cases"                             \
	}

typedef struct ao_session_flags {
	const char *kubeconfig, *context, *namespace_, *class_, *watched, *bundle_dir;
} ao_session_flags;

/** The entries for these flags in the table of a verb. */
#define AO_SESSION_FLAGS(f)                                                                                                                \
	AO_BUNDLE_FLAG(&(f)->bundle_dir),                                                                                                  \
	    {"kubeconfig", 0, .text = &(f)->kubeconfig, .value = "FILE", .help = "how to reach the cluster"},                              \
	    {"context", 0, .text = &(f)->context, .value = "NAME", .help = "context of the kubeconfig"},                                   \
	    {"operator-namespace", 0, .text = &(f)->namespace_, .value = "NS",                                                             \
	     .help = "where the operator and its policy ConfigMaps are"},                                                                  \
	    {"operator-class", 0, .text = &(f)->class_, .value = "CLASS", .help = "the operator's class (default: none)"},                 \
	{                                                                                                                                  \
		"watch-namespaces", 0, .text = &(f)->watched, .value = "NS,NS",                                                            \
				       .help = "the namespaces that the operator watches (default: all)"                                   \
	}

typedef struct ao_session {
	ao_loop *loop;
	ao_kubeconfig *config;
	ao_kube *kube;
	const char *namespace_; /* the operator's; borrowed */
	const char *bundle_dir; /* as in ao_load_options; borrowed */
	ao_scope scope;         /* whose parents and policies it serves */
	char *class_;           /* of the process; that of `scope` may be the bundle's own */
} ao_session;

/** @return 0; -EINVAL, -ENOENT there is no usable kubeconfig, or the class is not a valid name */
int ao_session_open(const ao_session_flags *flags, ao_session *ret, ao_err **reterr);
void ao_session_close(ao_session *session); /* a session that was not opened is fine */
#define ao_auto_session __attribute__((cleanup(ao_session_close)))

/**
 * Sends a request and waits for its answer.  The request has a method, a path, and anything else but a callback.
 * @param ret  the object of the answer; may be NULL
 * @return 0; as ao_kube_answer
 */
int ao_session_send(ao_session *session, const ao_kube_request *request, cJSON **ret, ao_err **reterr);
/** Sends a GET and waits for its answer. */
int ao_session_get(ao_session *session, const char *path, cJSON **ret, ao_err **reterr);

/** After a failed request for a collection: does the server's discovery say that it does not know the kind? */
bool ao_session_lacks(ao_session *session, const ao_resource *resource);

/** The manifest of the base, which says how ConfigMaps are labelled. The caller frees it. */
int ao_session_manifest(const ao_session *session, ao_manifest **ret, ao_err **reterr);
/** The policy ConfigMaps of the operator's namespace and class as a ConfigMapList. @param suffix  of their label: "" or "-canary" */
int ao_session_config_maps(ao_session *session, const ao_manifest *manifest, const char *suffix, cJSON **ret, ao_err **reterr);

/**
 * The sources of the cluster's policies: the base, then the ConfigMaps of the operator's namespace and class, then --policies.
 * @param list  gets the ConfigMapList, whose annotations say what became of them; may be NULL; the caller frees it
 */
int ao_session_sources(ao_session *session, const ao_load_options *load, ao_sources *ret, cJSON **list, ao_err **reterr);
