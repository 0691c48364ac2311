/* test_base_log.c -- what lines look like, read from a pipe in place of standard error. */
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "test/test_base_stderr.h"

#include <cjson/cJSON.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/** The line without its time, whose shape is checked. */
static const char *after_stamp(const char *line)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:dd.dddZ ";
	for (size_t i = 0; i < sizeof(shape) - 1; i++)
		if (shape[i] == 'd' ? line[i] < '0' || line[i] > '9' : line[i] != shape[i])
			fail_msg("no time in front: %s", line);
	return line + sizeof(shape) - 1;
}

static void text_lines(void **state)
{
	(void)state;
	ao_log_setup(AO_LOG_INFO, false);
	listen_to_stderr();
	ao_info(AO_CORE, "asya/resize", "created %s %s", "Deployment", "resize");
	ao_auto_str char *with_object = heard();
	assert_string_equal(after_stamp(with_object), "INFO  core   asya/resize: created Deployment resize\n");
	listen_to_stderr();
	ao_error(AO_TRANSPORT, NULL, "gone");
	ao_auto_str char *without = heard();
	assert_string_equal(after_stamp(without), "ERROR transport gone\n");
}

static void nothing_from_outside_forges_a_line(void **state)
{
	(void)state;
	ao_log_setup(AO_LOG_INFO, false);
	listen_to_stderr();
	ao_warn(AO_POLICY, "a\nb", "first\n2026-01-02T15:04:05.000Z INFO  core   second\x1b[2J\x7f\xff\xc3\xa9\r\tend");
	ao_auto_str char *text = heard();
	assert_string_equal(after_stamp(text),
			    "WARN  policy a\n\tb: first\n\t2026-01-02T15:04:05.000Z INFO  core   second?[2J??\xc3\xa9?\tend\n");
}

static void json_lines(void **state)
{
	(void)state;
	ao_log_setup(AO_LOG_DEBUG, true);
	listen_to_stderr();
	ao_debug(AO_KUBE, "a/b", "quote \" line\n byte \xff end");
	ao_auto_str char *text = heard();
	cJSON *line = cJSON_Parse(text);
	assert_non_null(line);
	assert_string_equal(cJSON_GetObjectItem(line, "level")->valuestring, "DEBUG");
	assert_string_equal(cJSON_GetObjectItem(line, "logger")->valuestring, "kube");
	assert_string_equal(cJSON_GetObjectItem(line, "object")->valuestring, "a/b");
	assert_string_equal(cJSON_GetObjectItem(line, "msg")->valuestring, "quote \" line\n byte \xef\xbf\xbd end");
	assert_int_equal(strlen(cJSON_GetObjectItem(line, "ts")->valuestring), 24);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	cJSON_Delete(line);
	listen_to_stderr();
	ao_info(AO_MAIN, NULL, "no object");
	ao_auto_str char *without = heard();
	assert_null(strstr(without, "object\":"));
}

static void levels_are_a_threshold(void **state)
{
	(void)state;
	ao_log_setup(AO_LOG_WARN, false);
	assert_false(ao_log_enabled(AO_LOG_INFO));
	listen_to_stderr();
	ao_debug(AO_CORE, NULL, "one");
	ao_info(AO_CORE, NULL, "two");
	ao_warn(AO_CORE, NULL, "three");
	ao_auto_str char *text = heard();
	assert_string_equal(after_stamp(text), "WARN  core   three\n");
}

/** The longest message, of the bytes that grow most, still makes one whole line in both formats. */
static void long_messages_are_cut_and_stay_lines(void **state)
{
	(void)state;
	static const char *const units[] = {"x", "\x01", "\xe2\x82\xac", "\xff"};
	for (size_t u = 0; u < AO_LEN(units); u++)
		for (int json = 0; json < 2; json++) {
			ao_auto_buf ao_buf message = ao_buf_init(1 << 20);
			for (int i = 0; i < 70000; i++)
				ao_buf_puts(&message, units[u]);
			ao_log_setup(AO_LOG_INFO, json);
			listen_to_stderr();
			ao_info(AO_CORE, message.data, "%s", message.data);
			ao_auto_str char *text = heard();
			size_t len = strlen(text);
			assert_true(len > 16 * 1024 && len < 128 * 1024);
			assert_true(strcmp(text + len - (json ? 6 : 4), json ? "...\"}\n" : "...\n") == 0);
			cJSON *line = json ? cJSON_Parse(text) : NULL;
			assert_true(!json || line);
			assert_true(u != 2 || !strstr(text, "\xef\xbf\xbd")); /* no character was cut in two */
			cJSON_Delete(line);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(text_lines),
	    cmocka_unit_test(nothing_from_outside_forges_a_line),
	    cmocka_unit_test(json_lines),
	    cmocka_unit_test(levels_are_a_threshold),
	    cmocka_unit_test(long_messages_are_cut_and_stay_lines),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
