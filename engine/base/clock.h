#pragma once
/**
 * clock.h -- a monotonic clock for deadlines, the wall clock for what people and the API read, and a thread's own time.
 * Threads: any.
 */
#include <stdbool.h>
#include <stdint.h>

#define AO_TIME_TEXT 32 /* bytes for ao_time_text() and ao_time_micro_text() */

/** Milliseconds. It never goes back, nor stands still with a suspended machine, so it is the only clock that a lease deadline may use. */
uint64_t ao_mono_ms(void);
uint64_t ao_mono_ns(void); /* the same clock, for what takes less than that */
int64_t ao_wall_ms(void);  /* milliseconds since 1970, UTC */
uint64_t ao_cpu_ms(void);  /* milliseconds that the calling thread has run: a machine with no time for it adds none */

void ao_time_text(int64_t wall_ms, char out[AO_TIME_TEXT]);        /* 2026-01-02T15:04:05.123Z */
void ao_time_second_text(int64_t wall_ms, char out[AO_TIME_TEXT]); /* 2026-01-02T15:04:05Z, metav1.Time */
void ao_time_micro_text(int64_t wall_ms, char out[AO_TIME_TEXT]);  /* 2026-01-02T15:04:05.123000Z, metav1.MicroTime */

/** Reads a time as RFC 3339 has it: "2026-01-02T15:04:05Z", with a fraction, with an offset. @return false: it is none, *ret_wall_ms stays */
bool ao_time_read(const char *text, int64_t *ret_wall_ms);

/** Reads a duration as Go writes them: "5m", "1h30m", "1.5s", "200ms", "0". @return false when the text is not a duration: *ret_ms stays as it was */
bool ao_duration_read(const char *text, uint64_t *ret_ms);
