/*
 * plugin.c -- a run is the process and the pipes of what it says.  It is over when the process has ended and both pipes are at their end.
 *
 * A program that starts others and leaves them is not waited for longer than itself may take: then the whole group is killed.  What it writes
 * to stderr is for people: at a terminal they read it there, otherwise its last line is in the error.
 */
#include "kube/plugin.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "loop/backoff.h"
#include "json/json.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_OUTPUT (1024 * 1024)
#define MAX_ERRORS (16 * 1024)
#define SHOWN 300 /* bytes of its last line */
#define RUN_MS 60000
#define TALK_MS 600000
#define REST_MS 1000
#define MAX_REST_MS 30000
#define PIECE 4096

extern char **environ;

typedef struct stream {
	uv_pipe_t pipe;
	ao_buf text;
	bool open;
	char piece[PIECE];
} stream;

typedef struct process {
	ao_plugin *plugin; /* NULL: nobody wants to know any more */
	uv_process_t uv;
	stream out, errors;
	bool exited;
	const char *killed; /* why we ended it; or NULL */
	int64_t code;
	int signal, handles; /* that are not closed yet */
} process;

struct ao_plugin {
	ao_loop *loop;
	const ao_kube_plugin *config;
	void (*on_end)(void *arg);
	void *arg;
	process *run;
	ao_timer *timer; /* ends a run that takes too long */
	ao_credential credential;
	bool valid;
	int64_t expires_ms;  /* wall clock; 0: never */
	uint64_t got_ms;     /* when the credential came, or a run failed; monotonic */
	uint64_t rest_until; /* monotonic */
	unsigned failures;   /* in a row */
	char *why;
};

static bool talks(const ao_plugin *plugin) { return plugin->config->interactive != AO_PLUGIN_NEVER && isatty(STDIN_FILENO); }

/* ---- what it said ---- */

static void forget(ao_plugin *plugin)
{
	ao_secret_free(plugin->credential.token);
	ao_secret_free(plugin->credential.key_pem);
	free(plugin->credential.cert_pem);
	plugin->credential = (ao_credential){0};
	plugin->valid = false;
}

static void failed(ao_plugin *plugin, char *why)
{
	ao_auto_str char *text = ao_xasprintf("credential plugin %s: %s", plugin->config->name, why);
	free(why);
	if (!plugin->why || strcmp(plugin->why, text) != 0)
		ao_warn(AO_KUBE, NULL, "%s", text);
	free(plugin->why);
	plugin->why = AO_TAKE(text);
	plugin->rest_until = ao_mono_ms() + ao_backoff_ms(REST_MS, MAX_REST_MS, plugin->failures++);
	plugin->got_ms = ao_mono_ms();
}

/** @return what is wrong with the answer, which the caller frees; NULL: the credential is in place */
static char *take_status(ao_plugin *plugin, const cJSON *answer)
{
	const char *version = ao_json_str(answer, "apiVersion"), *kind = ao_json_str(answer, "kind");
	const cJSON *status = ao_json_at(answer, "status");
	const char *token = ao_json_str(status, "token"), *cert = ao_json_str(status, "clientCertificateData"),
		   *key = ao_json_str(status, "clientKeyData"), *expires = ao_json_str(status, "expirationTimestamp");
	int64_t expires_ms = 0;
	if (!kind || strcmp(kind, "ExecCredential") != 0)
		return ao_xstrdup("it did not print an ExecCredential");
	if (!version || strcmp(version, plugin->config->api_version) != 0)
		return ao_xasprintf("it speaks %.80s, the kubeconfig says %s", version ? version : "no version",
				    plugin->config->api_version);
	bool has_token = token && *token, has_cert = cert && *cert, has_key = key && *key;
	if (!has_token && !has_cert)
		return ao_xstrdup("its answer holds neither token nor clientCertificateData");
	if (has_cert != has_key)
		return ao_xstrdup("its answer needs clientCertificateData and clientKeyData together");
	ao_auto_secret char *clean = ao_xstrdup(has_token ? token : "x");
	if (!ao_secret_clean(clean))
		return ao_xstrdup("its token is empty or holds a space or a line break");
	if (expires && !ao_time_read(expires, &expires_ms))
		return ao_xasprintf("expirationTimestamp '%.40s' is not a valid time", expires);
	if (expires_ms && expires_ms <= ao_wall_ms())
		return ao_xasprintf("what it gave had expired at %s", expires);
	forget(plugin);
	plugin->credential = (ao_credential){.token = has_token ? AO_TAKE(clean) : NULL,
					     .cert_pem = has_cert ? ao_xstrdup(cert) : NULL,
					     .key_pem = has_key ? ao_xstrdup(key) : NULL};
	plugin->expires_ms = expires_ms;
	return NULL;
}

