/* completion.c -- candidates come from the table of a verb.  The scripts in shells/ hand over the words and show the answer. */
#include "cli/completion.h"

#include "base/mem.h"
#include "cli/cli.h"
#include "script/embedded.h"

#include <stdio.h>
#include <string.h>

/* ---- candidates ---- */

void ao_completion_offer(const char *beginning, const char *candidate, const char *what)
{
	if (strncmp(candidate, beginning, strlen(beginning)) != 0)
		return;
	printf("%s%s%.*s\n", candidate, what ? "\t" : "", what ? (int)strcspn(what, "\n") : 0, what ? what : "");
}

void ao_completion_end(ao_complete_also also) { printf(":%d\n", also); }

bool ao_completion_is_asked(const char *argv0)
{
	const char *slash = strrchr(argv0, '/');
	return strncmp(slash ? slash + 1 : argv0, "kubectl_complete-", 17) == 0;
}

static ao_complete_also offer_words(const char *beginning, const char *one_of)
{
	for (char *each; ao_args_next(&one_of, &each); free(each))
		ao_completion_offer(beginning, each, NULL);
	return AO_COMPLETE_NOTHING;
}

static ao_complete_also offer_values(const char *beginning, const ao_flag *flag)
{
	if (flag->yes)
		return offer_words(beginning, "true or false");
	if (flag->one_of)
		return offer_words(beginning, flag->one_of);
	return strcmp(flag->value, "FILE") == 0  ? AO_COMPLETE_FILES
	       : strcmp(flag->value, "DIR") == 0 ? AO_COMPLETE_FOLDERS
						 : AO_COMPLETE_NOTHING;
}

static ao_complete_also offer_flags(const char *beginning, const ao_verb *verb)
{
	for (size_t i = 0; i < verb->flag_count; i++) {
		ao_auto_str char *word = ao_xasprintf("--%s", verb->flags[i].name);
		ao_completion_offer(beginning, word, verb->flags[i].help);
	}
	ao_completion_offer(beginning, "--help", "what the verb does, with examples");
	return AO_COMPLETE_NOTHING;
}

static ao_complete_also offer_arguments(const char *beginning, const ao_verb *verb, bool first)
{
	if (verb->one_of)
		return first ? offer_words(beginning, verb->one_of) : AO_COMPLETE_NOTHING;
	return verb->argument && strcmp(verb->argument, "FILE") == 0 ? AO_COMPLETE_FILES : AO_COMPLETE_NOTHING;
}

void ao_completion_print(const ao_verb *verb, int count, char **words)
{
	const ao_flag *waits = NULL; /* the flag whose value the next word is */
	bool first = true;           /* no argument was there yet */
	for (int i = 0; i + 1 < count; i++) {
		const char *value = NULL;
		bool is_flag = !waits && words[i][0] == '-' && words[i][1];
		const ao_flag *flag = is_flag ? ao_args_flag(verb, words[i], &value) : NULL;
		first = first && (is_flag || waits);
		waits = flag && !flag->yes && !value ? flag : NULL;
	}
	const char *last = count ? words[count - 1] : "", *value = NULL;
	const ao_flag *flag = last[0] == '-' ? ao_args_flag(verb, last, &value) : NULL;
	ao_completion_end(waits           ? offer_values(last, waits)
			  : flag && value ? offer_values(value, flag)
			  : *last == '-'  ? offer_flags(last, verb)
					  : offer_arguments(last, verb, first));
}

/* ---- the verb ---- */

/** Prints a script; the word PROGRAM in it stands for the name that people type. */
static void print_script(const char *at)
{
	static const char MARK[] = "PROGRAM";
	for (const char *mark; (mark = strstr(at, MARK)); at = mark + strlen(MARK))
		printf("%.*s%s", (int)(mark - at), at, ao_args_file());
	fputs(at, stdout);
}

int ao_cli_completion(int argc, char **argv)
{
	const char **arguments = ao_xcalloc((size_t)argc + 1, sizeof(*arguments));
	ao_err *err = NULL;
	int r = ao_args_parse(
	    &(ao_verb){.usage = "completion bash|zsh|fish",
		       .about = "Prints a script that completes verbs, flags and their values in a shell. kubectl needs none: it asks\n"
				"a link to this program that is called kubectl_complete-asya.",
		       .arguments = arguments,
		       .one_of = "bash, zsh or fish",
		       .examples = (const ao_example[]){{"for bash; ~/.bashrc sources the file", "completion bash >asya.bash"},
							{"for zsh, in a folder of $fpath", "completion zsh >_asya-operator"},
							{"for fish, in ~/.config/fish/completions", "completion fish >asya-operator.fish"},
							{0}}},
	    argc, argv, &err);
	ao_auto_str char *name = ao_xasprintf("completion.%s", arguments[0] && !arguments[1] ? arguments[0] : "");
	free(arguments);
	if (r > 0)
		return 0;
	for (const ao_embedded *file = ao_embedded_shells; r == 0 && file->name; file++)
		if (strcmp(file->name, name) == 0) {
			print_script(file->text);
			return 0;
		}
	if (r == 0)
		ao_err_set(&err, -EINVAL, "completion: name one of bash, zsh, fish");
	return ao_cli_fail(err, 2);
}
