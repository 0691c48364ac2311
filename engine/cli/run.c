/* run.c -- the operator itself. */
#include "base/log.h"
#include "base/mem.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/session.h"
#include "operator/operator.h"
#include "policy/settings.h"

#include <stdlib.h>
#include <string.h>

/** What the command line said, before it is understood. */
typedef struct run_args {
	ao_operator_options options;
	const char *workers, *log_level, *log_format, *class_, *namespaces, *record_dir, *record_limit, *bundle;
	ao_scope scope;
	bool zap_devel;
	const char **bundles; /* each value of --bundle; a single NULL: the built-in one */
	cJSON *declared;      /* the settings that their manifests name, which may have flags */
	cJSON *settings;
} run_args;

#define LEVELS "debug, info, warn or error"
#define FORMATS "text, json or console" /* console is another word for text */

static ao_log_level level_of(const char *text)
{
	static const char *const names[] = {"debug", "info", "warn", "error"}; /* in the order of ao_log_level */
	for (size_t i = 0; text && i < AO_LEN(names); i++)
		if (strcmp(text, names[i]) == 0)
			return (ao_log_level)i;
	return AO_LOG_INFO;
}

static int parse_workers(const char *flag, size_t *ret, ao_err **reterr)
{
	const char *env = getenv("ASYA_MAX_CONCURRENT_RECONCILES"), *text = flag ? flag : env;
	char *end = NULL;
	long n = text ? strtol(text, &end, 10) : 0;
	if (text && (*end || end == text)) {
		if (flag)
			return ao_err_set(reterr, -EINVAL, "--max-concurrent-reconciles: expected an integer, got '%s'", flag);
		ao_warn(AO_MAIN, NULL, "ASYA_MAX_CONCURRENT_RECONCILES: '%s' is not an integer, ignored", env);
		text = NULL;
	}
	*ret = !text ? 10 : n > 0 ? (size_t)n : 1;
	return 0;
}

/** "64Mi", "1Gi". @param flag  NULL: the usual limit */
static int parse_record_limit(const char *flag, uint64_t *ret, ao_err **reterr)
{
	char *end = NULL;
	unsigned long n = flag ? strtoul(flag, &end, 10) : 0;
	bool mega = flag && strcmp(end, "Mi") == 0, giga = flag && strcmp(end, "Gi") == 0;
	if (flag && (*flag < '1' || *flag > '9' || n > 9999 || (!mega && !giga)))
		return ao_err_set(reterr, -EINVAL, "--record-limit: expected a size in Mi or Gi, such as 64Mi, got '%s'", flag);
	*ret = flag ? (uint64_t)n << (giga ? 30 : 20) : AO_RECORDER_LIMIT;
	return 0;
}

/** --policies lies over one bundle. Which one it is must be clear. */
static int check_policies(const ao_operator_options *o, ao_err **reterr)
{
	bool clear = o->bundle_count == 1 || !o->load.policies_dir;
	for (size_t i = 0; !clear && i < o->bundle_count; i++)
		clear = strcmp(o->bundles[i], AO_BUILTIN) == 0;
	return clear
		   ? 0
		   : ao_err_set(
			 reterr, -EINVAL,
			 "--policies is for a single bundle, or the built-in one among several: put the files into the folder of a bundle");
}

static int understand(run_args *args, ao_err **reterr)
{
	int r = ao_scope_read(args->class_, args->namespaces, &args->scope, reterr);
	if (r < 0)
		return r;
	args->options.load.scope = &args->scope;
	r = check_policies(&args->options, reterr);
	if (r < 0)
		return r;
	const char *pod_namespace = getenv("POD_NAMESPACE");
	if (!args->options.namespace_ && pod_namespace && *pod_namespace)
		args->options.namespace_ = pod_namespace;
	ao_log_setup(level_of(args->log_level), args->log_format && strcmp(args->log_format, "json") == 0);
	uint64_t limit = 0;
	r = parse_record_limit(args->record_limit, &limit, reterr);
	if (r == 0)
		r = parse_workers(args->workers, &args->options.max_concurrent, reterr);
	if (r == 0 && args->record_dir)
		args->options.recorder = ao_recorder_new(args->record_dir, limit, args->options.bundle_count > 1);
	return r;
}

