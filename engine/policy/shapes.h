#pragma once
/**
 * shapes.h -- renders cases in shapes that they do not name, because a policy that works for one kind of workload may fail for another.
 *
 * The manifest's `cases.shapes` are [{name, parent}]; `parent` is laid over that of a case.  All that is expected is a plan that fits the
 * schemas, or that the parent is refused.
 * Threads: the loop thread only.
 */
#include "kube/openapi.h"
#include "script/bundle.h"
#include "script/coverage.h"

typedef struct ao_shapes {
	const ao_openapi *openapi; /* NULL: plans are not checked against schemas */
	ao_coverage *coverage;     /* counts the lines that run in the cases and shapes; borrowed; NULL: nobody asked */
	cJSON *tried;              /* [{shape, rendered, refused}] of all shapes, made by the first case */
	cJSON *warnings;           /* texts, each once: lists that plan:merge has replaced */
} ao_shapes;

/**
 * Renders a case in each shape that it does not rule out.
 * @return 0; -EINVAL "as Job: policy 'x', render: x.lua:8: ..."; -EINTR the sandbox's clock
 */
int ao_shapes_try(ao_shapes *shapes, ao_bundle *bundle, const cJSON *case_, ao_err **reterr);
void ao_shapes_clear(ao_shapes *shapes);
