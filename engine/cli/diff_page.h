#pragma once
/**
 * diff_page.h -- what `diff` prints.
 * Threads: the main thread.
 */
#include "cli/output.h"
#include "policy/changes.h"

/**
 * For ao_changes_new(): adds a change to a list for JSON, as {kind, namespace, name, action, fields, pods, parent}.
 * @param list  a cJSON array
 */
void ao_diff_list(void *list, const ao_change_item *change);

/**
 * Prints all changes on stdout: in groups, or for any output but text one by one. How many there are goes to stderr, for people.
 *
 * @param list     the same changes one by one, as ao_diff_list() collected them
 * @param plural   what parents are called
 * @param parents  how many were looked at
 */
void ao_diff_print(const ao_changes *changes, const cJSON *list, const char *plural, size_t parents, ao_output output);
