/* redact.c -- walks a tree.  Whether a string may be shown depends on the member it stands in and on the object around it. */
#include "policy/redact.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/sha256.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#define MARK "REDACTED:"
#define HIDDEN "(hidden)" /* no base64; a plan that takes it for the value is not carried out */
#define DIGITS 12         /* of the digest */
#define KEY_LEN 32
#define TRACE_MIN 6        /* a shorter secret may be a part of any word */
#define TEXT_MAX (1 << 22) /* of a text that held a secret; what is longer is cut */
#define LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"

struct ao_redaction {
	const cJSON *harmless;
	ao_map *known; /* secret -> what stands for it */
};

ao_redaction *ao_redaction_new(const cJSON *harmless)
{
	ao_redaction *redaction = ao_xcalloc(1, sizeof(*redaction));
	*redaction = (ao_redaction){.harmless = harmless, .known = ao_map_new()};
	return redaction;
}

void ao_redaction_free(ao_redaction *redaction)
{
	if (!redaction)
		return;
	ao_map_free_all(redaction->known);
	free(redaction);
}

/** What stands for a secret. The caller frees it. */
static char *mark_of(const char *secret)
{
	static unsigned char key[KEY_LEN];
	static bool made;
	if (!made && getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key))
		abort(); /* as without memory: there is no going on */
	made = true;
	size_t len = strlen(secret);
	ao_auto_secret char *keyed = ao_xcalloc(KEY_LEN + len + 1, 1);
	memcpy(keyed, key, KEY_LEN);
	memcpy(keyed + KEY_LEN, secret, len);
	char digest[AO_SHA256_HEX];
	ao_sha256(keyed, KEY_LEN + len, digest);
	return ao_xasprintf(MARK "%.*s", DIGITS, digest);
}

static void take_out(ao_redaction *redaction, cJSON *value)
{
	ao_auto_str char *secret = cJSON_IsNumber(value) ? ao_json_print(value) : ao_xstrdup(value->valuestring);
	if (!*secret || strncmp(secret, MARK, strlen(MARK)) == 0)
		return;
	const char *mark = ao_map_get(redaction->known, secret);
	if (!mark) {
		char *made = mark_of(secret);
		ao_map_put(redaction->known, secret, made);
		mark = made;
	}
	if (cJSON_IsNumber(value)) /* a number stays one: it would be refused, or not, as the one that it stands for */
		cJSON_SetNumberValue(value, (double)strtoull(mark + strlen(MARK), NULL, 16));
	else
		cJSON_SetValuestring(value, mark);
}

static bool is_scalar(const cJSON *value) { return cJSON_IsString(value) || cJSON_IsNumber(value); }

static bool sounds_secret(const char *name)
{
	static const char *const WORDS[] = {"pass",    "pwd",    "secret",      "token",      "credential",
					    "api_key", "apikey", "private_key", "access_key", "dsn"};
	for (size_t i = 0; name && i < AO_LEN(WORDS); i++)
		if (strcasestr(name, WORDS[i]))
			return true;
	return false;
}

/** scheme://user:password@host, anywhere in a text. */
static bool has_password(const char *text)
{
	for (const char *at = text; (at = strstr(at, "://"));) {
		at += 3;
		size_t user = strcspn(at, ":@/ \t\n\"'"), rest = at[user] == ':' ? strcspn(at + user, "@/ \t\n\"'") : 0;
		if (rest && at[user + rest] == '@')
			return true;
	}
	return false;
}

static bool is_harmless(const ao_redaction *redaction, const char *variable)
{
	const cJSON *name;
	cJSON_ArrayForEach (name, redaction->harmless)
		if (cJSON_IsString(name) && strcmp(name->valuestring, variable) == 0)
			return true;
	return false;
}

/** Every text in a list or mapping: arguments, the data of a Secret. */
static void take_out_members(ao_redaction *redaction, cJSON *tree)
{
	cJSON *member;
	cJSON_ArrayForEach (member, tree)
		if (is_scalar(member))
			take_out(redaction, member);
}

/** What an object as a whole says about its members. */
static void redact_object(ao_redaction *redaction, cJSON *object)
{
	const char *kind = ao_json_str(object, "kind"), *name = ao_json_str(object, "name");
	cJSON *value = ao_json_at(object, "value");
	if (name && is_scalar(value) && !is_harmless(redaction, name)) /* a variable, or a header */
		take_out(redaction, value);
	take_out_members(redaction, ao_json_at(object, "args"));
	take_out_members(redaction, ao_json_at(object, "command"));
	if (kind && strcmp(kind, "Secret") == 0) {
		take_out_members(redaction, ao_json_at(object, "data"));
		take_out_members(redaction, ao_json_at(object, "stringData"));
	}
}

