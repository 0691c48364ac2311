/* secrets.c -- one GET after the other.  One answer serves every reference to the same Secret. */
#include "queues/secrets.h"

#include "base/base64.h"
#include "base/log.h"
#include "base/mem.h"
#include "json/json.h"

#include <string.h>

#define MAX_VALUE (1024 * 1024) /* what a Secret may hold */

struct ao_secrets_call {
	ao_kube *kube;
	char *namespace_; /* of references that name none */
	bool encoded;     /* values stay in base64 */
	cJSON *refs;      /* those still to be read */
	cJSON *values;
	ao_kube_call *call;
	ao_secrets_fn fn;
	void *arg;
};

static void wipe_texts(cJSON *value)
{
	for (cJSON *child = value ? value->child : NULL; child; child = child->next)
		wipe_texts(child);
	if (value && value->valuestring)
		explicit_bzero(value->valuestring, strlen(value->valuestring));
}

void ao_secrets_wipe(cJSON *tree)
{
	wipe_texts(tree);
	cJSON_Delete(tree);
}

void ao_secrets_cancel(ao_secrets_call *c)
{
	if (!c)
		return;
	if (c->call)
		ao_kube_cancel(c->call);
	ao_secrets_wipe(c->values);
	cJSON_Delete(c->refs);
	free(c->namespace_);
	free(c);
}

static void finish(ao_secrets_call *c, int error, const char *reason, const char *message)
{
	ao_secrets_answer answer = {error, reason, message, error ? NULL : c->values};
	c->fn(c->arg, &answer);
	ao_secrets_cancel(c);
}

static const char *name_of(const cJSON *ref)
{
	const char *name = ao_json_str(ref, "name");
	return name ? name : "";
}

static const char *namespace_of(const ao_secrets_call *c, const cJSON *ref)
{
	const char *namespace_ = ao_json_str(ref, "namespace");
	return namespace_ ? namespace_ : c->namespace_;
}

/** Do two references lead to the same Secret? */
static bool is_same(const ao_secrets_call *c, const cJSON *a, const cJSON *b)
{
	return strcmp(name_of(a), name_of(b)) == 0 && strcmp(namespace_of(c, a), namespace_of(c, b)) == 0;
}

static void fail(ao_secrets_call *c, int error, const char *reason, const cJSON *ref, const char *what)
{
	ao_auto_str char *message = ao_xasprintf("Secret %s/%s: %s", namespace_of(c, ref), name_of(ref), what);
	finish(c, error, reason, message);
}

/** Adds one value. @return 0; -ENOENT no such key; -EINVAL no text */
static int take(ao_secrets_call *c, const cJSON *ref, const cJSON *data)
{
	const char *key = ao_json_str(ref, "key"), *encoded = key ? ao_json_str(data, key) : NULL;
	ao_buf text = ao_buf_init(MAX_VALUE);
	if (!encoded)
		return cJSON_IsTrue(ao_json_at(ref, "optional")) ? 0 : -ENOENT;
	if (c->encoded) {
		ao_json_set_str(c->values, ref->string, encoded);
		return 0;
	}
	ao_buf_put(&text, "", 0);
	bool good = ao_base64_decode(encoded, &text) && !text.overflow && (!text.data || strlen(text.data) == text.len);
	if (good)
		ao_json_set_str(c->values, ref->string, text.data ? text.data : "");
	if (text.data)
		explicit_bzero(text.data, text.len);
	ao_buf_free(&text);
	return good ? 0 : -EINVAL;
}

static void next(ao_secrets_call *c);

/** The Secret of `of` is not there: the command that makes it, with the keys that it must have. */
static char *how_to_create(const ao_secrets_call *c, const cJSON *of)
{
	ao_auto_buf ao_buf text = ao_buf_init(MAX_VALUE);
	const cJSON *ref;
	ao_buf_printf(&text, "not there; create it: kubectl create secret generic %s -n %s", name_of(of), namespace_of(c, of));
	cJSON_ArrayForEach (ref, c->refs) {
		const char *key = ao_json_str(ref, "key");
		if (key && is_same(c, ref, of) && !cJSON_IsTrue(ao_json_at(ref, "optional")))
			ao_buf_printf(&text, " --from-literal=%s=VALUE", key);
	}
	return ao_xstrdup(text.data);
}

