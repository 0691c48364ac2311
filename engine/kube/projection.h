#pragma once
/**
 * projection.h -- what is kept of an object as the server sent it.  Private to kube/.
 */
#include "base/buf.h"
#include "json/span.h"

/** Appends a pod with only what tells how it is: names and labels, phase, conditions, container states. */
void ao_project_pod(ao_span pod, ao_buf *out);
