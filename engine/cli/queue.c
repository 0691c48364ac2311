/*
 * queue.c -- what waits in the queues of parents and in their dead letter queues, and the way back from there.
 *
 * A dead letter queue may be that of many parents.  So a redrive takes only what died in the queue that it goes to, unless told otherwise.
 */
#include "base/log.h"
#include "base/mem.h"
#include "cli/asked.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/parents.h"

#include <stdio.h>
#include <string.h>

#define BODY_TEXT 160 /* bytes of a body in the text for people */

typedef struct queue_verb {
	ao_session session;
	ao_asker *asker;
	const char **names;
	const char *verb, *namespace_, *selector, *most_text;
	bool everywhere, dry_run, dead, any_origin, head;
	uint64_t most;
	ao_output output;
	cJSON *list; /* for -o json and yaml */
	size_t found, failed;
} queue_verb;

/** One queue of a parent. */
typedef struct subject {
	const char *namespace_, *parent;
	const cJSON *queue; /* of the plan */
	const char *name;
	const char *dead; /* NULL: it has no dead letter queue */
} subject;

static bool is(const queue_verb *v, const char *verb) { return strcmp(v->verb, verb) == 0; }
static bool prints_text(const queue_verb *v) { return v->output == AO_OUTPUT_TEXT || v->output == AO_OUTPUT_WIDE; }

static void complain(queue_verb *v, const subject *s, const char *message)
{
	fprintf(stderr, "error: %s/%s: %s\n", s->namespace_, s->parent, message);
	v->failed++;
}

static void ask(queue_verb *v, const subject *s, ao_broker_verb verb, const char *name, uint64_t most, ao_asked *ret)
{
	ao_auto_json cJSON *want = cJSON_CreateObject();
	ao_json_set_str(want, "name", name);
	const ao_broker_request request = {.verb = verb,
					   .queue = want,
					   .to = verb == AO_BROKER_MOVE ? s->name : NULL,
					   .origin = verb == AO_BROKER_MOVE && !v->any_origin ? s->name : NULL,
					   .most = most};
	ao_asker_ask(v->asker, s->namespace_, s->queue, &request, ret);
}

/** What is told of a parent's queue in JSON and YAML; borrowed from the list. */
static cJSON *add_row(queue_verb *v, const subject *s)
{
	cJSON *row = cJSON_CreateObject();
	ao_json_set_str(row, "namespace", s->namespace_);
	ao_json_set_str(row, "name", s->parent);
	ao_json_set_str(row, "queue", s->name);
	ao_json_set_str(row, "transport", ao_json_str(s->queue, "transport"));
	ao_json_set_str(row, "deadLetterQueue", s->dead);
	cJSON_AddItemToArray(v->list, row);
	return row;
}

static void set_count(cJSON *row, const char *key, int64_t count)
{
	if (count >= 0)
		ao_json_set(row, key, cJSON_CreateNumber((double)count));
}

/** "12"; "-" for a count that is not known. */
static const char *count_text(char text[32], int64_t count)
{
	snprintf(text, 32, count < 0 ? "-" : "%lld", (long long)count);
	return text;
}

/* ---- ls ---- */

static void print_line(queue_verb *v, const subject *s, const ao_broker_answer *main, int64_t dead)
{
	char waiting[32], flight[32], letters[32];
	const char *transport = ao_json_str(s->queue, "transport");
	bool wide = v->output == AO_OUTPUT_WIDE;
	if (!v->head) {
		printf("%-15s %-20s %-28s %8s %9s %6s%s\n", "NAMESPACE", "NAME", "QUEUE", "WAITING", "IN-FLIGHT", "DEAD",
		       wide ? " TRANSPORT    DEAD LETTER QUEUE" : "");
		v->head = true;
	}
	printf("%-15s %-20s %-28s %8s %9s %6s", s->namespace_, s->parent, s->name, count_text(waiting, main->messages),
	       count_text(flight, main->in_flight), count_text(letters, dead));
	if (wide)
		printf(" %-12s %s", transport ? transport : "", s->dead ? s->dead : "-");
	printf("\n");
}

static void list_one(queue_verb *v, const subject *s)
{
	ao_auto_asked ao_asked main = {0}, dead = {0};
	ask(v, s, AO_BROKER_INSPECT, s->name, 0, &main);
	dead.answer.messages = -1;
	if (main.answer.error)
		complain(v, s, main.answer.message);
	else if (s->dead)
		ask(v, s, AO_BROKER_INSPECT, s->dead, 0, &dead);
	if (dead.answer.error)
		complain(v, s, dead.answer.message);
	cJSON *row = add_row(v, s);
	set_count(row, "messages", main.answer.messages);
	set_count(row, "inFlight", main.answer.in_flight);
	set_count(row, "deadLetters", dead.answer.messages);
	if (prints_text(v))
		print_line(v, s, &main.answer, dead.answer.messages);
}

