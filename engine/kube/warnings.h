#pragma once
/**
 * warnings.h -- what the server warns of in the headers of its answers (a deprecated version, say), logged once each.  Private to kube/.
 * Threads: the loop thread only.
 */

typedef struct ao_warnings ao_warnings;

ao_warnings *ao_warnings_new(void);
void ao_warnings_free(ao_warnings *warnings); /* NULL is fine */
/** @param headers  the values of Warning headers, a line each */
void ao_warnings_see(ao_warnings *warnings, const char *headers);
