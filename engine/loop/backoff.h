#pragma once
/**
 * backoff.h -- how long to wait before something that failed is tried again.
 *
 * The wait doubles with every failure up to a ceiling.  Jitter on top of it keeps clients that failed together from coming back together;
 * each caller knows how much of it is right.
 * Threads: any.
 */
#include <stdint.h>

/** @param failures  in a row, beyond the first @return first_ms * 2^failures, at most max_ms */
uint64_t ao_backoff_ms(uint64_t first_ms, uint64_t max_ms, unsigned failures);
/** @return a random time from 0 to most_ms, both included; no two processes draw the same */
uint64_t ao_jitter_ms(uint64_t most_ms);
