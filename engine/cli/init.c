/*
 * init.c -- writes a bundle for a kind of one's own.
 *
 * The files of policies/init/ are a bundle that works, for a kind Sprocket of example.com.  These words are replaced, the result is loaded,
 * and its CRD is made as `manifest --crd` makes it: what is written has been tried.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/files.h"
#include "script/embedded.h"
#include "json/yaml.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MAX_FILE ((size_t)256 * 1024)
#define MAX_PART 63 /* of a group */
#define MAX_KIND 31 /* the component is called after it, which has 40 characters */

typedef struct word {
	const char *from;
	const char *to;
} word;

typedef struct words {
	char *lower, *plural;
	word all[4]; /* longer ones first where one begins another */
} words;

/** Appends the text with each of the words replaced. */
static void replace_words(const char *text, const words *w, ao_buf *out)
{
	while (*text) {
		size_t len = 0;
		for (size_t i = 0; !len && i < AO_LEN(w->all); i++)
			if (strncmp(text, w->all[i].from, strlen(w->all[i].from)) == 0) {
				len = strlen(w->all[i].from);
				ao_buf_puts(out, w->all[i].to);
			}
		if (!len)
			ao_buf_put(out, text, 1);
		text += len ? len : 1;
	}
}

/** Fills `made` with the files, without those in folders when they are to be loaded. */
static void make_files(const words *w, bool all, ao_sources *made)
{
	for (const ao_embedded *file = ao_embedded_init; file->name; file++) {
		ao_auto_buf ao_buf name = ao_buf_init(MAX_FILE), text = ao_buf_init(MAX_FILE);
		if (!all && strchr(file->name, '/'))
			continue;
		replace_words(file->name, w, &name);
		replace_words(file->text, w, &text);
		ao_sources_put(made, name.data, text.data ? text.data : "", text.len, "init");
	}
}

static bool is_kind(const char *kind)
{
	size_t len = strlen(kind);
	for (const char *c = kind; *c; c++)
		if (!isalnum((unsigned char)*c))
			return false;
	return len && len <= MAX_KIND && isupper((unsigned char)*kind);
}

/** A group is a DNS name of at least two parts, as the server wants it of a CRD. */
static bool is_group(const char *group)
{
	size_t dots = 0, part = 0;
	for (const char *c = group; *c; c++) {
		bool good = *c == '.' ? part > 0 && c[-1] != '-'
				      : islower((unsigned char)*c) || isdigit((unsigned char)*c) || (*c == '-' && part > 0);
		if (!good)
			return false;
		part = *c == '.' ? 0 : part + 1;
		dots += *c == '.';
		if (part > MAX_PART)
			return false;
	}
	return dots && part && group[strlen(group) - 1] != '-' && strlen(group) <= 150;
}

