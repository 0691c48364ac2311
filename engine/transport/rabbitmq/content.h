#pragma once
/**
 * content.h -- what the header frame of a message says.
 *
 * librabbitmq would decode it, too, but goes as deep as whoever sent the message likes; the thread that does it has a small stack.
 * Threads: any.
 */
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * @param bytes     the payload of the frame
 * @param ret_size  bytes of the body that follows
 * @param ret       {headers, messageId, contentType, deliveryMode, userId, ...}: what is there; headers more than 8 levels deep are null.
 *                  The caller frees
 * @return false: it makes no sense, or is beyond all measure; of the results only the size may be set
 */
bool ao_rabbit_content_read(const uint8_t *bytes, size_t len, uint64_t *ret_size, cJSON **ret);
