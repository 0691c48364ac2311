#pragma once
/**
 * quantity.h -- are two Kubernetes quantities equal?  Private to kube/.
 */
#include <stdbool.h>

/** "1000m" and "1", "1024Mi" and "1Gi". False when one of them is not a quantity. */
bool ao_quantity_equal(const char *a, const char *b);