/** The last line that it wrote for people, with a colon in front; "" when there is none. The caller frees it. */
static char *last_words(const ao_buf *errors)
{
	size_t end = errors->len;
	while (end && strchr(" \t\r\n", errors->data[end - 1]))
		end--;
	size_t start = end;
	while (start && errors->data[start - 1] != '\n')
		start--;
	int len = (int)(end - start < SHOWN ? end - start : SHOWN);
	return len ? ao_xasprintf(": %.*s", len, errors->data + start) : ao_xstrdup("");
}

static char *judge(ao_plugin *plugin, const process *run)
{
	ao_auto_str char *words = last_words(&run->errors.text);
	ao_auto_json cJSON *answer = NULL;
	if (run->killed)
		return ao_xasprintf("%s%s", run->killed, words);
	if (run->signal)
		return ao_xasprintf("it was ended by signal %d%s", run->signal, words);
	if (run->code)
		return ao_xasprintf("it ended with exit code %lld%s", (long long)run->code, words);
	const ao_buf *out = &run->out.text;
	if (!out->data || ao_json_parse(out->data, out->len, &answer, NULL) < 0) /* its words would hold the credential */
		return ao_xasprintf("what it printed is not valid JSON%s", words);
	return take_status(plugin, answer);
}

/* ---- a run ---- */

static void free_stream(stream *s)
{
	if (s->text.data)
		explicit_bzero(s->text.data, s->text.size);
	explicit_bzero(s->piece, sizeof(s->piece));
	ao_buf_free(&s->text);
}

static void closed(uv_handle_t *handle)
{
	process *run = uv_handle_get_data(handle);
	if (--run->handles)
		return;
	free_stream(&run->out);
	free_stream(&run->errors);
	free(run);
}

static void close_stream(stream *s)
{
	if (s->open)
		uv_close((uv_handle_t *)&s->pipe, closed);
	s->open = false;
}

static void kill_group(const process *run)
{
	if (kill(-run->uv.pid, SIGKILL) < 0 && !run->exited)
		kill(run->uv.pid, SIGKILL);
}

static void finish(process *run)
{
	ao_plugin *plugin = run->plugin;
	if (!run->exited || run->out.open || run->errors.open || !plugin)
		return;
	plugin->run = NULL;
	run->plugin = NULL;
	ao_timer_stop(plugin->timer);
	char *why = judge(plugin, run);
	uv_close((uv_handle_t *)&run->uv, closed);
	if (why) {
		failed(plugin, why);
	} else {
		if (plugin->failures)
			ao_info(AO_KUBE, NULL, "credential plugin %s works again", plugin->config->name);
		plugin->failures = 0;
		free(AO_TAKE(plugin->why));
		plugin->valid = true;
		plugin->got_ms = ao_mono_ms();
	}
	plugin->on_end(plugin->arg); /* may free the plugin */
}

static void on_exit_(uv_process_t *handle, int64_t code, int signal)
{
	process *run = uv_handle_get_data((uv_handle_t *)handle);
	run->exited = true;
	run->code = code;
	run->signal = signal;
	finish(run);
}

static void give_piece(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
	(void)suggested;
	process *run = uv_handle_get_data(handle);
	stream *s = handle == (uv_handle_t *)&run->out.pipe ? &run->out : &run->errors;
	*ret = uv_buf_init(s->piece, PIECE);
}

