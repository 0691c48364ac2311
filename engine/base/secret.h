#pragma once
/**
 * secret.h -- texts that nobody may find in memory later: tokens, passwords, keys.
 * Threads: any.
 */
#include <stdbool.h>

/** Overwrites and frees; NULL is fine. */
void ao_secret_free(char *secret);
/** Cuts white space off both ends. @return false when nothing is left, or what is left must not go into an HTTP header */
bool ao_secret_clean(char *secret);

static inline void ao_secret_freep(char **secret) { ao_secret_free(*secret); }
/** A local `char *` that is overwritten and freed when it goes out of scope. */
#define ao_auto_secret __attribute__((cleanup(ao_secret_freep)))
