/* scope.c -- reads names from flags and the environment, and the annotation that names an object's class. */
#include "policy/scope.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NAME 63

const ao_scope AO_SCOPE_ALL = {.class_ = (char *)""};

/** A name must be valid for a namespace, so that it can be part of the name of a Lease or a ConfigMap. */
static int check_name(const char *what, const char *name, size_t len, ao_err **reterr)
{
	bool good = len && len <= MAX_NAME && name[0] != '-' && name[len - 1] != '-';
	for (size_t i = 0; good && i < len; i++)
		good = islower((unsigned char)name[i]) || isdigit((unsigned char)name[i]) || name[i] == '-';
	if (good)
		return 0;
	return ao_err_set(reterr, -EINVAL, "%s: '%.*s' is not a valid name: use a-z, 0-9 and '-' between them, at most %d", what, (int)len,
			  name, MAX_NAME);
}

static bool has(char *const *names, const char *name)
{
	for (; *names; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

int ao_scope_names(const char *what, const char *text, char ***ret, ao_err **reterr)
{
	char **names = ao_xcalloc(strlen(text) + 1, sizeof(*names));
	size_t count = 0;
	for (const char *at = text; *(at += strspn(at, ", "));) {
		size_t len = strcspn(at, ", ");
		int r = check_name(what, at, len, reterr);
		if (r < 0) {
			ao_scope_free_names(names);
			return r;
		}
		ao_auto_str char *name = ao_xstrndup(at, len);
		if (!has(names, name))
			names[count++] = AO_TAKE(name);
		at += len;
	}
	*ret = names;
	return 0;
}

void ao_scope_free_names(char **names)
{
	for (size_t i = 0; names && names[i]; i++)
		free(names[i]);
	free(names);
}

static const char *given(const char *flag, const char *env)
{
	const char *text = flag ? flag : getenv(env);
	return text ? text : "";
}

int ao_scope_read(const char *class_, const char *namespaces, ao_scope *ret, ao_err **reterr)
{
	const char *name = given(class_, "ASYA_OPERATOR_CLASS"), *list = given(namespaces, "ASYA_WATCH_NAMESPACES");
	ao_scope scope = {0};
	int r = *name ? check_name("operator class", name, strlen(name), reterr) : 0;
	if (r == 0)
		r = ao_scope_names("namespaces to watch", list, &scope.namespaces, reterr);
	if (r < 0)
		return r;
	if (!scope.namespaces[0]) {
		free(scope.namespaces);
		scope.namespaces = NULL;
	}
	scope.class_ = ao_xstrdup(name);
	*ret = scope;
	return 0;
}

void ao_scope_clear(ao_scope *scope)
{
	free(scope->class_);
	ao_scope_free_names(scope->namespaces);
	*scope = (ao_scope){0};
}

ao_scope ao_scope_of(const ao_scope *process, const cJSON *manifest)
{
	const char *own = ao_json_str(manifest, "class");
	return (ao_scope){.class_ = own ? (char *)own : process->class_, .namespaces = process->namespaces, .own = own != NULL};
}

int ao_scope_keeps_class(const ao_scope *scope, const cJSON *manifest, ao_err **reterr)
{
	const char *class_ = ao_json_str(manifest, "class");
	if (class_ ? strcmp(class_, scope->class_) == 0 : !scope->own)
		return 0;
	return ao_err_set(
	    reterr, -EINVAL,
	    "manifest: the class is '%s', and this operator serves '%s', by which its lease and its record are called: an edit "
	    "cannot change that. Take it back, or start the operator with the other one",
	    class_ ? class_ : "", scope->class_);
}

char *ao_scope_name(const ao_scope *scope, const char *base)
{
	return ao_xasprintf("%s%s%s", base, *scope->class_ ? "-" : "", scope->class_);
}

bool ao_scope_covers(const ao_scope *scope, const char *namespace_) { return !scope->namespaces || has(scope->namespaces, namespace_); }

int ao_scope_admits(const ao_scope *scope, const ao_manifest *manifest, ao_err **reterr)
{
	for (size_t i = 0; scope->namespaces && i < manifest->kind_count; i++) {
		const ao_resource *kind = &manifest->kinds[i].resource;
		if (kind->cluster_scoped)
			return ao_err_set(reterr, -EINVAL,
					  "%s (%s) is in no namespace: the bundle needs all namespaces; leave --watch-namespaces out",
					  kind->kind, kind->api_version);
	}
	return 0;
}

bool ao_scope_serves(const ao_scope *scope, const ao_manifest *manifest, const cJSON *object)
{
	const char *annotation = manifest->class_annotation;
	const char *class_ = annotation ? ao_json_str(object, "metadata", "annotations", annotation) : NULL;
	return !annotation || strcmp(class_ ? class_ : "", scope->class_) == 0;
}

void ao_scope_sign(const ao_scope *scope, const ao_manifest *manifest, cJSON *object)
{
	if (*scope->class_)
		ao_json_set_str(ao_json_object(ao_json_object(object, "metadata"), "annotations"), manifest->class_annotation,
				scope->class_);
}
