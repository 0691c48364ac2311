/* projection.c -- a pod of 5 KB becomes one of half a kilobyte; what is copied is listed here. */
#include "kube/projection.h"

#include <string.h>

typedef struct field {
	const char *key;
	const struct field *fields; /* of an object, or of each item of a list; NULL: copied whole */
	bool list;
} field;

static const field terminated[] = {{"exitCode", NULL, false}, {"reason", NULL, false},     {"message", NULL, false},
				   {"signal", NULL, false},   {"finishedAt", NULL, false}, {0}};
static const field last_state[] = {{"terminated", terminated, false}, {0}};
static const field state[] = {{"waiting", NULL, false}, {"running", NULL, false}, {"terminated", terminated, false}, {0}};
static const field container[] = {{"name", NULL, false},   {"ready", NULL, false},           {"restartCount", NULL, false},
				  {"state", state, false}, {"lastState", last_state, false}, {0}};
static const field condition[] = {{"type", NULL, false},
				  {"status", NULL, false},
				  {"reason", NULL, false},
				  {"message", NULL, false},
				  {"lastTransitionTime", NULL, false},
				  {0}};
static const field status[] = {{"phase", NULL, false},
			       {"reason", NULL, false},
			       {"message", NULL, false},
			       {"conditions", condition, true},
			       {"containerStatuses", container, true},
			       {"initContainerStatuses", container, true},
			       {0}};
static const field owner[] = {{"kind", NULL, false}, {"name", NULL, false}, {"uid", NULL, false}, {"controller", NULL, false}, {0}};
static const field metadata[] = {{"name", NULL, false},
				 {"namespace", NULL, false},
				 {"uid", NULL, false},
				 {"resourceVersion", NULL, false},
				 {"labels", NULL, false},
				 {"ownerReferences", owner, true},
				 {"creationTimestamp", NULL, false},
				 {"deletionTimestamp", NULL, false},
				 {0}};
static const field pod_spec[] = {{"nodeName", NULL, false}, {0}};
static const field pod_fields[] = {{"metadata", metadata, false}, {"spec", pod_spec, false}, {"status", status, false}, {0}};

static void project(ao_span object, const field *fields, ao_buf *out);

static void project_list(ao_span list, const field *fields, ao_buf *out)
{
	size_t cursor = 0;
	ao_span item;
	bool first = true;
	ao_buf_put(out, "[", 1);
	while (ao_span_item(list, &cursor, &item)) {
		ao_buf_puts(out, first ? "" : ",");
		first = false;
		project(item, fields, out);
	}
	ao_buf_put(out, "]", 1);
}

static const field *wanted(const field *fields, ao_span key)
{
	for (; fields->key; fields++)
		if (strlen(fields->key) == key.len && memcmp(fields->key, key.at, key.len) == 0)
			return fields;
	return NULL;
}

static void project(ao_span object, const field *fields, ao_buf *out)
{
	size_t cursor = 0;
	ao_span key, value;
	bool first = true;
	ao_buf_put(out, "{", 1);
	while (ao_span_member(object, &cursor, &key, &value)) {
		const field *f = wanted(fields, key);
		if (!f)
			continue;
		ao_buf_printf(out, "%s\"%s\":", first ? "" : ",", f->key);
		first = false;
		if (!f->fields)
			ao_buf_put(out, value.at, value.len);
		else if (f->list)
			project_list(value, f->fields, out);
		else
			project(value, f->fields, out);
	}
	ao_buf_put(out, "}", 1);
}

void ao_project_pod(ao_span pod, ao_buf *out) { project(pod, pod_fields, out); }
