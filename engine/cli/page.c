/* page.c -- the pager gets our stdout.  When it cannot be started, nothing changes. */
#include "cli/page.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static FILE *pager;
static int before = -1;
static bool colours;

void ao_page_begin(void)
{
	const char *command = getenv("PAGER");
	colours = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
	if (!isatty(STDOUT_FILENO) || (command && !*command))
		return;
	if (!command && system("command -v less >/dev/null 2>&1") != 0)
		return;
	fflush(stdout);
	pager = popen(command ? command : "less -FRX", "w");
	if (!pager)
		return;
	before = dup(STDOUT_FILENO);
	dup2(fileno(pager), STDOUT_FILENO);
}

void ao_page_end(void)
{
	fflush(stdout);
	if (!pager)
		return;
	dup2(before, STDOUT_FILENO);
	close(before);
	pclose(pager);
	pager = NULL;
}

void ao_page_print(ao_colour colour, const char *fmt, ...)
{
	static const char *const CODES[] = {"", "\033[32m", "\033[31m", "\033[33m", "\033[1m"};
	bool on = colours && colour != AO_PLAIN;
	va_list args;
	va_start(args, fmt);
	fputs(on ? CODES[colour] : "", stdout);
	vprintf(fmt, args);
	fputs(on ? "\033[0m" : "", stdout);
	va_end(args);
}
