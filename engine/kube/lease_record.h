#pragma once
/**
 * lease_record.h -- what we know of a Lease object, and the object to write next.  Does no I/O.  Private to kube/.
 * Threads: one owner.
 */
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct ao_lease_record {
	cJSON *object;       /* as last seen, with its resourceVersion; NULL: there is none, or it must be read again */
	char *spec;          /* its spec as text as last seen; survives ao_lease_record_forget() */
	uint64_t changed_ms; /* when we saw `spec` change, on our monotonic clock */
} ao_lease_record;

typedef struct ao_lease_claim {
	const char *namespace_, *name, *identity;
	uint64_t lease_ms;
	const char *component; /* or NULL */
} ao_lease_claim;

extern const char AO_LEASE_API_VERSION[], AO_LEASE_KIND[];

/** Takes `object`, the answer to a read or a write. */
void ao_lease_record_see(ao_lease_record *record, cJSON *object, uint64_t now_ms);
/** The object may be old, and must be read before the next write. What decides expiry stays, or a dead holder would never expire. */
void ao_lease_record_forget(ao_lease_record *record);
void ao_lease_record_clear(ao_lease_record *record);

/** The holder, or "" when there is none. Borrowed. */
const char *ao_lease_record_holder(const ao_lease_record *record);
/** May the lease be taken? True when it has no holder, or the holder has not renewed it for as long as the record says. */
bool ao_lease_record_is_free(const ao_lease_record *record, const ao_lease_claim *claim, uint64_t now_ms);

/** The record with us as its holder. The caller frees it. */
cJSON *ao_lease_record_claimed(const ao_lease_record *record, const ao_lease_claim *claim, int64_t wall_ms);
/** The record without a holder, so that the next candidate need not wait. The caller frees it. */
cJSON *ao_lease_record_released(const ao_lease_record *record, const ao_lease_claim *claim, int64_t wall_ms);