static void end_early(process *run, const char *why)
{
	if (!run->killed)
		run->killed = why;
	kill_group(run);
	close_stream(&run->out);
	close_stream(&run->errors);
	finish(run);
}

static void on_read(uv_stream_t *pipe, ssize_t len, const uv_buf_t *buf)
{
	process *run = uv_handle_get_data((uv_handle_t *)pipe);
	stream *s = pipe == (uv_stream_t *)&run->out.pipe ? &run->out : &run->errors;
	if (len > 0)
		ao_buf_put(&s->text, buf->base, (size_t)len);
	if (s == &run->out && s->text.overflow) {
		end_early(run, "it printed more than 1 MiB");
	} else if (len < 0) {
		close_stream(s);
		finish(run);
	}
}

static void on_timeout(void *arg)
{
	ao_plugin *plugin = arg;
	if (plugin->run)
		end_early(plugin->run, "it did not end in time");
}

/* ---- starting it ---- */

static char *exec_info(const ao_plugin *plugin)
{
	ao_auto_json cJSON *info = cJSON_CreateObject(), *cluster = NULL;
	ao_json_set_str(info, "apiVersion", plugin->config->api_version);
	ao_json_set_str(info, "kind", "ExecCredential");
	cJSON *spec = ao_json_object(info, "spec");
	ao_json_set(spec, "interactive", cJSON_CreateBool(talks(plugin)));
	if (plugin->config->cluster && ao_json_parse(plugin->config->cluster, strlen(plugin->config->cluster), &cluster, NULL) == 0)
		ao_json_set(spec, "cluster", AO_TAKE(cluster));
	return ao_json_print(info);
}

static bool names_same(const char *a, const char *b)
{
	size_t len = strcspn(a, "=");
	return strncmp(a, b, len + 1) == 0;
}

/** Our own environment with the plugin's laid over it. The caller frees the list, `*ret_info` and nothing else. */
static char **environment(const ao_plugin *plugin, char **ret_info)
{
	ao_auto_str char *info = exec_info(plugin);
	size_t count = 0, ours = 0, more = 0;
	for (; environ[ours];)
		ours++;
	for (; plugin->config->env[more];)
		more++;
	char **list = ao_xcalloc(ours + more + 2, sizeof(*list));
	*ret_info = ao_xasprintf("KUBERNETES_EXEC_INFO=%s", info);
	for (size_t i = 0; i < ours; i++) {
		bool covered = names_same("KUBERNETES_EXEC_INFO=", environ[i]);
		for (size_t j = 0; j < more; j++)
			covered = covered || names_same(plugin->config->env[j], environ[i]);
		if (!covered)
			list[count++] = environ[i];
	}
	for (size_t j = 0; j < more; j++)
		list[count++] = plugin->config->env[j];
	list[count] = *ret_info;
	return list;
}

static char **arguments(const ao_plugin *plugin)
{
	size_t count = 0;
	while (plugin->config->args[count])
		count++;
	char **list = ao_xcalloc(count + 2, sizeof(*list));
	list[0] = plugin->config->command;
	memcpy(list + 1, plugin->config->args, count * sizeof(*list));
	return list;
}

static void open_stream(ao_plugin *plugin, process *run, stream *s, size_t cap)
{
	s->text = ao_buf_init(cap);
	uv_pipe_init(ao_loop_raw(plugin->loop), &s->pipe, 0);
	uv_handle_set_data((uv_handle_t *)&s->pipe, run);
	s->open = true;
	run->handles++;
}