/** The words for a kind and group. The plural is what the manifest says of itself. */
static int make_words(const char *kind, const char *group, words *ret, ao_err **reterr)
{
	ao_auto_sources ao_sources sources = {0};
	ao_auto_json cJSON *manifest = NULL;
	ret->lower = ao_xstrdup(kind);
	for (char *c = ret->lower; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	word all[] = {{"sprockets", ret->lower}, {"sprocket", ret->lower}, {"Sprocket", kind}, {"example.com", group}};
	memcpy(ret->all, all, sizeof(all));
	make_files(ret, false, &sources);
	int r = ao_bundle_peek_manifest(&sources, &manifest, reterr);
	if (r < 0)
		return r;
	ret->plural = ao_xstrdup(ao_json_str(manifest, "parent", "plural"));
	ret->all[0].to = ret->plural;
	return 0;
}

/** Loads what is to be written, and adds its CRD. */
static int add_crd(const words *w, ao_sources *made, ao_err **reterr)
{
	ao_auto_sources ao_sources sources = {0};
	ao_auto_bundle ao_bundle *bundle = NULL;
	ao_auto_json cJSON *options = cJSON_CreateObject(), *objects = NULL;
	ao_auto_buf ao_buf text = ao_buf_init(MAX_FILE);
	make_files(w, false, &sources);
	int r = ao_bundle_load(&sources, NULL, AO_CLI_LIMITS, &bundle, reterr);
	if (r < 0)
		return r;
	cJSON_AddTrueToObject(options, "crd");
	r = ao_bundle_objects(bundle, options, &objects, reterr);
	if (r < 0)
		return r;
	ao_auto_str char *name = ao_xasprintf("crd/%s.yaml", w->plural);
	ao_yaml_print(cJSON_GetArrayItem(ao_json_at(objects, "objects"), 0), &text);
	ao_sources_put(made, name, text.data, text.len, "init");
	return 0;
}

/** Somebody's folder is not written into. */
static int check_folder(const char *dir, ao_err **reterr)
{
	DIR *folder = opendir(dir);
	if (!folder)
		return errno == ENOENT ? 0 : ao_err_set(reterr, -errno, "%s: %s", dir, strerror(errno));
	size_t count = 0;
	for (const struct dirent *entry; (entry = readdir(folder));)
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(folder);
	return count ? ao_err_set(reterr, -EEXIST, "%s is there and is not empty; name another folder", dir) : 0;
}

static int init(const char *dir, const char *kind, const char *group, ao_err **reterr)
{
	words w = {0};
	ao_auto_sources ao_sources made = {0};
	int r = check_folder(dir, reterr);
	if (r == 0)
		r = make_words(kind, group, &w, reterr);
	if (r == 0) {
		make_files(&w, true, &made);
		r = add_crd(&w, &made, reterr);
	}
	for (size_t i = 0; r == 0 && i < made.count; i++) {
		ao_auto_str char *path = ao_xasprintf("%s/%s", dir, made.items[i].name);
		r = ao_files_write(path, made.items[i].text, made.items[i].len, false, reterr);
		if (r == 0)
			printf("%s\n", path);
	}
	if (r == 0)
		fprintf(stderr, "note: next: %s check --bundle %s; %s/README.md says more\n", ao_args_program(), dir, dir);
	free(w.lower);
	free(w.plural);
	return r < 0 ? r : 0;
}

int ao_cli_init(int argc, char **argv)
{
	const char *kind = NULL, *group = "example.com";
	ao_err *err = NULL;
	const char **arguments = ao_xcalloc((size_t)argc + 1, sizeof(*arguments));
	const ao_flag flags[] = {
	    {"kind", 0, .text = &kind, .value = "KIND", .help = "what users write, as the CRD spells it: Tenant"},
	    {"group", 0, .text = &group, .value = "GROUP", .help = "API group of the kind (default example.com)"},
	};
	static const ao_example examples[] = {
	    {"an operator for Tenants; my-tenants/README.md says how to go on",
	     "init my-tenants --kind Tenant --group platform.example.com"},
	    {0},
	};
	int r = ao_args_parse(
	    &(ao_verb){.usage = "init NAME --kind KIND [--group GROUP]",
		       .about = "Writes a bundle that makes an operator for a kind of your own, into a new folder NAME: its manifest,\n"
				"a policy, cases, the CRD, an example, a README. It works as it is, and is there to be changed.",
		       .flags = flags,
		       .flag_count = AO_LEN(flags),
		       .arguments = arguments,
		       .examples = examples},
	    argc, argv, &err);
	const char *dir = arguments[0] && *arguments[0] && !arguments[1] ? arguments[0] : NULL;
	free(arguments);
	if (r > 0)
		return 0;
	if (r == 0 && (!dir || !kind))
		r = ao_err_set(&err, -EINVAL, "write: %s init NAME --kind KIND", ao_args_program());
	if (r == 0 && !is_kind(kind))
		r = ao_err_set(&err, -EINVAL, "--kind '%s': write it as a CRD does, such as Tenant, in at most %d letters", kind, MAX_KIND);
	if (r == 0 && !is_group(group))
		r = ao_err_set(&err, -EINVAL, "--group '%s': write a domain, such as platform.example.com", group);
	if (r < 0)
		return ao_cli_fail(err, 2);
	return init(dir, kind, group, &err) < 0 ? ao_cli_fail(err, 1) : 0;
}
