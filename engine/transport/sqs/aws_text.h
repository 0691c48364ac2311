#pragma once
/**
 * aws_text.h -- the few forms of text that AWS speaks beside JSON: XML answers, errors in either, form bodies, addresses.
 * Threads: any.
 */
#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

/** The text of the first <element> that holds no others, entities decoded; NULL when there is none. The caller frees. */
char *ao_aws_xml_text(const char *xml, const char *element);

typedef struct ao_aws_error {
	char *code;    /* bare: "QueueDoesNotExist", without name space and prefix; "" when the answer names none */
	char *message; /* one line, cut short, fit for people; "" when there is none */
} ao_aws_error;

/** What an error answer says, JSON or XML. Anything else (a proxy's page) gives two empty texts. */
ao_aws_error ao_aws_error_read(const char *body, size_t len);
void ao_aws_error_free(ao_aws_error *error);
#define ao_auto_aws_error __attribute__((cleanup(ao_aws_error_free)))

/** Appends "name=value", percent-encoded, with '&' in front unless it is the first. */
void ao_aws_form_put(ao_buf *form, const char *name, const char *value);

/** A variable of the environment; NULL when it is not set, or empty. Borrowed. */
const char *ao_aws_env(const char *name);
/** "https://sqs.eu-central-1.amazonaws.com", without a slash at the end. The caller frees. */
char *ao_aws_url(const char *service, const char *region);
