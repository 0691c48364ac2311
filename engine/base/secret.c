/* secret.c -- explicit_bzero, because a memset before free is optimized away. */
#include "base/secret.h"

#include <stdlib.h>
#include <string.h>

void ao_secret_free(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

bool ao_secret_clean(char *secret)
{
	const char *space = " \t\r\n";
	char *first = secret + strspn(secret, space);
	size_t len = strlen(first);
	while (len && strchr(space, first[len - 1]))
		len--;
	memmove(secret, first, len);
	secret[len] = '\0';
	for (const char *c = secret; *c; c++)
		if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f)
			return false;
	return len > 0;
}
