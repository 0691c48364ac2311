/* args.c -- one table for each verb; parsing and help both come from it. */
#include "cli/args.h"

#include "base/mem.h"
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static const ao_flag *find(const ao_verb *verb, const char *name, size_t len, bool letter)
{
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

/** @param list  "text or json" */
static bool is_one_of(const char *list, const char *value)
{
	size_t len = strlen(value);
	for (const char *at = list; len && at; at = strchr(at, ' ') ? strchr(at, ' ') + 1 : NULL)
		if (strncmp(at, value, len) == 0 && (!at[len] || at[len] == ' '))
			return strcmp(value, "or") != 0;
	return false;
}

/** @return the number of arguments used, or a negative errno */
static int parse_one(const ao_verb *verb, char **argv, ao_err **reterr)
{
	const char *arg = argv[0];
	bool letter = arg[1] != '-' && (!arg[2] || arg[2] == '=');
	const char *name = arg + (arg[1] == '-' ? 2 : 1);
	size_t len = strcspn(name, "=");
	const char *value = name[len] ? name + len + 1 : NULL;
	const ao_flag *flag = find(verb, name, len, letter);
	if (flag && flag->yes) {
		int r = set_bool(flag, value, reterr);
		return r < 0 ? r : 1;
	}
	int used = 1;
	if (!value && argv[1]) {
		value = argv[1];
		used = 2;
	}
	if (!flag) {
		ao_auto_str char *other = ao_xstrndup(name, len);
		if (value && verb->other && verb->other(verb->arg, other, value))
			return used;
		return ao_err_set(reterr, -EINVAL, "unknown flag: %.*s; see --help", (int)(name - arg + (ptrdiff_t)len), arg);
	}
	if (!value)
		return ao_err_set(reterr, -EINVAL, "flag needs a value: --%s", flag->name);
	if (flag->one_of && !is_one_of(flag->one_of, value))
		return ao_err_set(reterr, -EINVAL, "--%s: expected %s, got '%s'", flag->name, flag->one_of, value);
	*flag->text = value;
	return used;
}

int ao_args_parse(const ao_verb *verb, int argc, char **argv, ao_err **reterr)
{
	size_t count = 0;
	for (int i = 1; i < argc;) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			ao_args_help(verb);
			return 1;
		}
		bool argument = argv[i][0] != '-' || !argv[i][1];
		if (argument && verb->arguments) {
			verb->arguments[count++] = argv[i++];
			continue;
		}
		if (argument)
			return ao_err_set(reterr, -EINVAL, "unexpected argument: %s; see --help", argv[i]);
		int used = parse_one(verb, argv + i, reterr);
		if (used < 0)
			return used;
		i += used;
	}
	return 0;
}

void ao_args_help(const ao_verb *verb)
{
	printf("%s\n\nUsage:\n  %s\n", verb->about, verb->usage);
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

void ao_cli_note(const char *text) { fprintf(stderr, "note: %s\n", text); }

int ao_cli_refusals(const char *parent, const cJSON *plan)
{
	const cJSON *refused = ao_json_at(plan, "refused"), *each;
	cJSON_ArrayForEach (each, refused)
		fprintf(stderr, "error: %s: role '%s': %s\n", parent, ao_json_str(each, "role"), ao_json_str(each, "message"));
	return cJSON_GetArraySize(refused);
}

int ao_cli_fail(ao_err *err, int exit_code)
{
	fprintf(stderr, "error: %s\n", ao_err_text(err));
	ao_err_free(err);
	return exit_code;
}
