/* clock.c -- clock_gettime in milliseconds, and RFC 3339 in UTC. */
#include "base/clock.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t now_ms(clockid_t clock)
{
	struct timespec ts;
	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/** It goes on while a virtual machine is suspended, which CLOCK_MONOTONIC does not: whose lease has expired meanwhile must not write on waking. */
#define STEADY CLOCK_BOOTTIME

uint64_t ao_mono_ms(void) { return now_ms(STEADY); }

uint64_t ao_mono_ns(void)
{
	struct timespec ts;
	clock_gettime(STEADY, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t ao_cpu_ms(void) { return now_ms(CLOCK_THREAD_CPUTIME_ID); }

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

/** Reads "Z" or "+01:00". @return false when it is neither; else *ret_ms is to be taken off */
static bool read_zone(const char *text, int64_t *ret_ms)
{
	int hours = 0, minutes = 0, used = 0;
	*ret_ms = 0;
	if (strcmp(text, "Z") == 0)
		return true;
	if ((*text != '+' && *text != '-') || sscanf(text + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2 || text[1 + used])
		return false;
	*ret_ms = (*text == '-' ? -1 : 1) * (hours * 60 + minutes) * (int64_t)60000;
	return true;
}

bool ao_time_read(const char *text, int64_t *ret_wall_ms)
{
	struct tm tm = {0};
	int used = 0;
	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used) !=
	    6)
		return false;
	const char *rest = text + used;
	int64_t milliseconds = 0, zone_ms;
	if (*rest == '.') {
		int64_t unit = 100;
		for (rest++; isdigit((unsigned char)*rest); rest++, unit /= 10)
			milliseconds += (*rest - '0') * unit;
	}
	if (!read_zone(rest, &zone_ms))
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*ret_wall_ms = (int64_t)timegm(&tm) * 1000 + milliseconds - zone_ms;
	return true;
}

/** @return the milliseconds of a unit and its length; 0: it is none */
static double unit_of(const char *text, size_t *len)
{
	static const struct {
		const char *name;
		double ms;
	} units[] = {{"ms", 1}, {"us", 1e-3}, {"ns", 1e-6}, {"h", 3600e3}, {"m", 60e3}, {"s", 1e3}};
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		*len = strlen(units[i].name);
		if (strncmp(text, units[i].name, *len) == 0)
			return units[i].ms;
	}
	return 0;
}

bool ao_duration_read(const char *text, uint64_t *ret_ms)
{
	double sum = 0;
	if (strcmp(text, "0") == 0) {
		*ret_ms = 0;
		return true;
	}
	if (!*text)
		return false;
	for (size_t len; *text; text += len) {
		char *end;
		if (strspn(text, "0123456789.") == 0 || *text == '.')
			return false;
		double number = strtod(text, &end);
		double unit = unit_of(end, &len);
		if (end == text || strcspn(text, "xXeEpP") < (size_t)(end - text) || unit <= 0)
			return false;
		sum += number * unit;
		text = end;
	}
	if (!(sum < 1e15))
		return false;
	*ret_ms = (uint64_t)sum;
	return true;
}
