#pragma once
/**
 * recorder.h -- a directory of records (record.h) that stays below a limit: the last plan of each parent, for `replay`.
 *
 * The last snapshot of a parent is in DIR/<namespace>_<name>.json, and the last one that failed is in DIR/<namespace>_<name>.failed.json.
 * With several bundles a name begins with the word that a bundle's pages in /debug/ have: actors_<namespace>_<name>.json.  When there is no room, the oldest records go.  A file that does not begin as a record does is neither removed nor shown.  Nothing fails
 * because a record could not be written: the log says so once, and again after one could be.
 * Threads: the loop thread only.
 */
#include "policy/record.h"

/** Bytes of a directory without a limit of its own. */
#define AO_RECORDER_LIMIT (64U * 1024 * 1024)

typedef struct ao_recorder ao_recorder;

/**
 * @param limit    bytes on the disk, the file that is being written and the directory included
 * @param several  parents of several bundles are recorded
 */
ao_recorder *ao_recorder_new(const char *dir, uint64_t limit, bool several);
void ao_recorder_free(ao_recorder *recorder); /* the files stay; NULL is fine */

void ao_recorder_put(ao_recorder *recorder, ao_bundle *bundle, const cJSON *snapshot);
/** Appends a line for each record: `before`, then the file's name. */
void ao_recorder_list(const ao_recorder *recorder, const char *before, ao_buf *out);
/**
 * Appends the record of that file name.
 * @return 0; -ENOENT there is no such record; -EIO, -E2BIG as ao_file_read()
 */
int ao_recorder_read(const ao_recorder *recorder, const char *name, ao_buf *out, ao_err **reterr);
