/* test_rollout_fallback.c -- what an operator goes on by whose configuration cannot be used. A peer plays the server. */
#include "test/patience.h"
#include "test/test_rollout_policies.h"

#include <stdlib.h>
#include <unistd.h>

static const ao_resource GREETING = {.api_version = (char *)"demo.example.com/v1", .kind = (char *)"Greeting"};

static void answer(peer_conn *conn, const char *request)
{
	static const char END[] = "{\"type\":\"BOOKMARK\",\"object\":{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{"
				  "\"resourceVersion\":\"6\",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n";
	if (!strstr(request, "watch=1")) {
		peer_reply(conn, "404 Not Found", "", "{\"kind\":\"Status\",\"code\":404,\"reason\":\"NotFound\",\"message\":\"no\"}");
		return;
	}
	ao_auto_str char *stream = ao_xasprintf(
	    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n", strlen(END), END);
	peer_send(conn, stream);
}

static void write_config(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");
	assert_true(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static char *told(const ao_policies *policies)
{
	ao_auto_buf ao_buf text = ao_buf_init(4096);
	ao_policies_tell(policies, &text);
	return ao_xstrdup(text.data);
}

/** Nobody looks at edits in a replica that stands by: it said for ever, and its metric, what the one that leads had seen to be mended. */
static void who_stands_by_says_no_longer_that_the_configuration_is_wrong(void **state)
{
	(void)state;
	played p;
	char path[] = "/tmp/ao-config-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	write_config(path, "params: [");
	const ao_load_options load = {.bundle_dir = "policies/examples/greeting", .config_file = path, .parent = &GREETING};
	ao_policies *policies = begin_policies(&p, answer, &load);
	ao_auto_str char *before = told(policies), *after = NULL;
	assert_non_null(strstr(before, "degraded"));
	write_config(path, "params: {greeting: {image: nginx}}\n");
	for (int i = 0; i < 40 && (!after || strstr(after, "degraded")); i++) {
		bool never = false;
		ao_loop_run_until(p.loop, &never, patient_ms(250));
		free(after);
		after = told(policies);
	}
	end_policies(&p, policies);
	unlink(path);
	if (strstr(after, "degraded"))
		fail_msg("%s", after);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(who_stands_by_says_no_longer_that_the_configuration_is_wrong),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
