/* The directory of --record: it stays below its limit, and nothing that goes wrong with it reaches the operator. */
#include "base/log.h"
#include "base/mem.h"
#include "policy/load.h"
#include "policy/recorder.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define LIMIT ((uint64_t)512 * 1024)

typedef struct fixture {
	char dir[40];
	ao_bundle *bundle;
	ao_recorder *recorder;
} fixture;

static int begin(void **state)
{
	ao_auto_sources ao_sources sources = {0};
	ao_auto_json cJSON *settings = cJSON_Parse("{\"transports\": {\"rabbitmq\": {\"enabled\": true, \"config\": {\"host\": \"mq\"}}}}");
	fixture *f = ao_xcalloc(1, sizeof(*f));
	strcpy(f->dir, "/tmp/ao-recorder-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	ao_sources_builtin(&sources);
	assert_int_equal(ao_bundle_load(&sources, settings, NULL, &f->bundle, NULL), 0);
	f->recorder = ao_recorder_new(f->dir, LIMIT, false);
	*state = f;
	return 0;
}

static int end(void **state)
{
	fixture *f = *state;
	ao_auto_str char *command = ao_xasprintf("rm -r %s", f->dir);
	ao_recorder_free(f->recorder);
	ao_bundle_free(f->bundle);
	assert_int_equal(system(command), 0); // NOLINT
	free(f);
	return 0;
}

/** Records an actor of that name. @param bytes  more or less what its record takes */
static void put(fixture *f, const char *name, size_t bytes)
{
	ao_auto_str char *padding = ao_xcalloc(1, bytes + 1);
	memset(padding, 'x', bytes);
	ao_auto_str char *text = ao_xasprintf(
	    "{\"now\": \"2026-01-02T03:04:05Z\", \"children\": [], \"related\": [], \"parent\": {\"apiVersion\": \"asya.sh/v1alpha1\", "
	    "\"kind\": \"Actor\", \"metadata\": {\"name\": \"%s\", \"namespace\": \"n\", \"annotations\": {\"a\": \"%s\"}}, "
	    "\"spec\": {\"transport\": \"rabbitmq\", \"workload\": {\"template\": {\"spec\": {\"containers\": "
	    "[{\"name\": \"asya-runtime\", \"image\": \"app:1\"}]}}}}}}",
	    name, padding);
	ao_auto_json cJSON *snapshot = cJSON_Parse(text);
	assert_non_null(snapshot);
	ao_recorder_put(f->recorder, f->bundle, snapshot);
}

/** What `command` prints in the directory. */
static char *shell(const fixture *f, const char *command)
{
	char answer[512] = "";
	ao_auto_str char *line = ao_xasprintf("cd %s && %s", f->dir, command);
	FILE *out = popen(line, "r"); // NOLINT
	assert_non_null(out);
	size_t len = fread(answer, 1, sizeof(answer) - 1, out);
	pclose(out);
	return ao_xstrndup(answer, len);
}

static uint64_t on_disk(const fixture *f)
{
	ao_auto_str char *kilobytes = shell(f, "du -sk . | cut -f1");
	return strtoull(kilobytes, NULL, 10) * 1024;
}

static bool there(const fixture *f, const char *name)
{
	ao_auto_str char *path = ao_xasprintf("%s/%s", f->dir, name);
	return access(path, F_OK) == 0;
}

static void the_oldest_go_before_the_limit_is_reached(void **state)
{
	fixture *f = *state;
	for (int i = 0; i < 40; i++) {
		ao_auto_str char *name = ao_xasprintf("a%d", i);
		put(f, name, 8000);
		assert_true(on_disk(f) <= LIMIT);
	}
	assert_true(there(f, "n_a39.json"));
	assert_true(there(f, "n_a35.json"));
	assert_false(there(f, "n_a0.json"));
	for (int i = 0; i < 40; i++) { /* the same one again takes no more room */
		put(f, "a39", 8000);
		assert_true(on_disk(f) <= LIMIT);
	}
	assert_true(there(f, "n_a35.json"));
}

static void what_a_process_before_has_left_counts(void **state)
{
	fixture *f = *state;
	for (int run = 0; run < 4; run++) {
		for (int i = 0; i < 15; i++) {
			ao_auto_str char *name = ao_xasprintf("a%d-%d", run, i);
			put(f, name, 8000);
			assert_true(on_disk(f) <= LIMIT);
		}
		ao_recorder_free(f->recorder);
		f->recorder = ao_recorder_new(f->dir, LIMIT, false);
	}
}

static void records_of_several_bundles_are_told_apart(void **state)
{
	fixture *f = *state;
	ao_recorder_free(f->recorder);
	f->recorder = ao_recorder_new(f->dir, LIMIT, true);
	put(f, "a", 10);
	assert_true(there(f, "actors_n_a.json"));
	assert_false(there(f, "n_a.json"));
}

static void the_files_of_others_are_neither_removed_nor_shown(void **state)
{
	fixture *f = *state;
	ao_auto_str char *made = shell(f, "echo '{\"mine\": \"and longer than what all records begin with\"}' >my_own.json; mkfifo "
					  "pipe.json; ln -s my_own.json link.json; "
					  "echo kept >kept; ln -s kept n_a.json.new");
	for (int i = 0; i < 40; i++) {
		ao_auto_str char *name = ao_xasprintf("a%d", i);
		put(f, name, 8000);
	}
	put(f, "a", 10);
	assert_true(there(f, "my_own.json"));
	assert_true(there(f, "link.json"));
	ao_auto_str char *kept = shell(f, "cat kept");
	assert_string_equal(kept, "kept\n");
	ao_auto_buf ao_buf list = ao_buf_init(64 * 1024), text = ao_buf_init(64 * 1024);
	ao_recorder_list(f->recorder, "/debug/records/", &list);
	assert_non_null(list.data);
	assert_non_null(strstr(list.data, "/debug/records/n_a39.json\n"));
	assert_null(strstr(list.data, "my_own"));
	static const char *const not_shown[] = {"my_own.json", "pipe.json", "link.json", "../my_own.json", "", ".json", "n_nobody.json"};
	for (size_t i = 0; i < AO_LEN(not_shown); i++) {
		ao_auto_err ao_err *err = NULL;
		assert_int_equal(ao_recorder_read(f->recorder, not_shown[i], &text, &err), -ENOENT);
	}
	assert_int_equal(ao_recorder_read(f->recorder, "n_a39.json", &text, NULL), 0);
	ao_auto_json cJSON *record = cJSON_Parse(text.data);
	assert_string_equal(ao_json_str(record, "snapshot", "parent", "metadata", "name"), "a39");
}

/** What the recorder says when it writes; the file with the log is taken off the standard error for the while. */
static char *log_of(fixture *f, void (*fn)(fixture *f))
{
	ao_auto_str char *path = ao_xasprintf("%s/log", f->dir);
	fflush(stderr);
	int before = dup(2);
	assert_non_null(freopen(path, "w", stderr));
	fn(f);
	fflush(stderr);
	assert_true(dup2(before, 2) >= 0);
	close(before);
	return shell(f, "grep -o 'cannot record.*' log; rm log");
}

static void put_three(fixture *f)
{
	for (int i = 0; i < 3; i++)
		put(f, "a", 20000);
}

static void a_full_disk_is_said_once_and_leaves_nothing_behind(void **state)
{
	fixture *f = *state;
	struct rlimit was, full;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	full = (struct rlimit){8192, was.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
	ao_auto_str char *said = log_of(f, put_three);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	const char *first = strstr(said, "cannot record to ");
	assert_non_null(first);
	assert_non_null(strstr(said, "n_a.json: File too large"));
	assert_null(strstr(first + 1, "cannot record to "));
	ao_auto_str char *left = shell(f, "ls");
	assert_string_equal(left, "");
	put(f, "a", 20000); /* there is room again */
	assert_true(there(f, "n_a.json"));
}

static void put_a_large_one(fixture *f) { put(f, "large", 600000); }

static void a_record_beyond_the_limit_is_left_out(void **state)
{
	fixture *f = *state;
	put(f, "small", 100);
	ao_auto_str char *said = log_of(f, put_a_large_one);
	assert_non_null(strstr(said, "n_large.json: there is no room below the limit"));
	assert_false(there(f, "n_large.json"));
	assert_true(there(f, "n_small.json"));
}

static void a_directory_that_is_gone_harms_nothing(void **state)
{
	fixture *f = *state;
	assert_int_equal(rmdir(f->dir), 0);
	put(f, "a", 100);
	assert_int_equal(mkdir(f->dir, 0700), 0);
	put(f, "a", 100);
	assert_true(there(f, "n_a.json"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(the_oldest_go_before_the_limit_is_reached, begin, end),
	    cmocka_unit_test_setup_teardown(what_a_process_before_has_left_counts, begin, end),
	    cmocka_unit_test_setup_teardown(records_of_several_bundles_are_told_apart, begin, end),
	    cmocka_unit_test_setup_teardown(the_files_of_others_are_neither_removed_nor_shown, begin, end),
	    cmocka_unit_test_setup_teardown(a_full_disk_is_said_once_and_leaves_nothing_behind, begin, end),
	    cmocka_unit_test_setup_teardown(a_record_beyond_the_limit_is_left_out, begin, end),
	    cmocka_unit_test_setup_teardown(a_directory_that_is_gone_harms_nothing, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
