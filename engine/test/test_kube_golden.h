#pragma once
/* test_kube_golden.h -- real children of real parents: each children.json below spec/golden. */
#include "base/file.h"
#include "base/mem.h"
#include "json/json.h"

#include <glob.h>
#include <stdio.h>

/** A variable that is given twice stays once, with its last value, as a policy renders it. */
static inline void drop_duplicates(cJSON *at)
{
	for (cJSON *member = at->child; member; member = member->next)
		drop_duplicates(member);
	if (!cJSON_IsArray(at) || !at->string || strcmp(at->string, "env") != 0)
		return;
	cJSON *next;
	for (cJSON *item = at->child; item; item = next) {
		next = item->next;
		for (const cJSON *later = next; later; later = later->next)
			if (strcmp(ao_json_str(item, "name"), ao_json_str(later, "name")) == 0) {
				cJSON_Delete(cJSON_DetachItemViaPointer(at, item));
				break;
			}
	}
}

/** @return an array of objects, never NULL; the caller frees. */
static inline cJSON *golden_children(void)
{
	glob_t found;
	if (glob("spec/golden/*/children.json", 0, NULL, &found) != 0)
		fail_msg("no golden children: run this in the root of the tree");
	cJSON *all = cJSON_CreateArray();
	for (size_t i = 0; i < found.gl_pathc; i++) {
		ao_auto_buf ao_buf text = ao_buf_init(1 << 20);
		cJSON *children = NULL;
		assert_int_equal(ao_file_read(found.gl_pathv[i], &text, NULL), 0);
		assert_int_equal(ao_json_parse(text.data, text.len, &children, NULL), 0);
		while (children->child)
			cJSON_AddItemToArray(all, cJSON_DetachItemFromArray(children, 0));
		cJSON_Delete(children);
	}
	globfree(&found);
	return all;
}
