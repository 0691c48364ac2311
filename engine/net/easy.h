#pragma once
/**
 * easy.h -- what a request and a client's options mean in curl's terms.  Inside net/ only.
 *
 * Threads: the loop thread only.
 */
#include "net/http.h"

#include <curl/curl.h>

/** A copy with texts of its own. */
ao_http_options ao_easy_copy_options(const ao_http_options *options);
void ao_easy_clear_options(ao_http_options *options); /* keys are overwritten */
/** Puts other anchors, another certificate and its key into a copy. */
void ao_easy_set_identity(ao_http_options *options, const char *ca_pem, const char *cert_pem, const char *key_pem);

/** Trust, identity and protocol. */
void ao_easy_set_client(CURL *easy, const ao_http_options *options);
/** Method, URL, headers and body; copies everything. @return the header list, which must outlive the transfer; may be NULL */
struct curl_slist *ao_easy_set_request(CURL *easy, const ao_http_request *request);
/**
 * Reads status and headers of an answer, or of none: absent ones are "", or -1.
 * @param ret_warnings  what response->warnings lives in; the caller frees
 */
void ao_easy_read_head(CURL *easy, ao_http_response *response, char **ret_warnings);
/**
 * Has the server be known by `name` in TLS, after the request was set.
 * @param headers  its list, which may get a Host @return where the connection goes, which must outlive the transfer
 */
struct curl_slist *ao_easy_set_tls_name(CURL *easy, const char *url, const char *name, struct curl_slist **headers);
/** Turns a curl result into the error codes of http.h. */
int ao_easy_error(CURLcode rc);
