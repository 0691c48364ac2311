#pragma once
/**
 * backoff.h -- how long to wait before something that failed is tried again.
 *
 * The wait doubles with every failure up to a ceiling.  The jitter on top of it is what keeps those who failed together from coming back
 * together; each caller says how much of it suits.
 * Threads: any.
 */
#include <stdint.h>

/** @param failures  in a row, beyond the first @return first_ms * 2^failures, at most max_ms */
uint64_t ao_backoff_ms(uint64_t first_ms, uint64_t max_ms, unsigned failures);
/** @return a random time from 0 to most_ms, both included; no two processes draw the same */
uint64_t ao_jitter_ms(uint64_t most_ms);
