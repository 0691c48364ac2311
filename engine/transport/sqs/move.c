/*
 * move.c -- URL -> attributes -> URL of the other queue -> (receive -> send -> delete) again and again -> attributes.
 *
 * SQS takes and gives at most ten messages a request, and sends no more than SEND_BYTES of them at once, so a batch is sent in parts.
 * A message that was not sent is made visible again; where even that fails it comes back by itself, when its time is over.
 * PEEK receives as well, since SQS has no other way to look, and makes all of it visible again.
 */
#include "transport/sqs/move.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "transport/broker.h"
#include "json/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 10
#define SEND_BYTES (256 * 1024)
#define MIN_HIDDEN_S 20

struct ao_sqs_move {
	ao_sqs_account *account;
	ao_sqs_move_request with;
	char *from, *to, *origin;
	char *from_url, *to_url;
	ao_sqs_api_call *call;
	cJSON *batch;  /* received, and not yet sent: [message] */
	cJSON *on_way; /* ... taken out of it and being sent, or deleted, in the order of their entries */
	cJSON *back;   /* receipt handles of what is to be made visible again */
	uint64_t received, moved, left, again, astray;
	char *why, *cost, *trouble; /* the latter of answer.error */
	cJSON *seen;
	ao_broker_answer answer;
};

/* ---- the end ---- */

static void dispose(ao_sqs_move *m)
{
	if (m->call)
		ao_sqs_api_cancel(m->call);
	cJSON_Delete(m->batch);
	cJSON_Delete(m->on_way);
	cJSON_Delete(m->back);
	cJSON_Delete(m->seen);
	free(m->from);
	free(m->to);
	free(m->origin);
	free(m->from_url);
	free(m->to_url);
	free(m->why);
	free(m->cost);
	free(m->trouble);
	free(m);
}

void ao_sqs_move_cancel(ao_sqs_move *m) { dispose(m); }

void ao_sqs_move_tell(const ao_sqs_move *m, ao_broker_answer *ret)
{
	ret->moved = m->moved;
	ret->left = m->left;
	ret->again = m->again + (uint64_t)cJSON_GetArraySize(m->on_way);
	ret->why = m->why;
	ret->seen = m->seen;
	ret->cost = m->cost;
}

static void finish(ao_sqs_move *m)
{
	ao_broker_answer answer = m->answer;
	answer.message = m->trouble ? m->trouble : "";
	ao_sqs_move_tell(m, &answer);
	ao_sqs_task_fn fn = m->with.fn;
	void *arg = m->with.arg;
	fn(arg, &answer, NULL);
	dispose(m); /* not before: the answer borrows from it */
}

/** The first thing that went wrong is told. */
static void trouble(ao_sqs_move *m, int error, const char *reason, uint64_t retry_ms, const char *text)
{
	if (m->answer.error)
		return;
	m->trouble = ao_xasprintf("queue \"%s\": %s", m->from, text);
	m->answer.error = error;
	m->answer.reason = reason;
	m->answer.retry_ms = retry_ms;
}

static void trouble_of(ao_sqs_move *m, const ao_sqs_reply *reply)
{
	trouble(m, reply->error, reply->reason, reply->retry_ms, reply->message);
}

static bool may_still(void *arg)
{
	const ao_sqs_move *m = arg;
	return m->with.may(m->with.arg);
}

/** Another replica may lead now, and messages are to go elsewhere. */
static bool is_forbidden(ao_sqs_move *m)
{
	bool forbidden = !may_still(m);
	if (forbidden)
		trouble(m, -EAGAIN, "BrokerError", 0, AO_BROKER_NOT_ALLOWED);
	return forbidden;
}

/* ---- requests ---- */

static void ask(ao_sqs_move *m, const char *action, cJSON *body, ao_sqs_reply_fn fn)
{
	m->call = ao_sqs_api_send(m->account->api, action, body, m->with.deadline_ms, fn, m);
}

/** Takes `value`. */
static void ask_about(ao_sqs_move *m, const char *url, const char *action, const char *key, cJSON *value, ao_sqs_reply_fn fn)
{
	cJSON *body = cJSON_CreateObject();
	ao_json_set_str(body, "QueueUrl", url);
	ao_json_set(body, key, value);
	ask(m, action, body, fn);
}

static void ask_url(ao_sqs_move *m, const char *name, ao_sqs_reply_fn fn)
{
	cJSON *body = cJSON_CreateObject();
	ao_json_set_str(body, "QueueName", name);
	ask(m, "GetQueueUrl", body, fn);
}

