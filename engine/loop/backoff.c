/* backoff.c -- random numbers come from the kernel: a generator of our own would give the same ones to every replica. */
#include "loop/backoff.h"

#include "base/clock.h"

#include <sys/random.h>

uint64_t ao_backoff_ms(uint64_t first_ms, uint64_t max_ms, unsigned failures)
{
	uint64_t ms = first_ms;
	for (; failures && ms < max_ms; failures--)
		ms = ms > max_ms / 2 ? max_ms : ms * 2;
	return ms < max_ms ? ms : max_ms;
}

uint64_t ao_jitter_ms(uint64_t most_ms)
{
	uint64_t number = 0;
	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != (ssize_t)sizeof(number))
		number = ao_mono_ns(); /* a machine that has just started: the time has to do */
	return most_ms < UINT64_MAX ? number % (most_ms + 1) : number;
}
