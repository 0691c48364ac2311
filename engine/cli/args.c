/* args.c -- parsing and help walk over the table of a verb; completion.c does, too. */
#include "cli/args.h"

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/completion.h"
#include "version.h"

#include <stdio.h>
#include <string.h>

#define PLUGIN "kubectl-"

static const char *called = AO_PROGRAM;

void ao_args_called(const char *argv0)
{
	const char *slash = strrchr(argv0, '/');
	called = slash ? slash + 1 : argv0;
}

bool ao_args_is_plugin(void) { return strncmp(called, PLUGIN, strlen(PLUGIN)) == 0; }
const char *ao_args_file(void) { return ao_args_is_plugin() ? called : AO_PROGRAM; }

const char *ao_args_program(void)
{
	static char name[64];
	if (!ao_args_is_plugin())
		return AO_PROGRAM;
	snprintf(name, sizeof(name), "kubectl %s", called + strlen(PLUGIN));
	return name;
}

bool ao_args_next(const char **list, char **ret)
{
	size_t len = strcspn(*list, ", ");
	if (!len)
		return false;
	*ret = ao_xstrndup(*list, len);
	*list += len + strspn(*list + len, ", ");
	*list += strncmp(*list, "or ", 3) == 0 ? 3 : 0;
	return true;
}

static bool is_one_of(const char *list, const char *value)
{
	bool found = false;
	for (char *each; ao_args_next(&list, &each); free(each))
		found = found || strcmp(each, value) == 0;
	return found;
}

const ao_flag *ao_args_flag(const ao_verb *verb, const char *word, const char **value)
{
	bool letter = word[1] != '-' && (!word[2] || word[2] == '=');
	const char *name = word + (word[1] == '-' ? 2 : 1);
	size_t len = strcspn(name, "=");
	if (value)
		*value = name[len] ? name + len + 1 : NULL;
	for (size_t i = 0; i < verb->flag_count; i++) {
		const ao_flag *flag = &verb->flags[i];
		if (letter ? flag->letter == *name : strlen(flag->name) == len && strncmp(flag->name, name, len) == 0)
			return flag;
	}
	return NULL;
}

static int set_bool(const ao_flag *flag, const char *value, ao_err **reterr)
{
	bool yes = !value || strcmp(value, "true") == 0;
	if (!yes && strcmp(value, "false") != 0)
		return ao_err_set(reterr, -EINVAL, "--%s: expected true or false, got '%s'", flag->name, value);
	*flag->yes = yes;
	return 0;
}

/** @return the number of arguments used, or a negative errno */
static int parse_one(const ao_verb *verb, char **argv, ao_err **reterr)
{
	const char *value;
	const ao_flag *flag = ao_args_flag(verb, argv[0], &value);
	if (!flag)
		return ao_err_set(reterr, -EINVAL, "unknown flag: %.*s; see --help", (int)strcspn(argv[0], "="), argv[0]);
	if (flag->yes) {
		int r = set_bool(flag, value, reterr);
		return r < 0 ? r : 1;
	}
	int used = value ? 1 : 2;
	if (!value)
		value = argv[1];
	if (!value)
		return ao_err_set(reterr, -EINVAL, "flag needs a value: --%s", flag->name);
	if (flag->one_of && !is_one_of(flag->one_of, value))
		return ao_err_set(reterr, -EINVAL, "--%s: expected %s, got '%s'", flag->name, flag->one_of, value);
	*flag->text = value;
	return used;
}

static void print_help(const ao_verb *verb)
{
	printf("%s\n\nUsage:\n  %s %s\n", verb->about, ao_args_program(), verb->usage);
	for (const ao_example *each = verb->examples; each && each->command; each++)
		printf("%s  # %s\n  %s %s\n", each == verb->examples ? "\nExamples:\n" : "\n", each->what, ao_args_program(),
		       each->command);
	if (verb->flag_count)
		printf("\nFlags:\n");
	for (size_t i = 0; i < verb->flag_count; i++) {
		const ao_flag *flag = &verb->flags[i];
		char letter[] = {'-', flag->letter, ',', ' ', '\0'};
		ao_auto_str char *left = ao_xasprintf("%s--%s%s%s", flag->letter ? letter : "    ", flag->name, flag->yes ? "" : " ",
						      flag->yes ? "" : flag->value);
		printf("  %-40s %s\n", left, flag->help);
	}
}

int ao_args_parse(const ao_verb *verb, int argc, char **argv, ao_err **reterr)
{
	size_t count = 0;
	if (argc > 1 && strcmp(argv[1], AO_COMPLETE) == 0) {
		ao_completion_print(verb, argc - 2, argv + 2);
		return 1;
	}
	for (int i = 1; i < argc;) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			print_help(verb);
			return 1;
		}
		bool argument = argv[i][0] != '-' || !argv[i][1];
		if (argument && !verb->arguments)
			return ao_err_set(reterr, -EINVAL, "unexpected argument: %s; see --help", argv[i]);
		if (argument && verb->one_of && !(count && verb->names_follow) && !is_one_of(verb->one_of, argv[i]))
			return ao_err_set(reterr, -EINVAL, "%s: expected %s, got '%s'", argv[0], verb->one_of, argv[i]);
		if (argument) {
			verb->arguments[count++] = argv[i++];
			continue;
		}
		int used = parse_one(verb, argv + i, reterr);
		if (used < 0)
			return used;
		i += used;
	}
	return 0;
}

size_t ao_args_peek(const char *name, int argc, char **argv, const char **ret)
{
	size_t count = 0, len = strlen(name);
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i] + strspn(argv[i], "-");
		if (word == argv[i] || strncmp(word, name, len) != 0)
			continue;
		if (word[len] == '=')
			ret[count++] = word + len + 1;
		else if (!word[len] && i + 1 < argc)
			ret[count++] = argv[++i];
	}
	return count;
}

void ao_cli_note(const char *text) { fprintf(stderr, "note: %s\n", text); }

int ao_cli_refusals(const char *parent, const cJSON *plan)
{
	const cJSON *refused = ao_json_at(plan, "refused"), *each;
	cJSON_ArrayForEach (each, refused)
		fprintf(stderr, "error: %s: role '%s': %s\n", parent, ao_json_str(each, "role"), ao_json_str(each, "message"));
	cJSON_ArrayForEach (each, ao_json_at(plan, "waits"))
		fprintf(stderr, "note: %s: waits for role '%s': %s\n", parent, ao_json_str(each, "role"), ao_json_str(each, "message"));
	return cJSON_GetArraySize(refused);
}

int ao_cli_fail(ao_err *err, int exit_code)
{
	fprintf(stderr, "error: %s\n", ao_err_text(err));
	ao_err_free(err);
	return exit_code;
}
