/* err.c -- errors as a code and a message that grows on its way up. */
#include "base/err.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static char *format(const char *fmt, va_list args)
{
	char *text = NULL;
	return vasprintf(&text, fmt, args) < 0 ? ao_xstrdup("out of memory") : text;
}

int ao_err_set(ao_err **reterr, int code, const char *fmt, ...)
{
	if (!reterr)
		return code;
	va_list args;
	va_start(args, fmt);
	char *msg = format(fmt, args);
	va_end(args);
	ao_err_free(*reterr);
	*reterr = ao_xmalloc(sizeof(**reterr));
	**reterr = (ao_err){.code = code, .msg = msg};
	return code;
}

int ao_err_wrap(ao_err **reterr, const char *fmt, ...)
{
	if (!reterr || !*reterr)
		return -EINVAL;
	va_list args;
	va_start(args, fmt);
	ao_auto_str char *context = format(fmt, args);
	va_end(args);
	char *joined = ao_xasprintf("%s: %s", context, (*reterr)->msg);
	free((*reterr)->msg);
	(*reterr)->msg = joined;
	return (*reterr)->code;
}

const char *ao_err_text(const ao_err *err) { return err ? err->msg : "unknown error"; }

void ao_err_free(ao_err *err)
{
	if (!err)
		return;
	free(err->msg);
	free(err);
}