/** An entry of a batch, named after its place in it. Borrowed. */
static cJSON *add_entry(cJSON *entries, const char *receipt)
{
	ao_auto_str char *id = ao_xasprintf("%d", cJSON_GetArraySize(entries));
	cJSON *entry = cJSON_CreateObject();
	ao_json_set_str(entry, "Id", id);
	ao_json_set_str(entry, "ReceiptHandle", receipt);
	cJSON_AddItemToArray(entries, entry);
	return entry;
}

static const char *receipt_of(const cJSON *message) { return ao_json_str(message, "ReceiptHandle"); }

/** What the batch's answer says of entry `id` in "Successful" or "Failed"; NULL: nothing. */
static const cJSON *entry_of(const ao_sqs_reply *reply, const char *list, int id)
{
	char text[16];
	snprintf(text, sizeof(text), "%d", id);
	return ao_json_item(ao_json_at(reply->body, list), "Id", text);
}

/* ---- the last steps ---- */

static void on_recounted(void *arg, const ao_sqs_reply *reply)
{
	ao_sqs_move *m = arg;
	m->call = NULL;
	if (reply->error)
		trouble_of(m, reply);
	m->answer.messages = ao_sqs_count(ao_json_at(reply->body, "Attributes"), AO_SQS_WAITING);
	m->answer.in_flight = ao_sqs_count(ao_json_at(reply->body, "Attributes"), AO_SQS_IN_FLIGHT);
	finish(m);
}

static void ask_attributes(ao_sqs_move *m, ao_sqs_reply_fn fn)
{
	static const char *const names[] = {AO_SQS_WAITING, AO_SQS_IN_FLIGHT, "RedrivePolicy"};
	ask_about(m, m->from_url, "GetQueueAttributes", "AttributeNames", cJSON_CreateStringArray(names, AO_LEN(names)), fn);
}

static void end(ao_sqs_move *m);

static void on_given_back(void *arg, const ao_sqs_reply *reply)
{
	ao_sqs_move *m = arg;
	m->call = NULL;
	if (reply->error) { /* then they come back by themselves */
		ao_warn(AO_TRANSPORT, m->from, "messages that were only looked at stay hidden for a while: %s", reply->message);
		cJSON_Delete(AO_TAKE(m->back));
	}
	end(m);
}

/** Nothing more is received. */
static void end(ao_sqs_move *m)
{
	cJSON *entries = m->back && m->back->child ? cJSON_CreateArray() : NULL;
	for (int i = 0; entries && i < BATCH && m->back->child; i++) {
		cJSON *receipt = cJSON_DetachItemFromArray(m->back, 0);
		ao_json_set(add_entry(entries, receipt->valuestring), "VisibilityTimeout", cJSON_CreateNumber(0));
		cJSON_Delete(receipt);
	}
	if (entries)
		ask_about(m, m->from_url, "ChangeMessageVisibilityBatch", "Entries", entries, on_given_back);
	else
		ask_attributes(m, on_recounted);
}

static void give_back(ao_sqs_move *m, const cJSON *message)
{
	if (!m->back)
		m->back = cJSON_CreateArray();
	cJSON_AddItemToArray(m->back, cJSON_CreateString(receipt_of(message)));
}

/** What is left of the batch stays. */
static void keep_rest(ao_sqs_move *m)
{
	const cJSON *message;
	cJSON_ArrayForEach (message, m->on_way)
		give_back(m, message);
	cJSON_ArrayForEach (message, m->batch)
		give_back(m, message);
	cJSON_Delete(AO_TAKE(m->on_way));
	cJSON_Delete(AO_TAKE(m->batch));
	end(m);
}

static void give_up(ao_sqs_move *m, const ao_sqs_reply *reply)
{
	bool unknown = reply->error == -EIO || reply->error == -ETIME || reply->error == -EAGAIN;
	trouble_of(m, reply);
	m->again += unknown ? (uint64_t)cJSON_GetArraySize(m->on_way) : 0;
	keep_rest(m);
}

/* ---- send and delete ---- */

static void send_part(ao_sqs_move *m);

static void on_deleted(void *arg, const ao_sqs_reply *reply)
{
	ao_sqs_move *m = arg;
	m->call = NULL;
	int count = cJSON_GetArraySize(m->on_way);
	for (int i = 0; i < count; i++)
		m->again += !entry_of(reply, "Successful", i);
	cJSON_Delete(AO_TAKE(m->on_way));
	if (reply->error) {
		give_up(m, reply);
		return;
	}
	send_part(m);
}