static int by_name(const void *a, const void *b) { return strcmp(((const ao_flag *)a)->name, ((const ao_flag *)b)->name); }

/** Adds the flags of settings to the table, in order of their names. @param values  where they are put, by the place of the setting among the declared */
static size_t setting_flags(const cJSON *declared, ao_flag *flags, const char **values)
{
	size_t count = 0;
	const cJSON *setting;
	cJSON_ArrayForEach (setting, declared) {
		const char *name = ao_json_str(setting, "flag"), *type = ao_json_str(setting, "type");
		if (name)
			flags[count++] = (ao_flag){.name = name,
						   .text = values,
						   .value = type && strcmp(type, "file") == 0 ? "FILE" : "VALUE",
						   .help = ao_json_str(setting, "doc")};
		values++;
	}
	qsort(flags, count, sizeof(*flags), by_name);
	return count;
}

static void take_settings(const run_args *args, const char *const *values)
{
	const cJSON *setting;
	cJSON_ArrayForEach (setting, args->declared)
		ao_json_set_str(args->settings, setting->string, *values++);
}

static int parse_table(const ao_flag *flags, size_t count, int argc, char **argv, ao_err **reterr)
{
	static const ao_example examples[] = {
	    {"against the cluster of a kubeconfig, with policies that are being written",
	     "run --context dev -n asya-system --policies my-policies"},
	    {"as the chart runs it", "run --leader-elect --log-format json --config /etc/asya/config.yaml"},
	    {"and each snapshot recorded, for replay", "run --record records"},
	    {"two kinds in one process", "run --bundle builtin --bundle policies/examples/greeting"},
	    {0},
	};
	return ao_args_parse(&(ao_verb){.usage = "run [flags]",
					.about = "Runs the operator until SIGTERM.",
					.flags = flags,
					.flag_count = count,
					.examples = examples},
			     argc, argv, reterr);
}

/** The flags of controller-runtime are accepted so that existing command lines keep working. */
static int parse(run_args *args, int argc, char **argv, ao_err **reterr)
{
	ao_operator_options *o = &args->options;
	const char *unused;
	const ao_flag own[] = {
	    {"kubeconfig", 0, .text = &o->kubeconfig, .value = "FILE",
	     .help = "how to reach the cluster (default: $KUBECONFIG, in-cluster, ~/.kube/config)"},
	    {"context", 0, .text = &o->context, .value = "NAME", .help = "context of the kubeconfig"},
	    {"namespace", 'n', .text = &o->namespace_, .value = "NS",
	     .help = "the operator's own namespace: lease and policy ConfigMaps (default: $POD_NAMESPACE, the pod's, the context's)"},
	    {"bundle", 0, .text = &args->bundle, .value = "DIR",
	     .help = "a bundle in place of the built-in one; may be repeated, and `builtin` is that one (default: builtin)"},
	    {"policies", 0, .text = &o->load.policies_dir, .value = "DIR",
	     .help = "policy files that replace built-in ones of the same name"},
	    {"config", 0, .text = &o->load.config_file, .value = "FILE", .help = "settings and policy parameters, YAML"},
	    {"operator-class", 0, .text = &args->class_, .value = "CLASS",
	     .help = "serve the parents whose annotation names this class (default: those without a class)"},
	    {"watch-namespaces", 0, .text = &args->namespaces, .value = "NS,NS", .help = "only these namespaces (default: all)"},
	    {"leader-elect", 0, .yes = &o->leader_elect, .help = "work only while holding the lease"},
	    {"metrics-bind-address", 0, .text = &o->metrics_address, .value = "ADDR",
	     .help = "where /metrics is served, 0 for nowhere (default :8080)"},
	    {"health-probe-bind-address", 0, .text = &o->probe_address, .value = "ADDR",
	     .help = "where /healthz and /readyz are served (default :8081)"},
	    {"max-concurrent-reconciles", 0, .text = &args->workers, .value = "N",
	     .help = "parents worked on at the same time (default 10), of which a quarter is kept for edits"},
	    {"record", 0, .text = &args->record_dir, .value = "DIR", .help = "write each snapshot and its plan there, for `replay`"},
	    {"record-limit", 0, .text = &args->record_limit, .value = "SIZE",
	     .help = "what these may take on the disk; the oldest go first (default 64Mi)"},
	    {"debug", 0, .yes = &o->debug_remote, .help = "let /debug/ on the metrics port answer other hosts, too, not only this one"},
	    {"log-level", 0, .text = &args->log_level, .value = "LEVEL", .one_of = LEVELS, .help = LEVELS " (default info)"},
	    {"log-format", 0, .text = &args->log_format, .value = "FORMAT", .one_of = FORMATS, .help = FORMATS " (default text)"},
	    {"zap-log-level", 0, .text = &args->log_level, .value = "LEVEL", .one_of = LEVELS, .help = "same as --log-level"},
	    {"zap-encoder", 0, .text = &args->log_format, .value = "FORMAT", .one_of = FORMATS, .help = "same as --log-format"},
	    {"zap-devel", 0, .yes = &args->zap_devel, .help = "accepted, has no effect"},
	    {"zap-stacktrace-level", 0, .text = &unused, .value = "LEVEL", .help = "accepted, has no effect"},
	    {"zap-time-encoding", 0, .text = &unused, .value = "FORMAT", .help = "accepted, has no effect"},
	};
	size_t settings = (size_t)cJSON_GetArraySize(args->declared);
	ao_flag *flags = ao_xcalloc(AO_LEN(own) + settings, sizeof(*flags));
	const char **values = ao_xcalloc(settings, sizeof(*values));
	memcpy(flags, own, sizeof(own));
	size_t count = AO_LEN(own) + setting_flags(args->declared, flags + AO_LEN(own), values);
	int r = parse_table(flags, count, argc, argv, reterr);
	take_settings(args, values);
	free(flags);
	free(values);
	return r;
}

