#pragma once
/**
 * yaml_scalar.h -- what an unquoted YAML scalar means.  Private to json/.
 *
 * The reader and the printer share it: what would be read as anything but a string is printed in quotes.
 * Threads: any.
 */
#include <stdbool.h>

typedef enum { AO_YAML_STRING, AO_YAML_NULL, AO_YAML_BOOL, AO_YAML_INT, AO_YAML_FLOAT } ao_yaml_kind;

typedef struct ao_yaml_scalar {
	ao_yaml_kind kind;
	bool truth;    /* of a BOOL */
	double number; /* of an INT or a FLOAT */
	bool kept;     /* false: the number is beyond what JSON keeps (2^53, infinity, not-a-number) */
} ao_yaml_scalar;

ao_yaml_scalar ao_yaml_resolve(const char *text);
