#pragma once
/**
 * curl_loop.h -- one curl multi handle whose sockets and timeouts are watched by the libuv loop.  Inside net/ only.
 *
 * Threads: the loop thread only.
 */
#include "base/err.h"
#include "loop/loop.h"

#include <curl/curl.h>

typedef struct ao_curl_loop ao_curl_loop;

/**
 * @param turned called after each time curl worked, never from inside curl: the place to read finished transfers and to
 *               do what must not be done from inside curl's callbacks. It may free the curl loop.
 * @return 0; -EIO libcurl cannot make a multi handle
 */
int ao_curl_loop_new(ao_loop *loop, void (*turned)(void *arg), void *arg, ao_curl_loop **ret, ao_err **reterr);
/** Not from inside curl. Every easy handle must have been removed before. */
void ao_curl_loop_free(ao_curl_loop *curl);

CURLM *ao_curl_loop_multi(ao_curl_loop *curl);
/** True while curl is on the stack: handles must not be added, removed or freed then. */
bool ao_curl_loop_inside(const ao_curl_loop *curl);
/** Add and remove an easy handle, not from inside curl. @return 0, or -EIO */
int ao_curl_loop_add(ao_curl_loop *curl, CURL *easy);
void ao_curl_loop_remove(ao_curl_loop *curl, CURL *easy);
