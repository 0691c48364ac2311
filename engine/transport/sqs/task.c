/* task.c -- the steps of a task, each the answer to the one before:
 *
 *   ensure   URL known or asked -> attributes -> set what differs -> tags -> add what is missing
 *            ... or there is none -> create
 *   inspect  URL -> attributes
 *   delete   URL -> attributes, to see whether it is the one that is wanted, and empty -> delete
 *
 * A queue's URL is made of account and name, so a known URL stays right when the queue is made again.  A step that says "no such queue"
 * can therefore be believed without asking for the URL.
 * Answering is the last thing a function does, because the receiver may free everything. */
#include "transport/sqs/task.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "transport/broker.h"
#include "json/json.h"

#include <string.h>

#define DELAYED "ApproximateNumberOfMessagesDelayed"
#define UNSETTLED_MS 2000 /* SQS' own servers may disagree for a moment */
#define ACCOUNT_DIGITS 12

struct ao_sqs_task {
	ao_sqs_account *account;
	ao_sqs_task_request with;
	ao_sqs_api_call *call;
	cJSON *attributes; /* as found */
	cJSON *changes;
	char *url; /* once known: others may forget it meanwhile */
	char *arn, *dead_arn, *kept;
	ao_broker_answer answer;
	bool created_twice; /* somebody else made it between our look and our creation */
};

static const char *name_of(const ao_sqs_task *task) { return task->with.wanted->name; }

/* ---- URLs and the account ---- */

static void keep_id(ao_sqs_account *account, const char *id, size_t len)
{
	if (len != ACCOUNT_DIGITS || strspn(id, "0123456789") != len)
		return;
	free(account->id);
	account->id = ao_xstrndup(id, len);
}

/** Of "arn:aws:sqs:REGION:ACCOUNT:NAME". */
static void keep_id_of_arn(ao_sqs_account *account, const char *arn)
{
	for (int i = 0; arn && i < 4; i++)
		arn = (arn = strchr(arn, ':')) ? arn + 1 : NULL;
	if (arn)
		keep_id(account, arn, strcspn(arn, ":"));
}

/** Of "https://HOST/ACCOUNT/NAME". */
static void keep_id_of_url(ao_sqs_account *account, const char *url)
{
	const char *name = strrchr(url, '/');
	if (name && name - url > ACCOUNT_DIGITS && name[-ACCOUNT_DIGITS - 1] == '/')
		keep_id(account, name - ACCOUNT_DIGITS, ACCOUNT_DIGITS);
}

bool ao_sqs_account_is_other(const ao_sqs_account *account, const char *than)
{
	return account->id && than && strcmp(account->id, than) != 0;
}

void ao_sqs_account_forget_url(ao_sqs_account *account, const char *name) { free(ao_map_remove(account->urls, name)); }

const char *ao_sqs_account_keep_url(ao_sqs_account *account, const char *name, const cJSON *body)
{
	const char *url = ao_json_str(body, "QueueUrl");
	if (!url || !*url)
		return NULL;
	free(ao_map_put(account->urls, name, ao_xstrdup(url)));
	keep_id_of_url(account, url);
	return url;
}

static void set_url(ao_sqs_task *task, const char *url)
{
	free(task->url);
	task->url = ao_xstrdup(url);
}

/** @return false when the answer holds none */
static bool keep_url(ao_sqs_task *task, const cJSON *body)
{
	const char *url = ao_sqs_account_keep_url(task->account, name_of(task), body);
	if (url)
		set_url(task, url);
	return url != NULL;
}

void ao_sqs_account_clear(ao_sqs_account *account)
{
	size_t cursor = 0;
	char *url;
	while (account->urls && (url = ao_map_next(account->urls, &cursor, NULL)))
		free(url);
	ao_map_free(account->urls);
	ao_sqs_api_free(account->api);
	free(account->id);
	*account = (ao_sqs_account){0};
}

/* ---- the end ---- */

static void dispose(ao_sqs_task *task)
{
	if (task->call)
		ao_sqs_api_cancel(task->call);
	cJSON_Delete(task->attributes);
	cJSON_Delete(task->changes);
	free(task->url);
	free(task->arn);
	free(task->dead_arn);
	free(task->kept);
	free(task);
}

void ao_sqs_task_cancel(ao_sqs_task *task) { dispose(task); }
bool ao_sqs_task_tried(const ao_sqs_task *task) { return task->answer.tried; }

static void finish(ao_sqs_task *task)
{
	ao_broker_answer answer = task->answer;
	ao_auto_str char *arn = AO_TAKE(task->arn), *kept = AO_TAKE(task->kept);
	answer.kept = kept;
	ao_sqs_task_fn fn = task->with.fn;
	void *arg = task->with.arg;
	dispose(task);
	fn(arg, &answer, arn);
}

