/* easy.c -- only setopts; what is not set here is curl's default: no redirect is followed, no cookie kept, no .netrc read. */
#include "net/easy.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/secret.h"

#include <string.h>
#include <strings.h>

#define CONNECT_TIMEOUT_MS 15000L
#define MAX_WARNINGS (16 * 1024)

ao_http_options ao_easy_copy_options(const ao_http_options *options)
{
	ao_http_options copy = *options;
	copy.ca_pem = ao_xstrdup(options->ca_pem);
	copy.cert_pem = ao_xstrdup(options->cert_pem);
	copy.key_pem = ao_xstrdup(options->key_pem);
	copy.user_agent = ao_xstrdup(options->user_agent);
	copy.tls_name = ao_xstrdup(options->tls_name);
	copy.proxy = ao_xstrdup(options->proxy);
	return copy;
}

static void free_text(const char *text) { ao_secret_free((char *)(uintptr_t)text); }

void ao_easy_clear_options(ao_http_options *options)
{
	free_text(options->ca_pem);
	free_text(options->cert_pem);
	free_text(options->key_pem);
	free_text(options->user_agent);
	free_text(options->tls_name);
	free_text(options->proxy);
	*options = (ao_http_options){0};
}

static void set_text(const char **text, const char *to)
{
	if (*text && to && strcmp(*text, to) == 0)
		return;
	char *copy = ao_xstrdup(to);
	free_text(*text);
	*text = copy;
}

void ao_easy_set_identity(ao_http_options *options, const char *ca_pem, const char *cert_pem, const char *key_pem)
{
	set_text(&options->ca_pem, ca_pem);
	set_text(&options->cert_pem, cert_pem);
	set_text(&options->key_pem, key_pem);
}

static void set_pem(CURL *easy, CURLoption option, const char *pem)
{
	if (!pem)
		return;
	struct curl_blob blob = {.data = (void *)(uintptr_t)pem, .len = strlen(pem), .flags = CURL_BLOB_COPY};
	curl_easy_setopt(easy, option, &blob);
}

/** For every host. Names are looked up by the proxy, as Go has it: socks5h in curl's words. */
static void set_proxy(CURL *easy, const char *proxy)
{
	bool socks = strncasecmp(proxy, "socks5://", 9) == 0;
	ao_auto_str char *by_name = socks ? ao_xasprintf("socks5h://%s", proxy + 9) : NULL;
	curl_easy_setopt(easy, CURLOPT_PROXY, socks ? by_name : proxy);
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
}

