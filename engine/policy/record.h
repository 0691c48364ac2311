#pragma once
/**
 * record.h -- what the policies saw and what they made of it.  They can be replayed on another machine.
 *
 * A record is JSON: {version, operator, bundle, settings, snapshot, plan | error}.  What may be a secret (redact.h) is replaced before the
 * policies are asked, so that the plan in a record is the plan of the snapshot in it.
 * Threads: the loop thread only.
 */
#include "script/bundle.h"

/** A record of one plan, as it would be written. The caller frees it. */
cJSON *ao_record_make(ao_bundle *bundle, const cJSON *snapshot);
