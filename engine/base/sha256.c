/* sha256.c -- OpenSSL's: the one thing of base/ that is not libc's. */
#include "base/sha256.h"

#include "base/log.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define BYTES 32

void ao_sha256(const void *bytes, size_t len, char ret[AO_SHA256_HEX])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	ao_require(EVP_Digest(bytes, len, digest, NULL, EVP_sha256(), NULL) == 1);
	for (size_t i = 0; i < BYTES; i++)
		snprintf(ret + 2 * i, 3, "%02x", digest[i]);
}

bool ao_sha256_read(const char *text, char ret[AO_SHA256_HEX])
{
	if (strncasecmp(text, "sha256:", 7) == 0)
		text += 7;
	for (size_t i = 0; i < 2 * BYTES; i++) {
		if (!isxdigit((unsigned char)text[i]))
			return false;
		ret[i] = (char)tolower((unsigned char)text[i]);
	}
	ret[2 * BYTES] = '\0';
	return text[2 * BYTES] == '\0';
}