/** Why a value could not be taken. @param r  what take() returned */
static char *why_not(const ao_secrets_call *c, const cJSON *ref, int r)
{
	const char *key = ao_json_str(ref, "key");
	if (!key)
		key = "";
	if (r == -ENOENT)
		return ao_xasprintf(
		    "has no key %s; add it: kubectl patch secret %s -n %s --type=merge -p '{\"stringData\": {\"%s\": \"VALUE\"}}'", key,
		    name_of(ref), namespace_of(c, ref), key);
	return ao_xasprintf("what is under key %s is not valid text", key);
}

/** Serves every reference to the Secret of `of`, which goes with them. @return false when the call has ended */
static bool take_all(ao_secrets_call *c, const cJSON *of, const cJSON *data)
{
	ao_auto_json cJSON *same = cJSON_Duplicate(of, 1);
	for (cJSON *ref = c->refs->child, *after; ref; ref = after) {
		after = ref->next;
		if (!is_same(c, ref, same))
			continue;
		int r = take(c, ref, data);
		if (r < 0) {
			ao_auto_str char *what = why_not(c, ref, r);
			fail(c, r, r == -ENOENT ? "SecretMissing" : "InvalidSecret", ref, what);
			return false;
		}
		cJSON_Delete(cJSON_DetachItemViaPointer(c->refs, ref));
	}
	return true;
}

static bool all_optional(const ao_secrets_call *c, const cJSON *of)
{
	const cJSON *ref;
	cJSON_ArrayForEach (ref, c->refs)
		if (is_same(c, ref, of) && !cJSON_IsTrue(ao_json_at(ref, "optional")))
			return false;
	return true;
}

static void on_answer(void *arg, const ao_kube_answer *answer)
{
	ao_secrets_call *c = arg;
	cJSON *tree = NULL;
	const cJSON *ref = c->refs->child;
	c->call = NULL;
	if (answer->error == -ENOENT && !all_optional(c, ref)) {
		ao_auto_str char *what = how_to_create(c, ref);
		fail(c, -ENOENT, "SecretMissing", ref, what);
		return;
	}
	if (answer->error == -EPERM) {
		fail(c, -EPERM, "SecretForbidden", ref, answer->message);
		return;
	}
	if (answer->error && answer->error != -ENOENT) {
		fail(c, -EIO, "SecretUnreadable", ref, answer->message);
		return;
	}
	if (!answer->error && ao_json_parse(answer->body, answer->body_len, &tree, NULL) < 0) {
		fail(c, -EIO, "SecretUnreadable", ref, "the server's answer makes no sense");
		return;
	}
	bool going_on = take_all(c, ref, ao_json_at(tree, "data"));
	ao_secrets_wipe(tree);
	if (going_on)
		next(c);
}

static void next(ao_secrets_call *c)
{
	static const ao_resource secrets = {.api_version = "v1", .kind = "Secret", .plural = "secrets"};
	const cJSON *ref = c->refs->child;
	if (!ref) {
		finish(c, 0, "", "");
		return;
	}
	ao_auto_str char *path = ao_resource_path(&secrets, namespace_of(c, ref), name_of(ref), NULL);
	c->call = ao_kube_send(c->kube, &(ao_kube_request){.method = "GET",
							   .path = path,
							   .object = {&secrets, namespace_of(c, ref), name_of(ref), NULL},
							   .timeout_ms = 10000,
							   .fn = on_answer,
							   .arg = c});
}

static ao_secrets_call *start(ao_kube *kube, const char *namespace_, const cJSON *refs, bool encoded, ao_secrets_fn fn, void *arg)
{
	ao_secrets_call *c = ao_xcalloc(1, sizeof(*c));
	*c = (ao_secrets_call){.kube = kube, .namespace_ = ao_xstrdup(namespace_), .encoded = encoded, .fn = fn, .arg = arg};
	c->refs = cJSON_Duplicate(refs, 1);
	c->values = cJSON_CreateObject();
	ao_require(c->refs && c->refs->child);
	next(c);
	return c;
}

ao_secrets_call *ao_secrets_read(ao_kube *kube, const char *namespace_, const cJSON *refs, ao_secrets_fn fn, void *arg)
{
	return start(kube, namespace_, refs, false, fn, arg);
}

ao_secrets_call *ao_secrets_read_encoded(ao_kube *kube, const cJSON *refs, ao_secrets_fn fn, void *arg)
{
	return start(kube, "", refs, true, fn, arg);
}