/** What was sent is deleted; what was not stays. */
static void on_sent(void *arg, const ao_sqs_reply *reply)
{
	ao_sqs_move *m = arg;
	m->call = NULL;
	if (reply->error) {
		give_up(m, reply);
		return;
	}
	cJSON *sent = AO_TAKE(m->on_way), *entries = cJSON_CreateArray(), *message;
	m->on_way = cJSON_CreateArray();
	for (int i = 0; (message = cJSON_DetachItemFromArray(sent, 0)); i++) {
		if (entry_of(reply, "Successful", i)) {
			add_entry(entries, receipt_of(message));
			cJSON_AddItemToArray(m->on_way, message);
			m->moved++;
			continue;
		}
		const char *why = ao_json_str(entry_of(reply, "Failed", i), "Message");
		m->left++;
		free(m->why);
		m->why = ao_xasprintf("SQS does not take %s: %s", m->left > 1 ? "some, the last of them" : "one",
				      why ? why : "it does not say why");
		give_back(m, message);
		cJSON_Delete(message);
	}
	cJSON_Delete(sent);
	if (entries->child) {
		ask_about(m, m->from_url, "DeleteMessageBatch", "Entries", entries, on_deleted);
	} else {
		cJSON_Delete(entries);
		cJSON_Delete(AO_TAKE(m->on_way));
		send_part(m);
	}
}

/** Lists and empty values that some servers put beside what may be sent. */
static cJSON *attributes_of(const cJSON *message, size_t *size)
{
	static const char *const parts[] = {"DataType", "StringValue", "BinaryValue"};
	cJSON *all = cJSON_CreateObject();
	const cJSON *each;
	cJSON_ArrayForEach (each, ao_json_at(message, "MessageAttributes")) {
		cJSON *one = ao_json_object(all, each->string);
		*size += strlen(each->string);
		for (size_t i = 0; i < AO_LEN(parts); i++) {
			const char *text = ao_json_str(each, parts[i]);
			ao_json_set_str(one, parts[i], text);
			*size += text ? strlen(text) : 0;
		}
	}
	return all;
}

/** The message as it is to be sent. */
static cJSON *outgoing(const cJSON *message, size_t *size)
{
	cJSON *entry = cJSON_CreateObject(), *attributes = attributes_of(message, size);
	const char *body = ao_json_str(message, "Body"), *group = ao_json_str(message, "Attributes", "MessageGroupId");
	const char *trace = ao_json_str(message, "Attributes", "AWSTraceHeader");
	ao_json_set_str(entry, "MessageBody", body ? body : "");
	*size += body ? strlen(body) : 0;
	if (attributes->child)
		ao_json_set(entry, "MessageAttributes", AO_TAKE(attributes));
	cJSON_Delete(attributes);
	ao_json_set_str(entry, "MessageGroupId", group); /* of a fair queue */
	if (trace) {
		cJSON *value = ao_json_object(ao_json_object(entry, "MessageSystemAttributes"), "AWSTraceHeader");
		ao_json_set_str(value, "DataType", "String");
		ao_json_set_str(value, "StringValue", trace);
	}
	return entry;
}

static void receive(ao_sqs_move *m);

/** Sends as much of the batch as one request may hold; receives the next one when there is nothing left. */
static void send_part(ao_sqs_move *m)
{
	if (m->batch && m->batch->child && is_forbidden(m)) {
		keep_rest(m);
		return;
	}
	cJSON *entries = cJSON_CreateArray();
	size_t sum = 0;
	m->on_way = cJSON_CreateArray();
	while (m->batch && m->batch->child) {
		size_t size = 0;
		cJSON *entry = outgoing(m->batch->child, &size);
		if (entries->child && sum + size > SEND_BYTES) {
			cJSON_Delete(entry);
			break;
		}
		ao_auto_str char *id = ao_xasprintf("%d", cJSON_GetArraySize(entries));
		ao_json_set_str(entry, "Id", id);
		cJSON_AddItemToArray(entries, entry);
		cJSON_AddItemToArray(m->on_way, cJSON_DetachItemFromArray(m->batch, 0));
		sum += size;
	}
	if (entries->child) {
		ask_about(m, m->to_url, "SendMessageBatch", "Entries", entries, on_sent);
		ao_sqs_api_only_while(m->call, may_still);
		return;
	}
	cJSON_Delete(entries);
	cJSON_Delete(AO_TAKE(m->on_way));
	receive(m);
}