/** Adds the settings of a bundle. One that two bundles have gets its value from one flag. */
static void declare(cJSON *declared, const cJSON *manifest)
{
	const cJSON *setting;
	cJSON_ArrayForEach (setting, ao_json_at(manifest, "settings"))
		if (!ao_json_at(declared, setting->string))
			ao_json_set(declared, setting->string, cJSON_Duplicate(setting, 1));
}

/** Reads the manifests. One of several that cannot be read is no reason not to run: the operator says what is wrong with it. */
static int read_manifests(run_args *args, ao_err **reterr)
{
	size_t count = args->options.bundle_count;
	cJSON **manifests = ao_xcalloc(count, sizeof(*manifests));
	int r = 0;
	for (size_t i = 0; r == 0 && i < count; i++) {
		bool read = ao_load_base_manifest(args->bundles[i], &manifests[i], count == 1 ? reterr : NULL) == 0;
		r = read || count > 1 ? 0 : -EINVAL;
		for (size_t k = 0; r == 0 && read && k < i; k++)
			if (manifests[k])
				r = ao_manifest_apart(manifests[k], args->bundles[k], manifests[i], args->bundles[i], "", reterr);
		declare(args->declared, manifests[i]);
	}
	for (size_t i = 0; i < count; i++)
		cJSON_Delete(manifests[i]);
	free(manifests);
	return r;
}

/** @return as understand(); 1: there is nothing to run */
static int prepare(run_args *args, int argc, char **argv, ao_err **reterr)
{
	size_t count = ao_args_peek("bundle", argc, argv, args->bundles);
	args->options.bundles = args->bundles;
	args->options.bundle_count = count ? count : 1;
	int r = read_manifests(args, reterr);
	if (r == 0)
		r = parse(args, argc, argv, reterr);
	return r == 0 ? understand(args, reterr) : r;
}

int ao_cli_run(int argc, char **argv)
{
	ao_auto_json cJSON *declared = cJSON_CreateObject(), *settings = cJSON_CreateObject();
	ao_err *err = NULL;
	run_args args = {
	    .options = {.metrics_address = ":8080", .probe_address = ":8081", .load.flags = settings},
	    .bundles = ao_xcalloc((size_t)argc + 1, sizeof(*args.bundles)),
	    .declared = declared,
	    .settings = settings,
	};
	int prepared = prepare(&args, argc, argv, &err);
	int r = prepared == 0 ? ao_operator_run(&args.options, &err) : 0;
	ao_recorder_free(args.options.recorder);
	ao_scope_clear(&args.scope);
	free(args.bundles);
	return prepared < 0 ? ao_cli_fail(err, 2) : r < 0 ? ao_cli_fail(err, 1) : 0;
}
