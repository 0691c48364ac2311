/* Settings that are files: behind a URL, on this machine, not there yet, another now. */
#include "base/sha256.h"
#include "policy/settings.h"
#include "serve/instruments.h"
#include "test/test_net_releases.h"

static const char MANIFEST[] = "{\"settings\":{"
			       "\"source\":{\"env\":\"T_SOURCE\",\"default\":\"here\",\"values\":[\"here\",\"there\"]},"
			       "\"script\":{\"env\":[\"T_PATH\",\"T_OLD_PATH\"],\"type\":\"file\",\"label\":\"script of all\",\"remote\":{"
			       "\"when\":{\"source\":\"there\"},\"url\":\"{base}/{repo}/releases/download/{version}/asya_runtime.py\","
			       "\"release\":\"{base}/api/repos/{repo}/releases/tags/"
			       "{version}\",\"sha256\":\"pin\",\"token_file\":\"tokenFile\",\"token_env\":\"T_TOKEN\",\"ca_file\":\"ca\"}},"
			       "\"base\":{},\"repo\":{\"default\":\"acme/runtime\"},\"version\":{},\"pin\":{},\"tokenFile\":{},\"ca\":{}}}";

typedef struct fixture {
	ao_loop *loop;
	releases releases;
	ao_setting_files *files;
	ao_metrics *metrics;
	cJSON *manifest, *config;
	bool changed, told;
	int changes, news;
	char note[1024], notice[1024];
} fixture;

static void on_change(void *arg)
{
	fixture *f = arg;
	f->changed = true;
	f->changes++;
}

static void on_news(void *arg, bool warning, const char *reason, const char *note)
{
	fixture *f = arg;
	assert_string_equal(reason, warning ? "FileMissing" : "FileRead");
	f->told = true;
	f->news++;
	snprintf(f->note, sizeof(f->note), "%s", note);
}

static void on_read(void *arg, const char *setting, const char *result)
{
	ao_instruments_file_read(((fixture *)arg)->metrics, setting, result);
}