static void fail(ao_sqs_task *task, int error, const char *reason, uint64_t retry_ms, const char *text)
{
	ao_auto_str char *message = ao_xasprintf("queue \"%s\": %s", name_of(task), text);
	task->answer.error = error;
	task->answer.reason = reason;
	task->answer.message = message;
	task->answer.retry_ms = retry_ms;
	finish(task);
}

static void fail_as(ao_sqs_task *task, const ao_sqs_reply *reply)
{
	fail(task, reply->error, reply->reason, reply->retry_ms, reply->message);
}

/** SQS' own servers do not agree yet: nothing is wrong, but nothing can be done now. */
static void fail_unsettled(ao_sqs_task *task, const ao_sqs_reply *reply)
{
	fail(task, -EAGAIN, "BrokerError", UNSETTLED_MS, reply->message);
}

/* ---- requests ---- */

static void ask(ao_sqs_task *task, const char *action, cJSON *body, ao_sqs_reply_fn fn)
{
	task->call = ao_sqs_api_send(task->account->api, action, body, task->with.deadline_ms, fn, task);
}

/** Takes `value`; NULL for a request with nothing but the URL. */
static void ask_about(ao_sqs_task *task, const char *action, const char *key, cJSON *value, ao_sqs_reply_fn fn)
{
	cJSON *body = cJSON_CreateObject();
	ao_json_set_str(body, "QueueUrl", task->url);
	if (value)
		ao_json_set(body, key, value);
	ask(task, action, body, fn);
}

static bool may_still(void *arg)
{
	const ao_sqs_task *task = arg;
	return task->with.may(task->with.arg);
}

/** Another replica may lead now. @return true: the task is at its end */
static bool is_forbidden(ao_sqs_task *task)
{
	bool forbidden = !may_still(task);
	if (forbidden)
		fail(task, -EAGAIN, "BrokerError", 0, AO_BROKER_NOT_ALLOWED);
	return forbidden;
}

/** As ask_about(), of what changes something. Takes `value`. */
static void change(ao_sqs_task *task, const char *action, const char *key, cJSON *value, ao_sqs_reply_fn fn)
{
	if (is_forbidden(task)) {
		cJSON_Delete(value);
		return;
	}
	ask_about(task, action, key, value, fn);
	ao_sqs_api_only_while(task->call, may_still);
}

/* ---- tags, the last step of ensure ---- */

/** Older installations have no right to look at tags: without it everything but the tags works. */
static bool are_tags_refused(ao_sqs_task *task, const ao_sqs_reply *reply)
{
	if (reply->error != -EPERM)
		return false;
	if (!task->account->tags_refused)
		ao_warn(AO_TRANSPORT, name_of(task), "the tags of queues stay as they are: %s", reply->message);
	task->account->tags_refused = true;
	return true;
}

static void on_tagged(void *arg, const ao_sqs_reply *reply)
{
	ao_sqs_task *task = arg;
	task->call = NULL;
	if (!reply->error) {
		ao_info(AO_TRANSPORT, name_of(task), "queue tagged");
		task->answer.repaired = true;
	}
	if (reply->error && !are_tags_refused(task, reply))
		fail_as(task, reply);
	else
		finish(task);
}

static void on_tags(void *arg, const ao_sqs_reply *reply)
{
	ao_sqs_task *task = arg;
	task->call = NULL;
	if (reply->error && !are_tags_refused(task, reply)) {
		fail_as(task, reply);
		return;
	}
	cJSON *missing = reply->error ? NULL : ao_sqs_tag_changes(task->with.wanted, ao_json_at(reply->body, "Tags"));
	if (missing)
		change(task, "TagQueue", "Tags", missing, on_tagged);
	else
		finish(task);
}

static void look_at_tags(ao_sqs_task *task)
{
	const ao_sqs_wanted *wanted = task->with.wanted;
	if (wanted->create && wanted->tags->child && !task->account->tags_refused)
		ask_about(task, "ListQueueTags", NULL, NULL, on_tags);
	else
		finish(task);
}

/* ---- create ---- */

static void look_up(ao_sqs_task *task);
static void look(ao_sqs_task *task);

static void on_created(void *arg, const ao_sqs_reply *reply)
{
	ao_sqs_task *task = arg;
	task->call = NULL;
	task->answer.tried = reply->error && reply->error != -EEXIST;
	if (reply->error == -EEXIST && !task->created_twice) {
		task->created_twice = true;
		look_up(task);
	} else if (reply->error == -EEXIST || reply->error == -ENOENT) { /* the latter is the dead letter queue */
		fail_unsettled(task, reply);
	} else if (reply->error) {
		fail_as(task, reply);
	} else if (!keep_url(task, reply->body)) {
		fail(task, -EPROTO, "BrokerError", 0, "CreateQueue answered no URL");
	} else {
		ao_info(AO_TRANSPORT, name_of(task), "queue created");
		task->answer.exists = task->answer.created = true;
		task->answer.messages = task->answer.in_flight = 0;
		if (task->with.with_arn)
			look(task);
		else
			finish(task);
	}
}

