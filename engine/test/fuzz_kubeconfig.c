/* fuzz_kubeconfig.c -- any bytes as a kubeconfig: a configuration with a server, or an error that names the file. */
#include "fuzz.h"

#include "base/log.h"
#include "base/mem.h"
#include "kube/config.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static int fd = -1;
	static char *path;
	if (fd < 0) {
		fd = memfd_create("kubeconfig", 0);
		path = ao_xasprintf("/proc/self/fd/%d", fd);
	}
	ao_require(ftruncate(fd, 0) == 0 && pwrite(fd, data, len, 0) == (ssize_t)len);
	ao_auto_kubeconfig ao_kubeconfig *config = NULL;
	ao_auto_err ao_err *err = NULL;
	int r = ao_kubeconfig_load(path, NULL, &config, &err);
	ao_require((r == 0) == (config != NULL) && (r < 0) == (err != NULL));
	ao_require(r < 0 || (config->server && *config->server && config->namespace_ && config->source));
	return 0;
}
