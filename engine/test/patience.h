/* patience.h -- how long a test waits at most, on a machine that other tests share. */
#ifndef TEST_PATIENCE_H
#define TEST_PATIENCE_H

#include <stdint.h>
#include <stdlib.h>

/** So many times as long as on a quiet machine as PATIENCE says. For upper bounds only: what must not come too early is not affected. */
static inline uint64_t patient_ms(uint64_t ms)
{
	const char *times = getenv("PATIENCE");
	int n = times ? atoi(times) : 1;
	return n > 1 ? ms * (uint64_t)n : ms;
}

#endif
