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
