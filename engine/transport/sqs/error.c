/* error.c -- codes of the JSON protocol, of the older one, and of the layer before SQS that checks signatures. */
#include "transport/sqs/error.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>

#define LATER_MS 5000
#define DELETED_RECENTLY_MS 60000 /* AWS' own rule */

static ao_sqs_error throttled(const char *code)
{
	return (ao_sqs_error){.code = code, .error = -EAGAIN, .reason = "Throttled", .retry_ms = LATER_MS, .again = true};
}

static ao_sqs_error denied(const char *code)
{
	static const char *const old[] = {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"};
	ao_sqs_error e = {.code = code, .error = -EPERM, .reason = "AccessDenied"};
	for (size_t i = 0; i < AO_LEN(old); i++)
		e.old_keys |= strcmp(old[i], code) == 0;
	return e;
}

static bool is_throttling(const char *code)
{
	static const char *const codes[] = {"RequestLimitExceeded", "TooManyRequestsException", "SlowDown"};
	for (size_t i = 0; i < AO_LEN(codes); i++)
		if (strcmp(codes[i], code) == 0)
			return true;
	return strstr(code, "Throttl") != NULL; /* RequestThrottled, ThrottlingException, KmsThrottled, ... */
}

static bool is_denial(const char *code)
{
	static const char *const codes[] = {"InvalidClientTokenId", "UnrecognizedClientException",
					    "RequestExpired",       "SignatureDoesNotMatch",
					    "InvalidSecurity",      "OptInRequired",
					    "NotAuthorized",        "AuthFailure"};
	static const char *const beginnings[] = {"AccessDenied",     "KmsAccessDenied",     "ExpiredToken",
						 "InvalidSignature", "IncompleteSignature", "MissingAuthenticationToken"};
	for (size_t i = 0; i < AO_LEN(codes); i++)
		if (strcmp(codes[i], code) == 0)
			return true;
	for (size_t i = 0; i < AO_LEN(beginnings); i++)
		if (strncmp(beginnings[i], code, strlen(beginnings[i])) == 0)
			return true;
	return false;
}

static bool is_about_input(const char *code)
{
	static const char *const beginnings[] = {"Invalid", "Missing", "Kms", "Validation", "UnsupportedOperation"};
	for (size_t i = 0; i < AO_LEN(beginnings); i++)
		if (strncmp(beginnings[i], code, strlen(beginnings[i])) == 0)
			return true;
	return false;
}

ao_sqs_error ao_sqs_error_of(const char *code, long status)
{
	if (strcmp(code, "QueueDoesNotExist") == 0)
		return (ao_sqs_error){.code = code, .error = -ENOENT, .reason = "QueueMissing"};
	if (strcmp(code, "QueueNameExists") == 0 || strcmp(code, "QueueAlreadyExists") == 0)
		return (ao_sqs_error){.code = code, .error = -EEXIST, .reason = "QueueMismatch"};
	if (strcmp(code, "QueueDeletedRecently") == 0)
		return (ao_sqs_error){.code = code, .error = -EAGAIN, .reason = "QueueDeletedRecently", .retry_ms = DELETED_RECENTLY_MS};
	if (is_throttling(code))
		return throttled(code);
	if (is_denial(code))
		return denied(code);
	if (status == 429 || status == 503)
		return throttled(code);
	if (status >= 500)
		return (ao_sqs_error){.code = code, .error = -EAGAIN, .reason = "BrokerError", .retry_ms = LATER_MS, .again = true};
	if (status == 401 || status == 403)
		return denied(code);
	if (is_about_input(code))
		return (ao_sqs_error){.code = code, .error = -EINVAL, .reason = "InvalidConfiguration"};
	return (ao_sqs_error){.code = code, .error = -EPROTO, .reason = "BrokerError"};
}