/* ---- receive ---- */

static cJSON *shown(const cJSON *message)
{
	cJSON *all = cJSON_CreateObject(), *headers = NULL, *properties = cJSON_Duplicate(ao_json_at(message, "Attributes"), true);
	const char *body = ao_json_str(message, "Body"), *receives = ao_json_str(properties, "ApproximateReceiveCount");
	const cJSON *each;
	ao_json_set_str(all, "id", ao_json_str(message, "MessageId"));
	ao_broker_show_body(all, body ? body : "", body ? strlen(body) : 0, body ? strlen(body) : 0);
	if (receives)
		ao_json_set(all, "receives", cJSON_CreateNumber((double)strtoull(receives, NULL, 10)));
	cJSON_ArrayForEach (each, ao_json_at(message, "MessageAttributes")) {
		headers = ao_json_object(all, "headers");
		ao_json_set_str(headers, each->string, ao_json_str(each, "StringValue"));
	}
	if (properties)
		ao_json_set(all, "properties", properties);
	return all;
}

/** Takes those out of the batch that are not of the queue whose dead letters are wanted. */
static void leave_strays(ao_sqs_move *m)
{
	ao_auto_str char *end = m->origin ? ao_xasprintf(":%s", m->origin) : NULL;
	cJSON *message = end ? m->batch->child : NULL, *next;
	for (; message; message = next) {
		next = message->next;
		const char *arn = ao_json_str(message, "Attributes", "DeadLetterQueueSourceArn"), *colon = arn ? strrchr(arn, ':') : NULL;
		if (colon && strcmp(colon, end) == 0)
			continue;
		give_back(m, message);
		m->left++;
		m->astray++;
		cJSON_Delete(cJSON_DetachItemViaPointer(m->batch, message));
	}
	if (!m->astray)
		return;
	free(m->why);
	m->why = ao_xasprintf("%llu that did not die in that queue, or do not say where", (unsigned long long)m->astray);
}

static void on_received(void *arg, const ao_sqs_reply *reply)
{
	ao_sqs_move *m = arg;
	m->call = NULL;
	const cJSON *messages = ao_json_at(reply->body, "Messages"), *each;
	if (reply->error)
		trouble_of(m, reply);
	if (!messages || !messages->child) {
		end(m);
		return;
	}
	m->received += (uint64_t)cJSON_GetArraySize(messages);
	if (m->with.verb == AO_BROKER_MOVE) {
		m->batch = cJSON_Duplicate(messages, true);
		leave_strays(m);
		send_part(m);
		return;
	}
	cJSON_ArrayForEach (each, messages) {
		cJSON_AddItemToArray(m->seen, shown(each));
		give_back(m, each);
	}
	receive(m);
}

static int hidden_s(const ao_sqs_move *m)
{
	uint64_t seconds = m->with.timeout_ms / 1000 + 5;
	return seconds < MIN_HIDDEN_S ? MIN_HIDDEN_S : seconds > 43200 ? 43200 : (int)seconds;
}

/** The next batch. Half of the time is for what is under way, so that a move ends with an answer and not with its time. */
static void receive(ao_sqs_move *m)
{
	bool early = ao_mono_ms() + m->with.timeout_ms / 2 < m->with.deadline_ms;
	uint64_t more = m->with.most > m->received ? m->with.most - m->received : 0;
	cJSON_Delete(AO_TAKE(m->batch));
	if (is_forbidden(m) || !early || !more || cJSON_GetArraySize(m->back) >= AO_BROKER_PEEK_MOST) {
		end(m);
		return;
	}
	cJSON *body = cJSON_CreateObject(), *all = cJSON_CreateArray();
	cJSON_AddItemToArray(all, cJSON_CreateString("All"));
	ao_json_set_str(body, "QueueUrl", m->from_url);
	ao_json_set(body, "MaxNumberOfMessages", cJSON_CreateNumber(more < BATCH ? (double)more : BATCH));
	ao_json_set(body, "VisibilityTimeout", cJSON_CreateNumber(hidden_s(m)));
	ao_json_set(body, "WaitTimeSeconds", cJSON_CreateNumber(1)); /* 0 would ask only some of SQS' servers */
	ao_json_set(body, "MessageAttributeNames", cJSON_Duplicate(all, true));
	ao_json_set(body, "AttributeNames", all);
	ask(m, "ReceiveMessage", body, on_received);
}

/* ---- the first steps ---- */

