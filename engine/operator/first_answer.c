/* first_answer.c -- one request after the other, with rests between them. */
#include "operator/first_answer.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/backoff.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_MS 100 /* between looks for signals, while there is no answer yet */
#define REST_MS 1000
#define MAX_REST_MS 30000

typedef struct attempt {
	bool done;
	int error;
	long status;
	char *message;
	cJSON *object;
} attempt;

static void on_answer(void *arg, const ao_kube_answer *answer)
{
	attempt *a = arg;
	*a = (attempt){true, answer->error, answer->status, ao_xstrdup(answer->message), NULL};
	if (!answer->error)
		ao_json_parse(answer->body, answer->body_len, &a->object, NULL); /* who leads reads it once more, and says what is wrong */
}

static ao_kube_call *send_get(ao_kube *kube, const char *namespace_, const char *name, ao_kube_fn fn, void *arg)
{
	ao_auto_str char *path = ao_resource_path(&ao_config_maps, namespace_, name, NULL);
	ao_kube_object object = {&ao_config_maps, namespace_, name, NULL};
	return ao_kube_send(kube, &(ao_kube_request){.method = "GET", .path = path, .object = object, .fn = fn, .arg = arg});
}

static attempt try_once(ao_loop *loop, ao_kube *kube, const char *namespace_, const char *name, const bool *stopping)
{
	attempt a = {0};
	ao_kube_call *call = send_get(kube, namespace_, name, on_answer, &a);
	while (!a.done && !*stopping)
		ao_loop_run_until(loop, &a.done, LOOK_MS);
	if (!a.done) {
		ao_kube_cancel(call);
		return (attempt){.error = -EINTR};
	}
	return a;
}

/** Is that not the last word? Who is not known to the server at all can do nothing else either. */
static bool is_passing(const attempt *a, bool patient)
{
	return ao_kube_is_passing(a->error) || a->status == 401 || (a->status == 403 && patient);
}

static int wait_for_answer(ao_loop *loop, ao_kube *kube, const ao_kubeconfig *config, const char *namespace_, const char *name,
			   uint64_t patience_ms, const bool *stopping, char **ret_message, cJSON **ret)
{
	ao_auto_str char *said = NULL;
	uint64_t refused_ms = 0; /* when a right was missed first: a server that was away until then may have just started */
	for (unsigned failures = 0;; failures++) {
		attempt a = try_once(loop, kube, namespace_, name, stopping);
		*ret_message = a.message;
		*ret = a.object;
		if (a.status == 403 && !refused_ms)
			refused_ms = ao_mono_ms();
		if (!is_passing(&a, ao_mono_ms() - refused_ms < patience_ms)) {
			if (said && a.error != -EINTR)
				ao_info(AO_CORE, NULL, "the API server answers");
			return a.error;
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
		    uint64_t patience_ms, const bool *stopping, bool *ret_forbidden, cJSON **ret, ao_err **reterr)
{
	ao_auto_str char *message = NULL;
	int r = wait_for_answer(loop, kube, config, namespace_, name, patience_ms, stopping, &message, ret);
	if (r == -EPERM) {
		ao_warn(
		    AO_CORE, NULL,
		    "not allowed to read policy ConfigMaps in namespace %s, using the others, until that is allowed; it is not known which "
		    "policies were live: %s",
		    namespace_, message);
		*ret_forbidden = true;
		return 0;
	}
	if (r == 0 || r == -ENOENT || r == -EINTR)
		return r == -EINTR ? r : 0;
	return ao_err_set(reterr, r, "cannot use the API server %s (%s): %s; check its address and credentials", config->server,
			  config->source, message);
}

/* ---- later ---- */

struct ao_later_answer {
	ao_kube *kube;
	char *namespace_, *name;
	uint64_t pace_ms;
	ao_timer *timer;
	ao_kube_call *call;
	void (*fn)(void *arg, const cJSON *map);
	void *arg;
};

static void wait_on(ao_later_answer *later) { ao_timer_start(later->timer, later->pace_ms + ao_jitter_ms(later->pace_ms / 3)); }

static void on_later(void *arg, const ao_kube_answer *answer)
{
	ao_later_answer *later = arg;
	ao_auto_json cJSON *map = NULL;
	later->call = NULL;
	if (answer->error && answer->error != -ENOENT) {
		wait_on(later);
		return;
	}
	if (!answer->error)
		ao_json_parse(answer->body, answer->body_len, &map, NULL);
	later->fn(later->arg, map);
}

static void ask(void *arg)
{
	ao_later_answer *later = arg;
	later->call = send_get(later->kube, later->namespace_, later->name, on_later, later);
}

ao_later_answer *ao_later_answer_new(ao_loop *loop, ao_kube *kube, const char *namespace_, const char *name, uint64_t pace_ms,
				     void (*fn)(void *arg, const cJSON *map), void *arg)
{
	ao_later_answer *later = ao_xcalloc(1, sizeof(*later));
	*later = (ao_later_answer){.kube = kube,
				   .namespace_ = ao_xstrdup(namespace_),
				   .name = ao_xstrdup(name),
				   .pace_ms = pace_ms,
				   .timer = ao_timer_new(loop, ask, later),
				   .fn = fn,
				   .arg = arg};
	wait_on(later);
	return later;
}

void ao_later_answer_free(ao_later_answer *later)
{
	if (!later)
		return;
	if (later->call)
		ao_kube_cancel(later->call);
	ao_timer_free(later->timer);
	free(later->namespace_);
	free(later->name);
	free(later);
}
