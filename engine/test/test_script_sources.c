/* Files of a bundle: replacing, folders as ConfigMaps are mounted, caps; and text made fit for showing. */
#include "base/utf8.h"
#include "script/embedded.h"
#include "script/text.h"
#include "script_case.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];

static int setup(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/ao-sources-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	ao_auto_str char *command = ao_xasprintf("rm -rf '%s'", folder);
	return system(command);
}

static void write_file(const char *name, const char *text, size_t len)
{
	ao_auto_str char *path = ao_xasprintf("%s/%s", folder, name);
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	fclose(file);
}

static void test_later_sources_win(void **state)
{
	(void)state;
	ao_auto_sources ao_sources sources = {0};
	ao_sources_put(&sources, "a", "1", 1, "first");
	ao_sources_put(&sources, "b", "x\0y", 3, "first");
	ao_sources_put(&sources, "a", "2\n", 2, "second");
	ao_sources_put(&sources, "empty", NULL, 0, "second");
	assert_int_equal(sources.count, 3);
	assert_string_equal(sources.items[0].text, "2\n");
	assert_string_equal(sources.items[0].origin, "second");
	assert_memory_equal(sources.items[1].text, "x\0y", 4);
	assert_int_equal(sources.items[2].len, 0);
}

static bool has(const ao_sources *sources, const char *name)
{
	for (size_t i = 0; i < sources->count; i++)
		if (strcmp(sources->items[i].name, name) == 0)
			return true;
	return false;
}

static void test_what_comes_later_lies_over_profiles(void **state)
{
	(void)state;
	ao_auto_sources ao_sources sources = {0}, team = {0};
	ao_sources_put(&sources, "profiles/x/a.lua", "1", 1, "first");
	ao_sources_put(&sources, "profiles/x/b.lua", "1", 1, "first");
	ao_sources_put(&sources, "a.lua", "1", 1, "first");
	ao_sources_lay(&team, "profiles/y/b.lua", "2", 1, "second");
	ao_sources_lay(&team, "a.lua", "2", 1, "second");
	ao_sources_put_all(&sources, &team);
	assert_false(has(&sources, "profiles/x/a.lua"));
	assert_true(has(&sources, "profiles/x/b.lua"));
	assert_true(has(&sources, "profiles/y/b.lua"));
	assert_true(has(&sources, "a.lua"));
	assert_int_equal(sources.count, 3);
}

static void test_a_folder_with_profiles(void **state)
{
	(void)state;
	ao_auto_sources ao_sources sources = {0};
	ao_auto_str char *profiles = ao_xasprintf("%s/profiles", folder), *one = ao_xasprintf("%s/profiles/x", folder);
	assert_int_equal(mkdir(profiles, 0700), 0);
	assert_int_equal(mkdir(one, 0700), 0);
	write_file("profiles/stray.lua", "s", 1);
	write_file("profiles/x/a.lua", "xa", 2);
	write_file("z.lua", "z", 1);
	assert_int_equal(ao_sources_dir(&sources, folder, NULL), 0);
	assert_true(has(&sources, "profiles/x/a.lua"));
	assert_true(has(&sources, "z.lua"));
	assert_false(has(&sources, "stray.lua"));
}

static void test_a_mounted_folder(void **state)
{
	(void)state;
	ao_auto_str char *data = ao_xasprintf("%s/..data", folder), *link = ao_xasprintf("%s/b.lua", folder);
	ao_auto_str char *sub = ao_xasprintf("%s/examples", folder);
	assert_int_equal(mkdir(data, 0700), 0);
	assert_int_equal(mkdir(sub, 0700), 0);
	write_file("..data/b.lua", "b", 1);
	write_file("examples/c.lua", "c", 1);
	write_file("a.lua", "a", 1);
	write_file(".hidden", "h", 1);
	assert_int_equal(symlink("..data/b.lua", link), 0);
	ao_auto_sources ao_sources sources = {0};
	put(&sources, "b.lua", "old");
	assert_int_equal(ao_sources_dir(&sources, folder, NULL), 0);
	assert_int_equal(sources.count, 2);
	assert_string_equal(sources.items[0].text, "b");
	assert_string_equal(sources.items[0].origin, folder);
	assert_string_equal(sources.items[1].name, "a.lua");
}

#define MOUNTED 30

/** As a kubelet does it: all files are links through one link, which is exchanged again and again. */
static void exchange(const char *data)
{
	ao_auto_str char *beside = ao_xasprintf("%s_tmp", data);
	alarm(60); /* should the test die before it can end us */
	for (int i = 0;; i++) {
		if (symlink(i % 2 ? "..one" : "..two", beside) < 0 || rename(beside, data) < 0)
			_exit(1);
		usleep(2000);
	}
}

static void make_mount(const char *data)
{
	for (int i = 0; i < 2; i++) {
		ao_auto_str char *version = ao_xasprintf("%s/%s", folder, i ? "..two" : "..one");
		assert_int_equal(mkdir(version, 0700), 0);
		for (int k = 0; k < MOUNTED; k++) {
			ao_auto_str char *name = ao_xasprintf("%s/f%d", i ? "..two" : "..one", k), *to = ao_xasprintf("..data/f%d", k),
					 *link = ao_xasprintf("%s/f%d", folder, k);
			write_file(name, i ? "two" : "one", 3);
			if (!i)
				assert_int_equal(symlink(to, link), 0);
		}
	}
	assert_int_equal(symlink("..one", data), 0);
}