/* ---- peek ---- */

/** In quotes, and with escapes for what a terminal would obey. */
static void print_body(const cJSON *message, bool wide)
{
	const char *body = ao_json_str(message, "body");
	size_t len = body ? strlen(body) : 0;
	ao_auto_str char *cut = ao_xstrndup(body ? body : "", wide || len < BODY_TEXT ? len : BODY_TEXT);
	ao_auto_buf ao_buf text = ao_buf_init(1 << 20);
	ao_buf_put_json_string(&text, cut);
	if (body)
		printf("  %s%s\n", text.data, strlen(cut) < len || ao_json_at(message, "cut") ? " ..." : "");
	else
		printf("  (no text)\n");
}

static void print_message(const cJSON *message, int number, bool wide)
{
	const char *id = ao_json_str(message, "id");
	int64_t receives = 0, size = 0;
	ao_auto_buf ao_buf name = ao_buf_init(4096);
	ao_json_int(ao_json_at(message, "size"), &size);
	ao_buf_put_json_string(&name, id ? id : "");
	printf("%d. %s%s%lld bytes", number, id ? name.data : "", id ? ", " : "", (long long)size);
	if (ao_json_int(ao_json_at(message, "receives"), &receives))
		printf(", received %lld time%s", (long long)receives, receives == 1 ? "" : "s");
	printf("%s\n", cJSON_IsTrue(ao_json_at(message, "redelivered")) ? ", delivered before" : "");
	if (wide) {
		ao_auto_json cJSON *more = cJSON_CreateObject();
		if (ao_json_at(message, "headers"))
			ao_json_set(more, "headers", cJSON_Duplicate(ao_json_at(message, "headers"), 1));
		if (ao_json_at(message, "properties"))
			ao_json_set(more, "properties", cJSON_Duplicate(ao_json_at(message, "properties"), 1));
		ao_auto_str char *text = ao_json_print(more);
		printf("  %s\n", text);
	}
	print_body(message, wide);
}

/** The queue that `peek` and `redrive` are about. @return NULL: there is none, which was said */
static const char *from_of(queue_verb *v, const subject *s)
{
	bool dead = v->dead || is(v, "redrive");
	if (dead && !s->dead)
		complain(v, s, "has no dead letter queue (queues.dlq.enabled of its transport)");
	return dead ? s->dead : s->name;
}

static void peek_one(queue_verb *v, const subject *s)
{
	ao_auto_asked ao_asked asked = {0};
	const char *from = from_of(v, s);
	int number = 0;
	const cJSON *message;
	if (!from)
		return;
	ask(v, s, v->dry_run ? AO_BROKER_INSPECT : AO_BROKER_PEEK, from, v->most, &asked);
	if (asked.answer.error || !asked.answer.exists) {
		complain(v, s, asked.answer.error ? asked.answer.message : "its queue is not there yet");
		return;
	}
	cJSON *row = add_row(v, s);
	set_count(row, "messages", asked.answer.messages);
	if (asked.seen)
		ao_json_set(row, "seen", cJSON_Duplicate(asked.seen, 1));
	if (prints_text(v))
		printf("%s/%s: queue %s holds %lld message%s%s\n", s->namespace_, s->parent, from, (long long)asked.answer.messages,
		       asked.answer.messages == 1 ? "" : "s", v->dry_run ? "; none was looked at (dry run)" : "");
	cJSON_ArrayForEach (message, asked.seen)
		if (prints_text(v))
			print_message(message, ++number, v->output == AO_OUTPUT_WIDE);
	if (asked.cost && cJSON_GetArraySize(asked.seen))
		ao_cli_note(asked.cost);
}

/* ---- redrive ---- */

static void tell_moved(queue_verb *v, const subject *s, const ao_broker_answer *sum, int64_t rest)
{
	cJSON *row = add_row(v, s);
	set_count(row, "moved", (int64_t)sum->moved);
	set_count(row, "left", (int64_t)sum->left);
	set_count(row, "again", (int64_t)sum->again);
	set_count(row, "deadLetters", rest);
	ao_json_set_str(row, "why", sum->why);
	if (!prints_text(v))
		return;
	ao_auto_str char *moved = ao_broker_count_text((int64_t)sum->moved);
	printf("%s/%s: %s moved from %s to %s", s->namespace_, s->parent, moved, s->dead, s->name);
	if (rest >= 0)
		printf("; %lld left", (long long)rest);
	if (sum->again)
		printf("; at most %llu may come twice", (unsigned long long)sum->again);
	printf("\n");
	if (sum->left)
		printf("  not moved: %s\n", sum->why);
}

