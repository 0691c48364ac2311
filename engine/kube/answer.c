/* answer.c -- errors by status and reason; the message is the server's own wherever it sent one. */
#include "kube/answer.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "json/json.h"

#include <string.h>

#define MAX_PLAIN 300 /* bytes of a plain text answer that are worth showing */

static int error_of(long status, const char *reason, const char *message)
{
	switch (status) {
	case 401:
	case 403:
		return -EPERM;
	case 404:
		return -ENOENT;
	case 409:
		return strcmp(reason, "AlreadyExists") == 0 ? -EEXIST : -ESTALE;
	case 410:
		return -ESTALE;
	case 408:
		return -ETIME;
	case 429:
		return -EAGAIN;
	case 500: /* how the server says that an applied object does not fit its schema */
		return strstr(message, "failed to create typed patch object") ? -EINVAL : -EIO;
	default: /* a redirect is a proxy's that has lost its server */
		return status >= 400 && status < 500 ? -EINVAL : -EIO;
	}
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

ao_answer_parts ao_answer_make(const ao_http_response *response)
{
	ao_answer_parts parts = {.answer = {.status = response->status, .body = response->body, .body_len = response->body_len}};
	ao_kube_answer *answer = &parts.answer;
	answer->reason = answer->message = "";
	/* The server ends the connection of who is nobody to it, at times before its words are out: the status is what counts. */
	if (response->error && response->status != 401) {
		answer->error = response->error;
		answer->message = response->error_text;
		return parts;
	}
	if (response->status >= 200 && response->status < 300)
		return parts;
	if (ao_json_parse(response->body, response->body_len, &parts.status, NULL) == 0) {
		const char *reason = ao_json_str(parts.status, "reason");
		answer->reason = reason ? reason : "";
		answer->message = ao_json_str(parts.status, "message");
	}
	if (!answer->message || !*answer->message)
		answer->message = parts.message = plain_message(response);
	answer->error = error_of(response->status, answer->reason, answer->message);
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