static int setup(void **state)
{
	fixture *f = ao_xcalloc(1, sizeof(*f));
	f->loop = ao_loop_new();
	releases_start(&f->releases);
	assert_int_equal(ao_json_parse(MANIFEST, strlen(MANIFEST), &f->manifest, NULL), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture *f = *state;
	assert_int_equal(ao_loop_close(f->loop), 0);
	releases_stop(&f->releases);
	cJSON_Delete(f->manifest);
	free(f);
	return 0;
}

static void set(fixture *f, const char *name, const char *value)
{
	cJSON_DeleteItemFromObjectCaseSensitive(f->config, name);
	if (value)
		ao_json_set_str(f->config, name, value);
}

/** Each test begins with files of its own, and asks for version v1 of the server's. */
static int begin(void **state)
{
	fixture *f = *state;
	f->metrics = ao_metrics_new();
	ao_instruments_describe(f->metrics);
	f->files = ao_setting_files_new(&(ao_setting_files_options){f->loop, on_change, on_read, on_news, f});
	f->config = cJSON_CreateObject();
	f->changes = f->news = 0;
	f->changed = f->told = false;
	ao_auto_str char *base = ao_xasprintf("https://127.0.0.1:%d", f->releases.server),
			 *ca = ao_xasprintf("%s/ca.crt", f->releases.folder);
	set(f, "source", "there");
	set(f, "base", base);
	set(f, "version", "v1");
	set(f, "ca", ca);
	release(&f->releases, "v1", "one\n");
	free(releases_log(&f->releases));
	return 0;
}

static int end(void **state)
{
	fixture *f = *state;
	ao_setting_files_free(f->files);
	ao_metrics_free(f->metrics);
	cJSON_Delete(f->config);
	return 0;
}

/** What policies see: the text, "false", or "absent". The caller frees. */
static char *script(fixture *f)
{
	ao_auto_json cJSON *settings = NULL;
	ao_auto_err ao_err *err = NULL;
	if (ao_settings_collect(f->manifest, &(ao_settings_from){.file = f->config, .files = f->files}, &settings, &err) < 0)
		fail_msg("%s", ao_err_text(err));
	const cJSON *value = ao_json_at(settings, "script");
	return ao_xstrdup(cJSON_IsString(value) ? value->valuestring : cJSON_IsFalse(value) ? "false" : value ? "?" : "absent");
}

static void assert_script(fixture *f, const char *wanted)
{
	ao_auto_str char *is = script(f);
	assert_string_equal(is, wanted);
}

static void await(fixture *f, bool *what)
{
	assert_true(ao_loop_run_until(f->loop, what, 30000));
	*what = false;
}

static int requests(fixture *f)
{
	ao_auto_str char *log = releases_log(&f->releases);
	int lines = 0;
	for (const char *c = log; *c; c++)
		lines += *c == '\n';
	return lines;
}

static void a_release_is_fetched_once(void **state)
{
	fixture *f = *state;
	bool never = false;
	assert_script(f, "false");
	ao_loop_run_until(f->loop, &never, 200);
	assert_int_equal(requests(f), 0); /* nobody leads yet */
	assert_false(ao_setting_files_settling(f->files));
	ao_setting_files_start(f->files);
	assert_true(ao_setting_files_settling(f->files));
	assert_true(ao_setting_files_missing(f->files));
	await(f, &f->changed);
	assert_false(ao_setting_files_settling(f->files));
	assert_false(ao_setting_files_missing(f->files));
	for (int i = 0; i < 3; i++)
		assert_script(f, "one\n");
	ao_loop_run_until(f->loop, &never, 200);
	assert_int_equal(requests(f), 2); /* the server and its store */
	assert_int_equal(f->changes, 1);
	assert_int_equal(f->news, 0);
	ao_auto_buf ao_buf said = ao_buf_init(4096), metrics = ao_buf_init(65536);
	ao_setting_files_tell(f->files, &said);
	assert_non_null(strstr(said.data, "script of all: https://127.0.0.1:"));
	ao_instruments_files(f->metrics, f->files);
	ao_metrics_print(f->metrics, &metrics);
	assert_non_null(strstr(metrics.data, "setting_file_ready{setting=\"script\"} 1\n"));
	assert_non_null(strstr(metrics.data, "setting_file_reads_total{result=\"ok\",setting=\"script\"} 1\n"));
}

static void another_version_is_another_file(void **state)
{
	fixture *f = *state;
	ao_setting_files_start(f->files);
	assert_script(f, "false");
	await(f, &f->changed);
	release(&f->releases, "v2 a", "two\n");
	set(f, "version", "v2 a");
	assert_script(f, "false");
	await(f, &f->changed);
	assert_script(f, "two\n");
	ao_auto_str char *log = releases_log(&f->releases);
	assert_non_null(strstr(log, "/acme/runtime/releases/download/v2%20a/asya_runtime.py"));
}

static void what_is_not_there_is_said_and_waited_for(void **state)
{
	fixture *f = *state;
	set(f, "version", "v7");
	ao_setting_files_start(f->files);
	assert_script(f, "false");
	await(f, &f->told);
	assert_non_null(strstr(f->note, "script of all: https://127.0.0.1:"));
	assert_non_null(
	    strstr(f->note, "/v7/asya_runtime.py: HTTP 404: Not Found; check repo (acme/runtime), version (v7); what is there stays"));
	ao_auto_buf ao_buf said = ao_buf_init(4096);
	ao_setting_files_tell(f->files, &said);
	assert_non_null(strstr(said.data, "degraded: https://"));
	assert_false(f->changed);
	assert_script(f, "false");
	release(&f->releases, "v7", "seven\n");
	await(f, &f->changed);
	assert_script(f, "seven\n");
	assert_non_null(strstr(f->note, "script of all: read https://")); /* and the good news, too */
}

static void another_checksum_is_refused(void **state)
{
	fixture *f = *state;
	char right[AO_SHA256_HEX];
	ao_sha256("one\n", 4, right);
	ao_auto_str char *wrong = ao_xstrdup(right), *prefixed = ao_xasprintf("SHA256:%s", right);
	wrong[0] = wrong[0] == '0' ? '1' : '0';
	set(f, "pin", wrong);
	ao_setting_files_start(f->files);
	assert_script(f, "false");
	await(f, &f->told);
	assert_non_null(strstr(f->note, wrong));
	assert_non_null(strstr(f->note, right));
	assert_script(f, "false");
	set(f, "pin", prefixed);
	assert_script(f, "false");
	await(f, &f->changed);
	assert_script(f, "one\n");
	set(f, "pin", "abc");
	assert_script(f, "false");
	assert_non_null(strstr(f->note, "the checksum 'abc' is not a valid SHA-256"));
}

static void what_is_missing_in_the_address_is_named(void **state)
{
	fixture *f = *state;
	bool never = false;
	set(f, "version", NULL);
	set(f, "base", "");
	ao_setting_files_start(f->files);
	assert_script(f, "false");
	assert_non_null(strstr(f->note, "script of all: its address is not known: set base and version; "));
	ao_loop_run_until(f->loop, &never, 200);
	assert_int_equal(requests(f), 0);
	assert_int_equal(f->news, 1);
}

static void the_token_comes_from_a_file_or_the_environment(void **state)
{
	fixture *f = *state;
	ao_auto_str char *file = ao_xasprintf("%s/token", f->releases.folder);
	setenv("T_TOKEN", "from-env", 1);
	ao_setting_files_start(f->files);
	assert_script(f, "false");
	await(f, &f->changed);
	ao_auto_str char *first = releases_log(&f->releases);
	assert_non_null(strstr(first, "Bearer from-env\n"));
	write_text(file, "from-file\n");
	set(f, "tokenFile", file);
	assert_script(f, "false");
	await(f, &f->changed);
	unsetenv("T_TOKEN");
	ao_auto_str char *second = releases_log(&f->releases);
	assert_non_null(strstr(second, "Bearer from-file\n"));
	assert_null(strstr(second, "from-env"));
	set(f, "tokenFile", "/nowhere/token");
	assert_script(f, "false");
	assert_non_null(strstr(f->note, "its token: /nowhere/token: No such file"));
	assert_int_equal(requests(f), 0);
}

static void a_private_release_is_looked_up_with_the_token(void **state)
{
	fixture *f = *state;
	release(&f->releases, "private-1", "hidden\n");
	set(f, "version", "private-1");
	ao_setting_files_start(f->files);
	assert_script(f, "false");
	await(f, &f->told);
	assert_non_null(strstr(f->note, "/private-1/asya_runtime.py: HTTP 404"));
	assert_int_equal(requests(f), 1); /* nothing is looked up without one */
	setenv("T_TOKEN", "s3cret", 1);
	await(f, &f->changed);
	assert_script(f, "hidden\n");
	ao_auto_str char *log = releases_log(&f->releases);
	assert_string_equal(log, "server /acme/runtime/releases/download/private-1/asya_runtime.py Bearer s3cret\n"
				 "server /api/repos/acme/runtime/releases/tags/private-1 Bearer s3cret\n"
				 "server /api/assets/private-1 Bearer s3cret\n"
				 "store /store/private-1/asya_runtime.py?signature=s -\n");
	set(f, "version", "private-2");
	f->told = false;
	assert_script(f, "false");
	await(f, &f->told);
	assert_non_null(strstr(f->note, "/tags/private-2: the release has no file asya_runtime.py"));
	free(releases_log(&f->releases));
	release(&f->releases, "private-foreign", "elsewhere\n");
	set(f, "version", "private-foreign");
	assert_script(f, "false");
	await(f, &f->told);
	unsetenv("T_TOKEN");
	assert_non_null(strstr(f->note, "the release has no file asya_runtime.py"));
	ao_auto_str char *foreign = releases_log(&f->releases);
	assert_null(strstr(foreign, "store"));
}

static void a_path_is_watched(void **state)
{
	fixture *f = *state;
	ao_auto_str char *path = ao_xasprintf("%s/script.py", f->releases.folder);
	set(f, "source", NULL);
	assert_script(f, "absent");
	set(f, "script", path);
	assert_script(f, "false");
	assert_int_equal(f->news, 0); /* nobody leads yet */
	ao_setting_files_start(f->files);
	assert_non_null(strstr(f->note, "script of all: "));
	assert_non_null(strstr(f->note, "script.py: No such file or directory; what is there stays as it is"));
	write_text(path, "local\n");
	await(f, &f->changed);
	assert_script(f, "local\n");
	f->told = false;
	unlink(path);
	await(f, &f->told);
	assert_non_null(strstr(f->note, "the file that was read before is still used"));
	assert_script(f, "local\n");
	write_text(path, "");
	await(f, &f->told);
	assert_non_null(strstr(f->note, "script.py is empty"));
	write_text(path, "other\n");
	await(f, &f->changed);
	assert_script(f, "other\n");
	set(f, "script", NULL);
	assert_script(f, "absent");
	ao_auto_buf ao_buf metrics = ao_buf_init(65536);
	ao_instruments_files(f->metrics, f->files);
	ao_metrics_print(f->metrics, &metrics);
	assert_null(strstr(metrics.data, "setting_file_ready{")); /* nobody waits for a file that is not asked for */
	assert_int_equal(requests(f), 0);
}

static char offline_note[1024];
static void note_offline(const char *text) { snprintf(offline_note, sizeof(offline_note), "%s", text); }

static void without_anybody_to_wait_it_is_noted_or_wrong(void **state)
{
	fixture *f = *state;
	ao_auto_json cJSON *settings = NULL, *more = NULL;
	ao_auto_err ao_err *err = NULL;
	const ao_settings_from from = {.file = f->config, .on_note = note_offline};
	assert_int_equal(ao_settings_collect(f->manifest, &from, &settings, NULL), 0);
	assert_null(ao_json_at(settings, "script"));
	assert_non_null(strstr(offline_note, "script of all: https://127.0.0.1:"));
	set(f, "source", "here");
	set(f, "script", "/nowhere/x");
	assert_int_equal(ao_settings_collect(f->manifest, &from, &more, &err), -ENOENT);
	assert_string_equal(ao_err_text(err), "config file: script: /nowhere/x: No such file or directory");
	set(f, "source", "elsewhere");
	assert_int_equal(ao_settings_collect(f->manifest, &from, &more, &err), -EINVAL);
	assert_string_equal(ao_err_text(err), "config file: source: expected here or there");
}

static void the_first_variable_that_is_set_wins(void **state)
{
	fixture *f = *state;
	ao_auto_str char *old = ao_xasprintf("%s/old", f->releases.folder), *new = ao_xasprintf("%s/new", f->releases.folder);
	write_text(old, "old\n");
	write_text(new, "new\n");
	set(f, "source", NULL);
	setenv("T_OLD_PATH", old, 1);
	assert_script(f, "old\n");
	setenv("T_PATH", new, 1);
	assert_script(f, "new\n");
	unsetenv("T_PATH");
	unsetenv("T_OLD_PATH");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
	    TEST(a_release_is_fetched_once),
	    TEST(another_version_is_another_file),
	    TEST(what_is_not_there_is_said_and_waited_for),
	    TEST(another_checksum_is_refused),
	    TEST(what_is_missing_in_the_address_is_named),
	    TEST(the_token_comes_from_a_file_or_the_environment),
	    TEST(a_private_release_is_looked_up_with_the_token),
	    TEST(a_path_is_watched),
	    TEST(without_anybody_to_wait_it_is_noted_or_wrong),
	    TEST(the_first_variable_that_is_set_wins),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
