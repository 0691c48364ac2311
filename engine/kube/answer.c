/* answer.c -- errors by status and reason; the message is the server's own wherever it sent one, with the rule that would have let us. */
#include "kube/answer.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "json/json.h"
#include "json/span.h"

#include <string.h>

#define MAX_PLAIN 300 /* bytes of a plain text answer that are worth showing */

/**
 * Is what the server says it does not have the very object that was asked for?  A POST may be told that its namespace is missing, and a
 * path that is not served in a group that is gets a Status without a name.
 */
static bool is_about(const cJSON *status, const ao_kube_object *object)
{
	const char *name = ao_json_str(status, "details", "name"), *kind = ao_json_str(status, "details", "kind");
	if (!object || !object->resource)
		return true;
	bool fits = !kind || strcmp(kind, object->resource->plural) == 0 || strcmp(kind, object->resource->kind) == 0;
	return fits && (!object->name || (name && strcmp(name, object->name) == 0));
}

/** @param status  the Status object, or NULL: then what answered is a proxy that has lost its server */
static int not_found(const cJSON *status, const char *reason, const ao_kube_object *object)
{
	if (!status)
		return -EIO;
	return strcmp(reason, "NotFound") == 0 && is_about(status, object) ? -ENOENT : -EINVAL;
}

static int error_of(const ao_kube_answer *answer, const cJSON *status, const ao_kube_object *object)
{
	switch (answer->status) {
	case 401:
	case 403:
		return -EPERM;
	case 404:
		return not_found(status, answer->reason, object);
	case 409:
		return !status ? -EIO : strcmp(answer->reason, "AlreadyExists") == 0 ? -EEXIST : -ESTALE;
	case 410:
		return -ESTALE;
	case 408:
		return -ETIME;
	case 429:
		return -EAGAIN;
	case 500: /* how the server says that an applied object does not fit its schema */
		return strstr(answer->message, "failed to create typed patch object") ? -EINVAL : -EIO;
	default: /* a redirect is a proxy's that has lost its server, too */
		return answer->status >= 400 && answer->status < 500 ? -EINVAL : -EIO;
	}
}

static bool is_status(ao_span body) { return ao_span_is(ao_span_get(body, "kind"), "Status"); }

/** @param wanted  NULL: any text */
static bool fits(ao_span value, const char *wanted) { return wanted ? ao_span_is(value, wanted) : value.len > 2 && *value.at == '"'; }

/** Is the body what a 2xx to such a request holds: the object itself, or for what was deleted at once a Status of success? */
static bool is_answer(ao_span body, const char *method, const ao_kube_object *object)
{
	static const char *const MEMBERS[] = {"apiVersion", "kind", "metadata", "status", NULL}, *const NAMES[] = {"name", "namespace",
														   "uid", NULL};
	const ao_resource *resource = object->resource;
	ao_span members[4], names[3];
	if (!ao_span_pick(body, MEMBERS, members))
		return false;
	if (ao_span_is(members[1], "Status"))
		return strcmp(method, "DELETE") == 0 && ao_span_is(members[3], "Success");
	if (!ao_span_is(members[0], resource->api_version) || !ao_span_is(members[1], resource->kind) || !members[2].at)
		return false;
	ao_span_pick(members[2], NAMES, names);
	return fits(names[0], object->name) && (!object->namespace_ || !*object->namespace_ || fits(names[1], object->namespace_)) &&
	       fits(names[2], object->uid);
}

/** "HTTP status 503", with the first line of a text that came with it. */
static char *plain_message(const ao_http_response *response)
{
	const char *text = response->body;
	size_t len = strcspn(text, "\r\n"), shown = 0;
	bool is_text = strncmp(response->content_type, "text/plain", 10) == 0;
	while (is_text && shown < len && shown < MAX_PLAIN) {
		size_t step = ao_utf8_len(text + shown, len - shown);
		if (!step || (unsigned char)text[shown] < ' ')
			break;
		shown += step;
	}
	return ao_xasprintf("HTTP status %ld%s%.*s", response->status, shown ? ": " : "", (int)shown, text);
}

/** A part of the server's sentence between two texts. @param ret_rest  what comes behind. @return empty: it is not there, or holds a quote */
static ao_span between(const char *text, const char *before, const char *after, const char **ret_rest)
{
	const char *from = text ? strstr(text, before) : NULL;
	from = from ? from + strlen(before) : NULL;
	const char *to = from ? strstr(from, after) : NULL;
	*ret_rest = to;
	return to && !memchr(from, '"', (size_t)(to - from)) ? (ao_span){from, (size_t)(to - from)} : (ao_span){0};
}

/** What RBAC refused, with the rule for a role, ready to be pasted. @return NULL: nothing that a rule would give */
static char *with_rule(const char *message)
{
	const char *rest = message;
	ao_span verb = between(rest, " cannot ", " resource \"", &rest);
	ao_span resource = between(rest, " resource \"", "\" in API group \"", &rest);
	ao_span group = between(rest, "\" in API group \"", "\"", &rest);
	if (!verb.len || !resource.len || !group.at)
		return NULL;
	return ao_xasprintf("%s. The rule that is missing: {apiGroups: [\"%.*s\"], resources: [\"%.*s\"], verbs: [%.*s]}", message,
			    (int)group.len, group.at, (int)resource.len, resource.at, (int)verb.len, verb.at);
}

static void read_failure(const ao_http_response *response, const ao_kube_object *object, ao_answer_parts *parts)
{
	ao_kube_answer *answer = &parts->answer;
	if (is_status((ao_span){response->body, response->body_len}) &&
	    ao_json_parse(response->body, response->body_len, &parts->status, NULL) == 0) {
		const char *reason = ao_json_str(parts->status, "reason");
		answer->reason = reason ? reason : "";
		answer->message = ao_json_str(parts->status, "message");
	}
	if (!answer->message || !*answer->message)
		answer->message = parts->message = plain_message(response);
	if (answer->status == 403 && !parts->message && (parts->message = with_rule(answer->message)))
		answer->message = parts->message;
	answer->error = error_of(answer, parts->status, object);
}

ao_answer_parts ao_answer_make(const ao_http_response *response, const char *method, const ao_kube_object *object)
{
	ao_answer_parts parts = {.answer = {.status = response->status, .body = response->body, .body_len = response->body_len}};
	ao_kube_answer *answer = &parts.answer;
	bool good = response->status >= 200 && response->status < 300;
	answer->reason = answer->message = "";
	/* A refusal may end its stream, or the connection, before its words are out: the status is what counts. */
	if (response->error && response->status < 400) {
		answer->error = response->error;
		answer->message = response->error_text;
	} else if (!good) {
		read_failure(response, object, &parts);
	} else if (object && object->resource && !is_answer((ao_span){response->body, response->body_len}, method, object)) {
		answer->error = -EPROTO;
		answer->message = parts.message = ao_xasprintf("HTTP status %ld, but the answer is not %s %s", response->status,
							       object->resource->kind, object->name ? object->name : "");
	}
	return parts;
}

void ao_answer_clear(ao_answer_parts *parts)
{
	cJSON_Delete(parts->status);
	free(parts->message);
	*parts = (ao_answer_parts){0};
}

int ao_kube_answer_err(const ao_kube_answer *answer, const char *what, ao_err **reterr)
{
	bool reason = *answer->reason != '\0';
	return ao_err_set(reterr, answer->error, "%s: %s%s%s%s", what, answer->message, reason ? " (" : "", answer->reason,
			  reason ? ")" : "");
}
