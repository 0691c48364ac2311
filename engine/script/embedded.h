#pragma once
/**
 * embedded.h -- files compiled into the binary; embed.lua writes their text to $(BUILD)/gen/embedded.c.
 * Threads: any; constants.
 */
#include <stddef.h>

typedef struct ao_embedded {
	const char *name; /* its path below the folder; NULL ends a list */
	const char *text; /* terminated by a NUL that `len` does not count */
	size_t len;
} ao_embedded;

extern const ao_embedded ao_embedded_sdk[];      /* lua/ */
extern const ao_embedded ao_embedded_policies[]; /* policies/ */
extern const ao_embedded ao_embedded_schemas[];  /* crds/openapi/schemas.json */
extern const ao_embedded ao_embedded_shells[];   /* engine/cli/shells/ */
extern const ao_embedded ao_embedded_testing[];  /* lua/asya/: what authors test with, for `sdk export` */
extern const ao_embedded ao_embedded_init[];     /* policies/init/: a bundle to begin with, for `init` */
extern const ao_embedded ao_embedded_template[]; /* policies/template/ */
