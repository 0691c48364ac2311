/* clock.c -- clock_gettime in milliseconds, and RFC 3339 in UTC. */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static uint64_t now_ms(clockid_t clock)
{
	struct timespec ts;
	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t ao_mono_ms(void) { return now_ms(CLOCK_MONOTONIC); }
int64_t ao_wall_ms(void) { return (int64_t)now_ms(CLOCK_REALTIME); }

/** Splits rounding down, so that moments before 1970 read right, too. @return the milliseconds within the second */
static int split(int64_t wall_ms, struct tm *ret)
{
	int milliseconds = (int)(wall_ms % 1000);
	time_t seconds = (time_t)(wall_ms / 1000);
	if (milliseconds < 0) {
		milliseconds += 1000;
		seconds--;
	}
	gmtime_r(&seconds, ret);
	return milliseconds;
}

static void format(int64_t wall_ms, const char *fraction_format, char out[AO_TIME_TEXT])
{
	struct tm tm;
	int milliseconds = split(wall_ms, &tm);
	size_t len = strftime(out, AO_TIME_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + len, AO_TIME_TEXT - len, fraction_format, milliseconds);
}

void ao_time_text(int64_t wall_ms, char out[AO_TIME_TEXT]) { format(wall_ms, ".%03dZ", out); }
void ao_time_micro_text(int64_t wall_ms, char out[AO_TIME_TEXT]) { format(wall_ms, ".%03d000Z", out); }
void ao_time_second_text(int64_t wall_ms, char out[AO_TIME_TEXT])
{
	struct tm tm;
	split(wall_ms, &tm);
	strftime(out, AO_TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm);
}
