#pragma once
/**
 * error.h -- what SQS' error codes mean to us.  Private to this room.
 * Threads: any.
 */
#include <stdbool.h>
#include <stdint.h>

typedef struct ao_sqs_error {
	const char *code;   /* bare, as ao_aws_error_read() gives it */
	int error;          /* -ENOENT no such queue, -EEXIST one with other attributes; else as ao_broker_answer's */
	const char *reason; /* as ao_broker_answer's */
	uint64_t retry_ms;
	bool again;    /* worth another attempt by the same call */
	bool old_keys; /* the keys may only be old: worth another attempt with new ones */
} ao_sqs_error;

/** @param code  "" when the answer names none: then the HTTP status decides */
ao_sqs_error ao_sqs_error_of(const char *code, long status);
