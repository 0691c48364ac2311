#pragma once
/**
 * redact.h -- takes out of what is written down for people whatever may be a secret.
 *
 * Values of environment variables, arguments and commands of containers, the data of Secrets, members whose name sounds like a secret, and
 * texts with a URL that holds a password become "REDACTED:<digest>".  Equal values have equal digests as long as the process lives, and
 * nobody can find a value by trying, because the digest is made with a key that is never told.
 * Threads: one owner at a time.
 */
#include "json/json.h"

typedef struct ao_redaction ao_redaction;

/** @param harmless  a list of the names of variables whose values may be seen; may be NULL; borrowed */
ao_redaction *ao_redaction_new(const cJSON *harmless);
void ao_redaction_free(ao_redaction *redaction);

/** Takes everything out of a tree that may be a secret, and remembers it. */
void ao_redact(ao_redaction *redaction, cJSON *tree);

/** Takes what was taken out before out of a tree that was made of it, wherever it stands in a text. */
void ao_redact_traces(const ao_redaction *redaction, cJSON *tree);

static inline void ao_redaction_freep(ao_redaction **r) { ao_redaction_free(*r); }
#define ao_auto_redaction __attribute__((cleanup(ao_redaction_freep)))
