#pragma once
/**
 * redact.h -- takes whatever may be a secret out of what is written for people.
 *
 * What policies are shown they may log, or write where everybody reads it: they see no value of a Secret in the first place.
 *
 * Values of environment variables, arguments and commands of containers, the data of Secrets, members whose name sounds like a secret, and
 * texts with a URL that holds a password become "REDACTED:<digest>".  Equal values have equal digests as long as the process lives.  The
 * digest is made with a key that is never shown, so nobody can find a value by trying.
 * Threads: one owner at a time.
 */
#include "json/json.h"

typedef struct ao_redaction ao_redaction;

/** @param harmless  a list of the names of variables whose values may be seen; may be NULL; borrowed */
ao_redaction *ao_redaction_new(const cJSON *harmless);
void ao_redaction_free(ao_redaction *redaction);

/** Takes everything that may be a secret out of a tree, and remembers it. */
void ao_redact(ao_redaction *redaction, cJSON *tree);

/** Takes the same values out of a tree that was made from the first one, wherever they stand in a text. */
void ao_redact_traces(const ao_redaction *redaction, cJSON *tree);

/**
 * Of a Secret that policies are shown only the keys stay, each with "(hidden) DIGEST": a plan that holds a checksum of what it is shown is
 * another one when the value is.  The digest is the same for every operator at all times, or pods would be replaced at a restart; it is of
 * the Secret's uid, too, so that nobody finds a value by trying who sees no more than such a checksum.  Any other object stays as it is.
 */
void ao_redact_secret(cJSON *object);

/** Is this a Secret whose values policies are not shown? */
bool ao_redact_is_secret(const cJSON *object);
/** Does any text in a tree hold "(hidden)", which a policy took for the value? */
bool ao_redact_is_hidden(const cJSON *tree);

static inline void ao_redaction_freep(ao_redaction **r) { ao_redaction_free(*r); }
#define ao_auto_redaction __attribute__((cleanup(ao_redaction_freep)))