static void create(ao_sqs_task *task)
{
	const ao_sqs_wanted *wanted = task->with.wanted;
	if (is_forbidden(task))
		return;
	cJSON *body = cJSON_CreateObject();
	if (task->dead_arn)
		ao_sqs_wanted_set_dead(task->with.wanted, task->dead_arn);
	ao_json_set_str(body, "QueueName", wanted->name);
	if (wanted->attributes->child)
		ao_json_set(body, "Attributes", cJSON_Duplicate(wanted->attributes, true));
	if (wanted->tags->child)
		ao_json_set(body, "tags", cJSON_Duplicate(wanted->tags, true)); /* in small letters, here alone */
	task->answer.tried = true;
	ask(task, "CreateQueue", body, on_created);
	ao_sqs_api_only_while(task->call, may_still);
}

/** The queue is not there. */
static void missing(ao_sqs_task *task)
{
	ao_auto_str char *text = NULL;
	ao_sqs_account_forget_url(task->account, name_of(task));
	if (task->with.verb != AO_BROKER_ENSURE) {
		finish(task);
	} else if (task->with.wanted->create) {
		create(task);
	} else {
		text = ao_xasprintf("does not exist at %s; create it, or let it be created (queues.autoCreate: true)",
				    ao_sqs_api_host(task->account->api));
		fail(task, -ENOENT, "QueueMissing", 0, text);
	}
}

/* ---- delete ---- */

/** All its messages, as far as it told; -1: it did not. */
static int64_t held_by(const ao_sqs_task *task)
{
	int64_t delayed = ao_sqs_count(task->attributes, DELAYED), waiting = task->answer.messages, in_flight = task->answer.in_flight;
	return waiting < 0 || in_flight < 0 || delayed < 0 ? -1 : waiting + in_flight + delayed;
}

static void on_deleted(void *arg, const ao_sqs_reply *reply)
{
	ao_sqs_task *task = arg;
	task->call = NULL;
	if (reply->error && reply->error != -ENOENT) {
		fail_as(task, reply);
		return;
	}
	if (!reply->error)
		ao_info(AO_TRANSPORT, name_of(task), "queue deleted");
	task->answer.exists = false;
	task->answer.deleted = !reply->error;
	task->answer.messages = reply->error ? -1 : held_by(task);
	task->answer.in_flight = -1;
	missing(task);
}

static void delete_unless_full(ao_sqs_task *task)
{
	int64_t held = held_by(task);
	if (held == 0 || !task->with.wanted->if_empty) {
		change(task, "DeleteQueue", NULL, NULL, on_deleted);
		return;
	}
	if (held < 0) {
		fail(task, -EPROTO, "BrokerError", 0, "GetQueueAttributes answered no counts");
		return;
	}
	ao_auto_str char *text = ao_xasprintf("holds %lld messages (%lld waiting, %lld in flight, %lld delayed) and is not deleted",
					      (long long)held, (long long)task->answer.messages, (long long)task->answer.in_flight,
					      (long long)ao_sqs_count(task->attributes, DELAYED));
	fail(task, -EBUSY, "QueueNotEmpty", 0, text);
}

/* ---- what is there ---- */

static void on_set(void *arg, const ao_sqs_reply *reply)
{
	ao_sqs_task *task = arg;
	task->call = NULL;
	if (reply->error == -ENOENT) {
		ao_sqs_account_forget_url(task->account, name_of(task));
		fail_unsettled(task, reply);
	} else if (reply->error) {
		fail_as(task, reply);
	} else {
		ao_auto_str char *text = ao_sqs_changes_text(task->changes, task->attributes);
		ao_info(AO_TRANSPORT, name_of(task), "queue put right: %s", text);
		task->answer.repaired = true;
		look_at_tags(task);
	}
}

static void find_changes(ao_sqs_task *task)
{
	if (!task->dead_arn)
		task->dead_arn = ao_sqs_dead_arn(task->with.wanted, task->arn);
	if (task->dead_arn)
		ao_sqs_wanted_set_dead(task->with.wanted, task->dead_arn);
	task->changes = ao_sqs_attribute_changes(task->with.wanted, task->attributes);
}