static void test_a_mount_is_read_before_it_is_exchanged_or_after(void **state)
{
	(void)state;
	ao_auto_str char *data = ao_xasprintf("%s/..data", folder);
	make_mount(data);
	pid_t child = fork();
	assert_true(child >= 0);
	if (!child)
		exchange(data);
	for (int round = 0; round < 50; round++) {
		ao_auto_sources ao_sources sources = {0};
		if (ao_sources_dir(&sources, folder, NULL) < 0)
			continue;
		for (size_t i = 1; i < sources.count; i++)
			if (strcmp(sources.items[i].text, sources.items[0].text) != 0) {
				kill(child, SIGKILL);
				fail_msg("round %d: %s is of version %s, and %s of %s", round, sources.items[0].name, sources.items[0].text,
					 sources.items[i].name, sources.items[i].text);
			}
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	ao_auto_sources ao_sources sources = {0};
	assert_int_equal(ao_sources_dir(&sources, folder, NULL), 0);
	assert_int_equal(sources.count, MOUNTED);
}

static void test_what_cannot_be_read_changes_nothing(void **state)
{
	(void)state;
	ao_auto_sources ao_sources sources = {0};
	ao_auto_err ao_err *err = NULL;
	put(&sources, "a.lua", "kept");
	assert_int_equal(ao_sources_dir(&sources, "/nowhere/at/all", &err), -ENOENT);
	assert_text(ao_err_text(err), "/nowhere/at/all");
	char *big = ao_xcalloc(1, 1024 * 1024 + 1);
	write_file("a.lua", "new", 3);
	write_file("big", big, 1024 * 1024 + 1);
	free(big);
	assert_int_equal(ao_sources_dir(&sources, folder, &err), -E2BIG);
	assert_text(ao_err_text(err), "big");
	assert_int_equal(sources.count, 1);
	assert_string_equal(sources.items[0].text, "kept");
}

static void test_a_folder_holds_at_most_256_files(void **state)
{
	(void)state;
	for (int i = 0; i < 257; i++) {
		char name[16];
		snprintf(name, sizeof(name), "f%d", i);
		write_file(name, "", 0);
	}
	ao_auto_sources ao_sources sources = {0};
	ao_auto_err ao_err *err = NULL;
	assert_int_equal(ao_sources_dir(&sources, folder, &err), -E2BIG);
	assert_text(ao_err_text(err), "more than 256 files");
}

static void test_the_sdk_is_embedded(void **state)
{
	(void)state;
	static const char *const names[] = {"bundle.lua", "json.lua", "plan.lua", "policy.lua", "sandbox.lua"};
	for (size_t i = 0; i < AO_LEN(names); i++) {
		const ao_embedded *file = ao_embedded_sdk;
		while (file->name && strcmp(file->name, names[i]) != 0)
			file++;
		assert_non_null(file->name);
		assert_int_equal(file->len, strlen(file->text));
	}
	ao_auto_sources ao_sources sources = {0};
	ao_sources_builtin(&sources);
	for (size_t i = 0; i < sources.count; i++)
		assert_string_equal(sources.items[i].origin, "built-in");
}

static void test_text_is_made_fit(void **state)
{
	(void)state;
	static const struct {
		const char *in, *out;
		bool utf8;
	} cases[] = {
	    {"", "", true},
	    {"plain\ttext\n", "plain\ttext\n", true},
	    {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", true},
	    {"\x1b[31m", "?[31m", true},
	    {"a\xff"
	     "b",
	     "a?b", false},
	    {"\xc0\x80", "??", false},
	    {"\xc1\xbf", "??", false},
	    {"\xe0\x80\x80", "???", false},
	    {"\xed\xa0\x80", "???", false},
	    {"\xf4\x90\x80\x80", "????", false},
	    {"\xf8\x88\x80\x80\x80", "?????", false},
	    {"\xe2\x82", "??", false},
	    {"\x80", "?", false},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_str char *clean = ao_text_clean(cases[i].in, strlen(cases[i].in), 100);
		assert_string_equal(clean, cases[i].out);
		assert_int_equal(ao_utf8_is_text(cases[i].in, strlen(cases[i].in)), cases[i].utf8);
	}
	ao_auto_str char *cut = ao_text_clean("ab\xe2\x82\xac", 5, 4);
	assert_string_equal(cut, "ab");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_later_sources_win),
	    cmocka_unit_test(test_what_comes_later_lies_over_profiles),
	    cmocka_unit_test_setup_teardown(test_a_folder_with_profiles, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_mounted_folder, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_mount_is_read_before_it_is_exchanged_or_after, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_what_cannot_be_read_changes_nothing, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_a_folder_holds_at_most_256_files, setup, teardown),
	    cmocka_unit_test(test_the_sdk_is_embedded),
	    cmocka_unit_test(test_text_is_made_fit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
