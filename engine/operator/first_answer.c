/* first_answer.c -- one request after the other, with rests between them. */
#include "operator/first_answer.h"

#include "base/log.h"
#include "base/mem.h"
#include "loop/backoff.h"

#include <string.h>

#define LOOK_MS 100 /* between looks for signals, while there is no answer yet */
#define REST_MS 1000
#define MAX_REST_MS 30000

typedef struct attempt {
	bool done;
	int error;
	char *message;
	cJSON *object;
} attempt;

static void on_answer(void *arg, const ao_kube_answer *answer)
{
	attempt *a = arg;
	*a = (attempt){true, answer->error, ao_xstrdup(answer->message), NULL};
	if (!answer->error)
		ao_json_parse(answer->body, answer->body_len, &a->object, NULL); /* who leads reads it once more, and says what is wrong */
}

static int try_once(ao_loop *loop, ao_kube *kube, const char *path, const ao_kube_object *object, const bool *stopping, char **ret_message,
		    cJSON **ret)
{
	attempt a = {0};
	ao_kube_call *call =
	    ao_kube_send(kube, &(ao_kube_request){.method = "GET", .path = path, .object = *object, .fn = on_answer, .arg = &a});
	while (!a.done && !*stopping)
		ao_loop_run_until(loop, &a.done, LOOK_MS);
	if (!a.done) {
		ao_kube_cancel(call);
		return -EINTR;
	}
	*ret_message = a.message;
	*ret = a.object;
	return a.error;
}

static int wait_for_answer(ao_loop *loop, ao_kube *kube, const ao_kubeconfig *config, const char *path, const ao_kube_object *object,
			   const bool *stopping, char **ret_message, cJSON **ret)
{
	ao_auto_str char *said = NULL;
	for (unsigned failures = 0;; failures++) {
		int r = try_once(loop, kube, path, object, stopping, ret_message, ret);
		if (!ao_kube_is_passing(r)) {
			if (said && r != -EINTR)
				ao_info(AO_CORE, NULL, "the API server answers");
			return r;
		}
		if (!said || strcmp(said, *ret_message) != 0)
			ao_warn(AO_CORE, NULL, "cannot use the API server %s (%s): %s; waiting for it. Check its address and credentials",
				config->server, config->source, *ret_message);
		free(said);
		said = AO_TAKE(*ret_message);
		ao_loop_run_until(loop, stopping, ao_backoff_ms(REST_MS, MAX_REST_MS, failures));
	}
}

int ao_first_answer(ao_loop *loop, ao_kube *kube, const ao_kubeconfig *config, const char *namespace_, const char *name,
		    const bool *stopping, bool *ret_forbidden, cJSON **ret, ao_err **reterr)
{
	ao_auto_str char *path = ao_resource_path(&ao_config_maps, namespace_, name, NULL), *message = NULL;
	ao_kube_object object = {&ao_config_maps, namespace_, name, NULL};
	int r = wait_for_answer(loop, kube, config, path, &object, stopping, &message, ret);
	if (r == -EPERM) {
		ao_warn(AO_CORE, NULL,
			"not allowed to read policy ConfigMaps in namespace %s, using the others; a restart will not know which policies "
			"were live: %s",
			namespace_, message);
		*ret_forbidden = true;
		return 0;
	}
	if (r == 0 || r == -ENOENT || r == -EINTR)
		return r == -EINTR ? r : 0;
	return ao_err_set(reterr, r, "cannot use the API server %s (%s): %s; check its address and credentials", config->server,
			  config->source, message);
}