/** What is not as we would make it may be somebody else's, and its messages are not ours to delete. */
static void delete_if_as_wanted(ao_sqs_task *task)
{
	if (ao_sqs_account_is_other(task->account, task->with.account)) {
		ao_auto_str char *messages = ao_broker_count_text(held_by(task));
		task->kept = ao_xasprintf("queue %s stays in account %s with %s: the one that was made is in account %s", name_of(task),
					  task->account->id, messages, task->with.account);
		finish(task);
		return;
	}
	find_changes(task);
	if (!task->changes) {
		delete_unless_full(task);
		return;
	}
	ao_auto_str char *differences = ao_sqs_changes_text(task->changes, task->attributes);
	task->kept = ao_broker_spared(name_of(task), held_by(task), differences);
	finish(task);
}

static void compare(ao_sqs_task *task)
{
	find_changes(task);
	if (held_by(task) || !task->with.wanted->create)
		ao_sqs_spare_old_messages(task->with.wanted, task->attributes, &task->changes);
	if (!task->changes) {
		look_at_tags(task);
	} else if (task->with.wanted->create) {
		change(task, "SetQueueAttributes", "Attributes", cJSON_Duplicate(task->changes, true), on_set);
	} else {
		ao_auto_str char *differences = ao_sqs_changes_text(task->changes, task->attributes);
		ao_auto_str char *text = ao_xasprintf(
		    "%s; change the queue or the configuration, or let it be put right (queues.autoCreate: true)", differences);
		fail(task, -EINVAL, "QueueMismatch", 0, text);
	}
}

static void on_attributes(void *arg, const ao_sqs_reply *reply)
{
	ao_sqs_task *task = arg;
	task->call = NULL;
	if (reply->error == -ENOENT && task->answer.created) {
		fail_unsettled(task, reply);
		return;
	}
	if (reply->error == -ENOENT) {
		missing(task);
		return;
	}
	if (reply->error) {
		fail_as(task, reply);
		return;
	}
	cJSON_Delete(task->attributes);
	task->attributes = cJSON_Duplicate(ao_json_at(reply->body, "Attributes"), true);
	const char *arn = task->attributes ? ao_json_str(task->attributes, "QueueArn") : NULL;
	free(task->arn);
	task->arn = ao_xstrdup(arn);
	keep_id_of_arn(task->account, arn);
	task->answer.exists = true;
	task->answer.messages = ao_sqs_count(task->attributes, AO_SQS_WAITING);
	task->answer.in_flight = ao_sqs_count(task->attributes, AO_SQS_IN_FLIGHT);
	if (task->with.verb == AO_BROKER_ENSURE)
		compare(task);
	else if (task->with.verb == AO_BROKER_DELETE)
		delete_if_as_wanted(task);
	else
		finish(task);
}

static void look(ao_sqs_task *task)
{
	static const char *const always[] = {AO_SQS_WAITING, AO_SQS_IN_FLIGHT, DELAYED, "QueueArn"};
	const ao_sqs_wanted *wanted = task->with.wanted;
	cJSON *names = cJSON_CreateStringArray(always, AO_LEN(always));
	const cJSON *item;
	if (task->with.verb != AO_BROKER_INSPECT) {
		cJSON_ArrayForEach (item, wanted->attributes)
			cJSON_AddItemToArray(names, cJSON_CreateString(item->string));
		if (wanted->dead && !ao_json_at(wanted->attributes, "RedrivePolicy"))
			cJSON_AddItemToArray(names, cJSON_CreateString("RedrivePolicy"));
	}
	ask_about(task, "GetQueueAttributes", "AttributeNames", names, on_attributes);
}

static void on_url(void *arg, const ao_sqs_reply *reply)
{
	ao_sqs_task *task = arg;
	task->call = NULL;
	if (reply->error == -ENOENT)
		missing(task);
	else if (reply->error)
		fail_as(task, reply);
	else if (!keep_url(task, reply->body))
		fail(task, -EPROTO, "BrokerError", 0, "GetQueueUrl answered no URL");
	else
		look(task);
}

static void look_up(ao_sqs_task *task)
{
	cJSON *body = cJSON_CreateObject();
	ao_json_set_str(body, "QueueName", name_of(task));
	ask(task, "GetQueueUrl", body, on_url);
}

ao_sqs_task *ao_sqs_task_start(ao_sqs_account *account, const ao_sqs_task_request *request)
{
	ao_sqs_task *task = ao_xcalloc(1, sizeof(*task));
	*task = (ao_sqs_task){.account = account, .with = *request, .dead_arn = ao_xstrdup(request->dead_arn)};
	task->answer = (ao_broker_answer){.reason = "", .message = "", .messages = -1, .in_flight = -1};
	set_url(task, ao_map_get(account->urls, name_of(task)));
	if (task->url)
		look(task);
	else
		look_up(task);
	return task;
}