static int spawn(ao_plugin *plugin, process *run, bool talk)
{
	ao_auto_str char *info = NULL;
	char **env = environment(plugin, &info), **args = arguments(plugin);
	uv_stdio_container_t stdio[] = {
	    {.flags = talk ? UV_INHERIT_FD : UV_IGNORE, .data.fd = STDIN_FILENO},
	    {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&run->out.pipe},
	    {.flags = talk ? UV_INHERIT_FD : UV_CREATE_PIPE | UV_WRITABLE_PIPE},
	};
	if (talk)
		stdio[2].data.fd = STDERR_FILENO;
	else
		stdio[2].data.stream = (uv_stream_t *)&run->errors.pipe;
	uv_process_options_t options = {.exit_cb = on_exit_,
					.file = plugin->config->command,
					.args = args,
					.env = env,
					.flags = talk ? 0 : UV_PROCESS_DETACHED, /* a group of its own, to be killed as a whole */
					.stdio_count = 3,
					.stdio = stdio};
	run->handles++;
	int r = uv_spawn(ao_loop_raw(plugin->loop), &run->uv, &options);
	free(env);
	free(args);
	return r;
}

static char *spawn_error(const ao_plugin *plugin, int r)
{
	const char *hint = plugin->config->hint;
	return ao_xasprintf("it cannot be started: %s%s%.300s", uv_strerror(r), hint ? "; " : "", hint ? hint : "");
}

/** @return was it? */
static bool start(ao_plugin *plugin)
{
	bool talk = talks(plugin);
	if (plugin->config->interactive == AO_PLUGIN_ALWAYS && !talk) {
		failed(plugin, ao_xstrdup("its interactiveMode is Always, and there is no terminal"));
		return false;
	}
	process *run = plugin->run = ao_xcalloc(1, sizeof(*run));
	run->plugin = plugin;
	open_stream(plugin, run, &run->out, MAX_OUTPUT);
	if (!talk)
		open_stream(plugin, run, &run->errors, MAX_ERRORS);
	uv_handle_set_data((uv_handle_t *)&run->uv, run);
	int r = spawn(plugin, run, talk);
	if (r < 0) {
		plugin->run = NULL;
		run->plugin = NULL;
		close_stream(&run->out);
		close_stream(&run->errors);
		uv_close((uv_handle_t *)&run->uv, closed);
		failed(plugin, spawn_error(plugin, r));
		return false;
	}
	uv_read_start((uv_stream_t *)&run->out.pipe, give_piece, on_read);
	if (!talk)
		uv_read_start((uv_stream_t *)&run->errors.pipe, give_piece, on_read);
	ao_timer_start(plugin->timer, talk ? TALK_MS : RUN_MS);
	return true;
}

/* ---- the plugin ---- */

ao_plugin *ao_plugin_new(ao_loop *loop, const ao_kube_plugin *config, void (*on_end)(void *arg), void *arg)
{
	ao_plugin *plugin = ao_xcalloc(1, sizeof(*plugin));
	*plugin = (ao_plugin){.loop = loop, .config = config, .on_end = on_end, .arg = arg};
	plugin->timer = ao_timer_new(loop, on_timeout, plugin);
	return plugin;
}

void ao_plugin_free(ao_plugin *plugin)
{
	if (!plugin)
		return;
	if (plugin->run) {
		process *run = plugin->run;
		run->plugin = NULL;
		kill_group(run);
		if (!run->exited)
			waitpid(run->uv.pid, NULL, 0); /* libuv forgets it now, and nobody else would take it away */
		close_stream(&run->out);
		close_stream(&run->errors);
		uv_close((uv_handle_t *)&run->uv, closed);
	}
	forget(plugin);
	ao_timer_free(plugin->timer);
	free(plugin->why);
	free(plugin);
}

int ao_plugin_get(ao_plugin *plugin, const ao_credential **ret)
{
	if (plugin->valid && plugin->expires_ms && ao_wall_ms() >= plugin->expires_ms)
		plugin->valid = false;
	if (plugin->valid) {
		*ret = &plugin->credential;
		return 0;
	}
	if (!plugin->run && ao_mono_ms() < plugin->rest_until)
		return -EIO;
	return plugin->run || start(plugin) ? -EAGAIN : -EIO;
}

const char *ao_plugin_why(const ao_plugin *plugin) { return plugin->why ? plugin->why : "there is no credential yet"; }

void ao_plugin_refused(ao_plugin *plugin, uint64_t sent_ms)
{
	if (plugin->got_ms <= sent_ms)
		plugin->valid = false;
}
