#pragma once
/**
 * quantity.h -- do two Kubernetes quantities amount to the same?  Private to kube/.
 */
#include <stdbool.h>

/** "1000m" and "1", "1024Mi" and "1Gi". False when either is no quantity. */
bool ao_quantity_equal(const char *a, const char *b);