static void on_target(void *arg, const ao_sqs_reply *reply)
{
	ao_sqs_move *m = arg;
	m->call = NULL;
	const char *url = reply->error ? NULL : ao_sqs_account_keep_url(m->account, m->to, reply->body);
	if (reply->error == -ENOENT) {
		ao_auto_str char *text = ao_xasprintf("queue %s is not there, so nothing was moved to it", m->to);
		trouble(m, -ENOENT, "QueueMissing", 0, text);
	} else if (reply->error) {
		trouble_of(m, reply);
	} else if (!url) {
		trouble(m, -EPROTO, "BrokerError", 0, "GetQueueUrl answered no URL");
	}
	if (m->answer.error) {
		finish(m);
		return;
	}
	m->to_url = ao_xstrdup(url);
	receive(m);
}

/** What a look costs, which depends on what the queue does with messages that nobody deletes. */
static char *cost_of(const cJSON *attributes)
{
	const char *policy = ao_json_str(attributes, "RedrivePolicy");
	ao_auto_json cJSON *read = NULL;
	int64_t most = 0;
	if (policy && ao_json_parse(policy, strlen(policy), &read, NULL) == 0) {
		const cJSON *count = ao_json_at(read, "maxReceiveCount");
		if (!ao_json_int(count, &most) && cJSON_IsString(count))
			most = strtoll(count->valuestring, NULL, 10);
	}
	if (most > 0)
		return ao_xasprintf(
		    "SQS counts each message that was shown as received once more, and moves one that was received %lld times "
		    "to the dead letter queue when it is received again",
		    (long long)most);
	return ao_xstrdup("SQS counts each message that was shown as received once more");
}

static void missing(ao_sqs_move *m)
{
	ao_sqs_account_forget_url(m->account, m->from);
	trouble(m, -ENOENT, "QueueMissing", 0, "is not there");
	finish(m);
}

static void on_attributes(void *arg, const ao_sqs_reply *reply)
{
	ao_sqs_move *m = arg;
	m->call = NULL;
	const cJSON *attributes = ao_json_at(reply->body, "Attributes");
	if (reply->error == -ENOENT) {
		missing(m);
		return;
	}
	if (reply->error) {
		trouble_of(m, reply);
		finish(m);
		return;
	}
	m->answer.exists = true;
	m->answer.messages = ao_sqs_count(attributes, AO_SQS_WAITING);
	m->answer.in_flight = ao_sqs_count(attributes, AO_SQS_IN_FLIGHT);
	if (ao_sqs_account_is_other(m->account, m->with.account)) {
		ao_auto_str char *text = ao_xasprintf("its messages stay in account %s: the one that was made is in account %s",
						      m->account->id, m->with.account);
		trouble(m, -EINVAL, "QueueMismatch", 0, text);
		finish(m);
		return;
	}
	if (m->with.verb == AO_BROKER_MOVE) {
		ask_url(m, m->to, on_target);
		return;
	}
	m->cost = cost_of(attributes);
	receive(m);
}

static void on_url(void *arg, const ao_sqs_reply *reply)
{
	ao_sqs_move *m = arg;
	m->call = NULL;
	const char *url = reply->error ? NULL : ao_sqs_account_keep_url(m->account, m->from, reply->body);
	if (url) {
		m->from_url = ao_xstrdup(url);
		ask_attributes(m, on_attributes);
	} else if (reply->error == -ENOENT) {
		missing(m);
	} else {
		trouble(m, reply->error ? reply->error : -EPROTO, reply->error ? reply->reason : "BrokerError", reply->retry_ms,
			reply->error ? reply->message : "GetQueueUrl answered no URL");
		finish(m);
	}
}

ao_sqs_move *ao_sqs_move_start(ao_sqs_account *account, const ao_sqs_move_request *request)
{
	ao_sqs_move *m = ao_xcalloc(1, sizeof(*m));
	*m = (ao_sqs_move){.account = account, .with = *request, .from = ao_xstrdup(request->from), .to = ao_xstrdup(request->to)};
	m->origin = ao_xstrdup(request->origin);
	m->answer = (ao_broker_answer){.reason = "", .message = "", .messages = -1, .in_flight = -1};
	if (request->verb == AO_BROKER_PEEK) {
		m->seen = cJSON_CreateArray();
		m->with.most = request->most < AO_BROKER_PEEK_MOST ? request->most : AO_BROKER_PEEK_MOST;
	}
	ask_url(m, m->from, on_url);
	return m;
}
