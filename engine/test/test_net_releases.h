#pragma once
/**
 * test_net_releases.h -- spec/releases.py for tests: a real HTTPS server with a store behind it and a proxy before it.
 */
#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct releases {
	FILE *process; /* ends when this is closed */
	char folder[64];
	int server, store, proxy; /* ports */
	char *ca;
} releases;

static inline char *text_of(const char *path)
{
	ao_auto_buf ao_buf content = ao_buf_init(1 << 20);
	return ao_file_read(path, &content, NULL) == 0 ? ao_buf_steal(&content) : NULL;
}

static inline void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0 && fclose(file) == 0);
}

static inline void releases_start(releases *r)
{
	*r = (releases){0};
	snprintf(r->folder, sizeof(r->folder), "/tmp/releases-XXXXXX");
	assert_non_null(mkdtemp(r->folder));
	ao_auto_str char *command = ao_xasprintf("exec python3 spec/releases.py %s", r->folder),
			 *ports = ao_xasprintf("%s/ports", r->folder);
	r->process = popen(command, "we");
	ao_auto_str char *line = NULL;
	for (int i = 0; i < 600 && !line; i++) {
		usleep(50000);
		line = text_of(ports);
	}
	assert_non_null(line);
	assert_int_equal(sscanf(line, "%d %d %d", &r->server, &r->store, &r->proxy), 3);
	ao_auto_str char *ca = ao_xasprintf("%s/ca.crt", r->folder);
	r->ca = text_of(ca);
}

static inline void releases_stop(releases *r)
{
	ao_auto_str char *command = ao_xasprintf("rm -rf %s", r->folder);
	assert_int_equal(pclose(r->process), 0);
	assert_int_equal(system(command), 0);
	free(r->ca);
}

/** Puts releases/VERSION/asya_runtime.py there. */
static inline void release(const releases *r, const char *version, const char *text)
{
	ao_auto_str char *command = ao_xasprintf("mkdir -p '%s/releases/%s'", r->folder, version),
			 *path = ao_xasprintf("%s/releases/%s/asya_runtime.py", r->folder, version);
	assert_int_equal(system(command), 0);
	write_text(path, text);
}

/** The requests so far; forgotten at once. The caller frees. */
static inline char *releases_log(const releases *r)
{
	ao_auto_str char *path = ao_xasprintf("%s/log", r->folder);
	char *log = text_of(path);
	assert_int_equal(truncate(path, 0), 0);
	return log;
}
