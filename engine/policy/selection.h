#pragma once
/**
 * selection.h -- which parents a canary is for: a label selector ("team=ml,tier!=gold,beta,!legacy") or a share of all parents ("10%").
 * Threads: any.
 */
#include "base/err.h"
#include "kube/store.h"

/**
 * Makes a selection from what a person wrote.
 *
 * @param selector  or NULL
 * @param percent   "10"; or NULL; wins over the selector
 * @param ret       text that ao_selection_concerns() understands; the caller frees
 * @return 0; -EINVAL neither is given, or the one that is given is wrong
 */
int ao_selection_make(const char *selector, const char *percent, char **ret, ao_err **reterr);
/** The same of the annotations `<label>-canary-selector` and `<label>-canary-percent` of a ConfigMap. */
int ao_selection_of(const cJSON *config_map, const char *label, char **ret, ao_err **reterr);
/** Is the parent selected? Its name decides whether it is in a share, so it stays in or out. */
bool ao_selection_concerns(const char *selection, const ao_object *parent);
