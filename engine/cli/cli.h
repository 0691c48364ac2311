#pragma once
/**
 * cli.h -- the verbs of the command line, one file each.
 *
 * A verb gets its own argv (argv[0] is its name) and returns the process's exit code: 0 done, 1 failed or (diff) differences,
 * 2 wrong usage.  Results go to stdout, errors to stderr as "error: ...".
 */
#include "base/err.h"
#include "script/bundle.h"
#include "json/json.h"

int ao_cli_run(int argc, char **argv);
int ao_cli_render(int argc, char **argv);
int ao_cli_check(int argc, char **argv);
int ao_cli_diff(int argc, char **argv);
int ao_cli_replay(int argc, char **argv);
int ao_cli_migrate(int argc, char **argv);
int ao_cli_release(int argc, char **argv);
int ao_cli_rollout(int argc, char **argv);
int ao_cli_init(int argc, char **argv);
int ao_cli_manifest(int argc, char **argv);
int ao_cli_queue(int argc, char **argv);
int ao_cli_sdk(int argc, char **argv);
int ao_cli_version(int argc, char **argv);
int ao_cli_completion(int argc, char **argv);

/**
 * Of calls made for somebody at a terminal: the steps are those of an operator, so that what fails there fails here, but a machine that is
 * short of time is waited for.  An operator tries again later instead.
 */
#define AO_CLI_LIMITS (&(const ao_limits){.cpu_ms = 10000})

/** Prints "note: <text>". */
void ao_cli_note(const char *text);

/** Prints "error: <parent>: role 'scaler': <why>" for each part of a plan that a policy refused, and a note for each that others wait for.
 * @return how many were refused */
int ao_cli_refusals(const char *parent, const cJSON *plan);

/** Prints "error: <text>" and frees the error. @return `exit_code` */
int ao_cli_fail(ao_err *err, int exit_code);
