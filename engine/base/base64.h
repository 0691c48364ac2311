#pragma once
/**
 * base64.h -- RFC 4648 base64.
 * Threads: any.
 */
#include "base/buf.h"

/** Appends the decoded bytes; white space is skipped. @return false when the text is not base64; `out` then holds a part of it */
bool ao_base64_decode(const char *text, ao_buf *out);
/** Appends the text of these bytes, without line breaks. */
void ao_base64_encode(const void *bytes, size_t len, ao_buf *out);

#define AO_BASE64_SIZE(len) (((len) + 2) / 3 * 4) /* of the text of so many bytes */

/** The same into memory. @param out  has room for AO_BASE64_SIZE(len); gets no NUL. @return the length of the text */
size_t ao_base64_write(const void *bytes, size_t len, char *out);
/** Decodes into memory; white space is refused, padding may be absent. @param out  has room for `len`. @param ret_len  set on success only */
bool ao_base64_read(const char *text, size_t len, char *out, size_t *ret_len);