/** In calls of some seconds each, until enough is moved or nothing more moves. */
static void redrive_one(queue_verb *v, const subject *s)
{
	ao_broker_answer sum = {0};
	ao_auto_str char *why = NULL;
	int64_t rest = -1;
	bool more = from_of(v, s) != NULL;
	if (!more)
		return;
	while (more) {
		ao_auto_asked ao_asked asked = {0};
		ask(v, s, AO_BROKER_MOVE, s->dead, v->most - sum.moved, &asked);
		sum.moved += asked.answer.moved;
		sum.again += asked.answer.again;
		sum.left = asked.answer.left;
		rest = asked.answer.messages;
		free(why);
		why = AO_TAKE(asked.why);
		if (asked.answer.error)
			complain(v, s, asked.answer.message);
		more = !asked.answer.error && asked.answer.moved && !sum.left && sum.moved < v->most && rest != 0;
	}
	sum.why = why;
	tell_moved(v, s, &sum, rest);
}

static void plan_redrive(queue_verb *v, const subject *s)
{
	ao_auto_asked ao_asked dead = {0};
	if (!from_of(v, s))
		return;
	ask(v, s, AO_BROKER_INSPECT, s->dead, 0, &dead);
	if (dead.answer.error) {
		complain(v, s, dead.answer.message);
		return;
	}
	int64_t there = dead.answer.exists ? dead.answer.messages : 0;
	set_count(add_row(v, s), "deadLetters", there);
	ao_auto_str char *held = ao_broker_count_text(there);
	if (prints_text(v))
		printf("%s/%s: %s in %s; at most %llu would go to %s%s (dry run)\n", s->namespace_, s->parent, held, s->dead,
		       (unsigned long long)v->most, s->name, v->any_origin ? "" : ", of those that died there");
}

/* ---- all of them ---- */

static void on_parent(void *arg, const cJSON *parent)
{
	queue_verb *v = arg;
	ao_auto_json cJSON *queues = NULL;
	ao_auto_err ao_err *err = NULL;
	const char *namespace_ = ao_json_str(parent, "metadata", "namespace");
	subject s = {.namespace_ = namespace_ ? namespace_ : "", .parent = ao_json_str(parent, "metadata", "name")};
	v->found++;
	if (ao_asker_queues(v->asker, parent, &queues, &err) < 0) {
		complain(v, &s, ao_err_text(err));
		return;
	}
	cJSON_ArrayForEach (s.queue, queues) {
		s.name = ao_json_str(s.queue, "want", "name");
		s.dead = ao_json_str(s.queue, "want", "deadLetter", "name");
		if (is(v, "ls"))
			list_one(v, &s);
		else if (cJSON_IsTrue(ao_json_at(s.queue, "leaving")))
			continue;
		else if (is(v, "peek"))
			peek_one(v, &s);
		else if (v->dry_run)
			plan_redrive(v, &s);
		else
			redrive_one(v, &s);
	}
}

static void on_error(void *arg, int code, ao_err *err)
{
	queue_verb *v = arg;
	if (code < 0) {
		fprintf(stderr, "error: %s\n", ao_err_text(err));
		v->failed++;
	}
	ao_err_free(err);
}

static int run(queue_verb *v, const ao_load_options *load, const ao_session_flags *flags, ao_err **reterr)
{
	int r = ao_session_open(flags, &v->session, reterr);
	if (r == 0)
		r = ao_asker_new(&v->session, load, &v->asker, reterr);
	if (r < 0)
		return r;
	ao_parents_each(&v->session, &(ao_parents_request){.manifest = ao_asker_manifest(v->asker),
							   .names = v->names,
							   .namespace_ = v->namespace_,
							   .selector = v->selector,
							   .everywhere = v->everywhere,
							   .on_parent = on_parent,
							   .on_error = on_error,
							   .arg = v});
	if (!v->found && !v->failed)
		fprintf(stderr, "no resources found\n");
	ao_output_value(v->output, v->list);
	return 0;
}