void ao_easy_set_client(CURL *easy, const ao_http_options *options)
{
	if (options->ca_pem) { /* the only anchor: the system's directory would be trusted beside it */
		curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
		curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	}
	set_pem(easy, CURLOPT_CAINFO_BLOB, options->ca_pem);
	set_pem(easy, CURLOPT_SSLCERT_BLOB, options->cert_pem);
	set_pem(easy, CURLOPT_SSLKEY_BLOB, options->key_pem);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (options->insecure) {
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (options->direct)
		curl_easy_setopt(easy, CURLOPT_PROXY, "");
	else if (options->proxy)
		set_proxy(easy, options->proxy);
	curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L); /* which version the proxy speaks says nothing of the server's */
	curl_easy_setopt(easy, CURLOPT_USERAGENT, options->user_agent);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, options->http1 ? (long)CURL_HTTP_VERSION_1_1 : (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(easy, CURLOPT_PIPEWAIT, options->http1 ? 0L : 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	/* A thread asks the name server, for 10 s and more when that is silent. A call that is given up does not wait for it: it ends by itself. */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
}

static bool names_header(const char *const *headers, const char *name)
{
	size_t len = strlen(name);
	for (; headers && *headers; headers++)
		if (strncasecmp(*headers, name, len) == 0 && (*headers)[len] == ':')
			return true;
	return false;
}

/** A POST has one, be it empty: servers want its length. */
static bool has_body(const ao_http_request *request) { return request->body || strcmp(request->method, "POST") == 0; }

static void set_method(CURL *easy, const ao_http_request *request)
{
	if (strcmp(request->method, "HEAD") == 0) {
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
		return;
	}
	if (has_body(request)) {
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
		curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->body ? request->body : "");
	}
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

struct curl_slist *ao_easy_set_request(CURL *easy, const ao_http_request *request)
{
	struct curl_slist *list = NULL;
	set_method(easy, request);
	curl_easy_setopt(easy, CURLOPT_URL, request->url);
	/* Whatever this libcurl can unpack, but no streams: the API server makes each watch event a gzip member of its own, and
	 * libcurl takes the second member for an error. */
	if (!request->on_data)
		curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
	for (const char *const *header = request->headers; header && *header; header++)
		list = curl_slist_append(list, *header);
	if (has_body(request) && !names_header(request->headers, "Content-Type"))
		list = curl_slist_append(list, "Content-Type:"); /* not the form that curl would claim it is */
	if (request->aws_sigv4)
		curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, request->aws_sigv4); /* signs every header there is */
	else
		list = curl_slist_append(list, "Expect:"); /* no waiting for leave to send a large body */
	if (request->userpwd)
		curl_easy_setopt(easy, CURLOPT_USERPWD, request->userpwd);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
	return list;
}

static char *read_warnings(CURL *easy)
{
	struct curl_header *header;
	ao_auto_buf ao_buf text = ao_buf_init(MAX_WARNINGS);
	for (size_t i = 0; curl_easy_header(easy, "Warning", i, CURLH_HEADER, -1, &header) == CURLHE_OK; i++)
		ao_buf_printf(&text, "%s\n", header->value);
	return ao_buf_steal(&text);
}

void ao_easy_read_head(CURL *easy, ao_http_response *response, char **ret_warnings)
{
	struct curl_header *header;
	curl_off_t wait = 0;
	char *location = NULL;
	response->retry_after_s = -1;
	response->content_type = response->location = response->warnings = "";
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &response->status);
	if (curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &location) == CURLE_OK && location)
		response->location = location;
	if (curl_easy_header(easy, "Retry-After", 0, CURLH_HEADER, -1, &header) == CURLHE_OK) {
		curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &wait);
		response->retry_after_s = (long)wait;
	}
	if (curl_easy_header(easy, "Content-Type", 0, CURLH_HEADER, -1, &header) == CURLHE_OK)
		response->content_type = header->value;
	*ret_warnings = read_warnings(easy);
	if (*ret_warnings)
		response->warnings = *ret_warnings;
}

/** Curl takes the name for TLS from the URL, and nowhere else: so the URL gets that name, and the connection goes where it should. */
struct curl_slist *ao_easy_set_tls_name(CURL *easy, const char *url, const char *name, struct curl_slist **headers)
{
	const char *host = strstr(url, "://") + 3;
	size_t len = strcspn(host, "/?#"), name_len = len;
	const char *colon = memchr(host, *host == '[' ? ']' : ':', len);
	if (colon && *host == '[')
		colon = colon[1] == ':' ? colon + 1 : NULL;
	if (colon)
		name_len = (size_t)(colon - host);
	ao_auto_str char *shown = ao_xasprintf("%.*s%s%s", (int)(host - url), url, name, host + name_len);
	ao_auto_str char *to = ao_xasprintf("::%.*s%s", (int)len, host, colon ? "" : ":");
	ao_auto_str char *header = ao_xasprintf("Host: %.*s", (int)len, host);
	curl_easy_setopt(easy, CURLOPT_URL, shown);
	struct curl_slist *connect_to = curl_slist_append(NULL, to);
	curl_easy_setopt(easy, CURLOPT_CONNECT_TO, connect_to);
	*headers = curl_slist_append(*headers, header);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, *headers);
	return connect_to;
}

int ao_easy_error(CURLcode rc)
{
	switch (rc) {
	case CURLE_OK:
		return 0;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIME;
	case CURLE_URL_MALFORMAT:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
		return -EINVAL;
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_BAD_CONTENT_ENCODING:
		return -EPROTO;
	default:
		return -EIO;
	}
}
