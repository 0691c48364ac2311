/*
 * sdk.c -- writes what the binary carries for authors of policies: SDK, built-in policies, the helper of tests, types, a template.
 *
 * What lies in DIR/asya is ours and is written anew each time, unless a folder of that name is there that an export did not make.  Other
 * files are the author's: those that are there stay as they are.
 */
#include "base/mem.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/files.h"
#include "script/embedded.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/** Which files of the template a command writes: those that tools look for at the top, or the others. */
static bool is_for_tools(const ao_embedded *file) { return file->name[0] == '.' && !strchr(file->name, '/'); }

static int write_ours(const ao_embedded *list, const char *dir, const char *folder, ao_err **reterr)
{
	int r = 0;
	for (const ao_embedded *file = list; r == 0 && file->name; file++) {
		ao_auto_str char *path = ao_xasprintf("%s/asya/%s%s", dir, folder, file->name);
		r = ao_files_write(path, file->text, file->len, true, reterr);
	}
	return r;
}

static int write_template(const char *dir, bool all, ao_err **reterr)
{
	for (const ao_embedded *file = ao_embedded_template; file->name; file++) {
		ao_auto_str char *path = ao_xasprintf("%s/%s", dir, file->name);
		int r = all || is_for_tools(file) ? ao_files_write(path, file->text, file->len, false, reterr) : 0;
		if (r < 0)
			return r;
		if (r > 0 && all)
			fprintf(stderr, "note: %s is there already and stays as it is\n", path);
	}
	return 0;
}

/** A folder asya may be somebody's own. The file that an export writes first is in each of ours. */
static int check_folder(const char *dir, ao_err **reterr)
{
	ao_auto_str char *folder = ao_xasprintf("%s/asya", dir), *mark = ao_xasprintf("%s/%s", folder, ao_embedded_testing[0].name);
	if (access(folder, F_OK) < 0 || access(mark, F_OK) == 0 || rmdir(folder) == 0) /* an empty one is nobody's */
		return 0;
	return ao_err_set(reterr, -EEXIST,
			  "%s is there and holds something else; name another folder, such as: asya-operator sdk export policies-sdk",
			  folder);
}

static int export(const char *dir, bool template, ao_err **reterr)
{
	static const ao_embedded IGNORE[] = {{".gitignore", "*\n", 2}, {NULL, NULL, 0}};
	static const struct {
		const ao_embedded *list;
		const char *folder;
	} OURS[] = {{ao_embedded_testing, ""},
		    {ao_embedded_sdk, "sdk/"},
		    {ao_embedded_policies, "policies/"},
		    {ao_embedded_schemas, ""},
		    {IGNORE, ""}};
	int r = check_folder(dir, reterr);
	for (size_t i = 0; r == 0 && i < AO_LEN(OURS); i++)
		r = write_ours(OURS[i].list, dir, OURS[i].folder, reterr);
	return r == 0 ? write_template(dir, template, reterr) : r;
}

int ao_cli_sdk(int argc, char **argv)
{
	bool template = false;
	ao_err *err = NULL;
	const char **words = ao_xcalloc((size_t)argc + 1, sizeof(*words));
	const ao_flag flags[] = {
	    {"template", 0, .yes = &template, .help = "a policy, its case, a spec, a Makefile and a CI file to begin with, too"},
	};
	static const ao_example examples[] = {
	    {"what unit tests of the policies in this folder need", "sdk export ."},
	    {"a new folder with a policy, its case and its spec", "sdk export my-team --template"},
	    {0},
	};
	int r = ao_args_parse(
	    &(ao_verb){.usage = "sdk export DIR [flags]",
		       .about = "Writes the SDK of policies, the helper of their unit tests, and types for editors into DIR/asya.\n"
				"DIR/.luarc.json and DIR/.busted are written when they are not there.",
		       .flags = flags,
		       .flag_count = AO_LEN(flags),
		       .arguments = words,
		       .examples = examples},
	    argc, argv, &err);
	bool wanted = words[0] && strcmp(words[0], "export") == 0 && words[1] && *words[1] && !words[2];
	const char *dir = wanted ? words[1] : NULL;
	free(words);
	if (r > 0)
		return 0;
	if (r == 0 && !dir)
		r = ao_err_set(&err, -EINVAL, "write: asya-operator sdk export DIR");
	if (r < 0)
		return ao_cli_fail(err, 2);
	r = export(dir, template, &err);
	return r < 0 ? ao_cli_fail(err, 1) : 0;
}