static int check(queue_verb *v, ao_err **reterr)
{
	char *end = NULL;
	if (!v->verb)
		return ao_err_set(reterr, -EINVAL, "name one of ls, peek, redrive");
	v->most = is(v, "peek") ? 10 : 100;
	if (v->most_text)
		v->most = strtoull(v->most_text, &end, 10);
	if (v->most_text && (*v->most_text < '0' || *v->most_text > '9' || *end || v->most < 1 || v->most > 1000000))
		return ao_err_set(reterr, -EINVAL, "--max: expected a number from 1 to 1000000, got '%s'", v->most_text);
	if (v->names[0] && (v->everywhere || v->selector))
		return ao_err_set(reterr, -EINVAL, "names cannot be used with -A or -l");
	if (v->everywhere && v->namespace_)
		return ao_err_set(reterr, -EINVAL, "-A and -n exclude each other");
	if (!is(v, "ls") && !v->names[0] && !v->everywhere && !v->selector)
		return ao_err_set(reterr, -EINVAL, "say whose: names, -l SELECTOR, or -A; see --help");
	if (is(v, "ls") && (v->dead || v->any_origin || v->dry_run || v->most_text))
		return ao_err_set(reterr, -EINVAL, "ls only counts: it knows none of --dead, --any-origin, --dry-run and --max");
	if (!is(v, "redrive") && v->any_origin)
		return ao_err_set(reterr, -EINVAL, "--any-origin is for redrive");
	return 0;
}

static int parse(queue_verb *v, ao_load_options *load, ao_session_flags *session, int argc, char **argv, ao_err **reterr)
{
	const char *output = "text";
	const ao_flag flags[] = {
	    {"namespace", 'n', .text = &v->namespace_, .value = "NS", .help = "where the actors are (default: that of the kubeconfig)"},
	    {"all-namespaces", 'A', .yes = &v->everywhere, .help = "actors of all namespaces, or of those of --watch-namespaces"},
	    {"selector", 'l', .text = &v->selector, .value = "SELECTOR", .help = "only actors that have these labels"},
	    {"max", 0, .text = &v->most_text, .value = "N", .help = "of each actor at most so many messages (peek: 10, redrive: 100)"},
	    {"dead", 0, .yes = &v->dead, .help = "peek: into the dead letter queue"},
	    {"any-origin", 0, .yes = &v->any_origin,
	     .help = "redrive: also what did not die in the actor's queue, or does not say where it died"},
	    {"dry-run", 0, .yes = &v->dry_run, .help = "peek, redrive: only count; no message is touched"},
	    {"policies", 0, .text = &load->policies_dir, .value = "DIR", .help = "policy files that lie over those of the cluster"},
	    {"config", 0, .text = &load->config_file, .value = "FILE", .help = "settings and policy parameters, YAML"},
	    AO_OUTPUT_FLAG(&output, "text, wide, json or yaml", "text"),
	    AO_SESSION_FLAGS(session),
	};
	static const ao_example examples[] = {
	    {"what waits, and where dead letters are", "queue ls -A --operator-namespace asya-system"},
	    {"why messages of an actor died", "queue peek resize -n asya --dead --max 3 -o wide --operator-namespace asya-system"},
	    {"what a redrive would take", "queue redrive resize -n asya --dry-run --operator-namespace asya-system"},
	    {"one dead letter back, to try", "queue redrive resize -n asya --max 1 --operator-namespace asya-system"},
	    {0},
	};
	int r = ao_args_parse(
	    &(ao_verb){
		.usage = "queue ls|peek|redrive [NAME...] [flags]",
		.about =
		    "ls counts what waits in actors' queues. peek shows messages, which stay: to the broker each is delivered once more,\n"
		    "so SQS counts a receive, and may send it to the dead letter queue at the next one; RabbitMQ marks it as\n"
		    "redelivered. redrive moves messages from an actor's dead letter queue back to its queue; none gets lost,\n"
		    "whenever it is stopped, and at most those that were on their way come twice.\n"
		    "Brokers are asked from here, with the passwords that the actors' Secrets hold.",
		.flags = flags,
		.flag_count = AO_LEN(flags),
		.arguments = v->names,
		.argument = "NAME",
		.one_of = "ls, peek or redrive",
		.names_follow = true,
		.examples = examples},
	    argc, argv, reterr);
	v->output = ao_output_read(output);
	return r;
}

int ao_cli_queue(int argc, char **argv)
{
	const char **arguments = ao_xcalloc((size_t)argc + 2, sizeof(*arguments));
	queue_verb v = {.names = arguments, .list = cJSON_CreateArray()};
	ao_load_options load = {.on_note = ao_cli_note, .limits = AO_CLI_LIMITS};
	ao_session_flags session = {0};
	ao_err *err = NULL;
	int r = parse(&v, &load, &session, argc, argv, &err);
	v.verb = arguments[0];
	v.names = arguments + (v.verb != NULL);
	ao_log_setup(AO_LOG_WARN, false);
	bool usage = r < 0 || (r == 0 && check(&v, &err) < 0);
	if (r == 0 && !usage)
		r = run(&v, &load, &session, &err);
	ao_asker_free(v.asker);
	ao_session_close(&v.session);
	cJSON_Delete(v.list);
	free(arguments);
	return usage ? ao_cli_fail(err, 2) : r < 0 ? ao_cli_fail(err, 1) : v.failed ? 1 : 0;
}