/** References to Secrets stay: they hold only names. */
void ao_redact(ao_redaction *redaction, cJSON *tree)
{
	cJSON *member, *next;
	if (cJSON_IsObject(tree)) {
		cJSON_Delete(cJSON_DetachItemFromObjectCaseSensitive(tree, LAST_APPLIED));
		redact_object(redaction, tree);
	}
	for (member = tree ? tree->child : NULL; member; member = next) {
		next = member->next;
		const char *name = cJSON_IsObject(tree) ? member->string : NULL;
		bool named = name && cJSON_IsString(member) && sounds_secret(name) && !strstr(name, "Ref");
		if (named || (cJSON_IsString(member) && has_password(member->valuestring)))
			take_out(redaction, member);
		else
			ao_redact(redaction, member);
	}
}

/** The longest secret that begins here, and its mark; NULL when none does. One that is short counts only as the whole text. */
static const char *secret_at(const ao_redaction *redaction, const char *at, bool whole, const char **ret_mark)
{
	const char *secret, *found = NULL;
	size_t cursor = 0, longest = 0;
	for (const char *mark; (mark = ao_map_next(redaction->known, &cursor, &secret));) {
		size_t len = strlen(secret);
		if (len <= longest || strncmp(at, secret, len) != 0 || (len < TRACE_MIN && !(whole && !at[len])))
			continue;
		found = secret;
		longest = len;
		*ret_mark = mark;
	}
	return found;
}

/** `text` with a mark for each secret in it; NULL when there is none. The caller frees it. */
static char *without(const ao_redaction *redaction, const char *text)
{
	ao_auto_buf ao_buf clean = ao_buf_init(TEXT_MAX);
	const char *from = text, *mark = NULL;
	for (const char *at = text; *at;) {
		const char *secret = secret_at(redaction, at, at == text, &mark);
		if (!secret) {
			at++;
			continue;
		}
		ao_buf_put(&clean, from, (size_t)(at - from));
		ao_buf_puts(&clean, mark);
		from = at += strlen(secret);
	}
	if (from == text)
		return NULL;
	ao_buf_puts(&clean, from);
	return ao_buf_steal(&clean);
}

void ao_redact_traces(const ao_redaction *redaction, cJSON *tree)
{
	if (!ao_map_count(redaction->known))
		return;
	ao_auto_str char *clean = cJSON_IsString(tree) ? without(redaction, tree->valuestring) : NULL;
	if (clean)
		cJSON_SetValuestring(tree, clean);
	cJSON *member;
	cJSON_ArrayForEach (member, tree)
		ao_redact_traces(redaction, member);
}

bool ao_redact_is_secret(const cJSON *object)
{
	const char *api_version = ao_json_str(object, "apiVersion"), *kind = ao_json_str(object, "kind");
	return api_version && kind && strcmp(api_version, "v1") == 0 && strcmp(kind, "Secret") == 0;
}

/** Puts what stands for the value of a Secret in its place. */
static void hide(cJSON *value, const char *uid)
{
	ao_auto_secret char *salted = ao_xasprintf("%s/%s/%s", uid, value->string, value->valuestring);
	char digest[AO_SHA256_HEX];
	ao_sha256(salted, strlen(salted), digest);
	ao_auto_str char *shown = ao_xasprintf(HIDDEN " %.*s", DIGITS, digest);
	cJSON_SetValuestring(value, shown);
}

void ao_redact_secret(cJSON *object)
{
	const char *uid = ao_json_str(object, "metadata", "uid");
	cJSON *value;
	if (!ao_redact_is_secret(object))
		return;
	cJSON_ArrayForEach (value, ao_json_at(object, "data"))
		if (cJSON_IsString(value))
			hide(value, uid ? uid : "");
	cJSON_Delete(cJSON_DetachItemFromObjectCaseSensitive(ao_json_at(object, "metadata", "annotations"), LAST_APPLIED));
}

bool ao_redact_is_hidden(const cJSON *tree)
{
	const cJSON *member;
	if (cJSON_IsString(tree))
		return strstr(tree->valuestring, HIDDEN) != NULL;
	cJSON_ArrayForEach (member, tree)
		if (ao_redact_is_hidden(member))
			return true;
	return false;
}
