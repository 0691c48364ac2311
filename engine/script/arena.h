#pragma once
/**
 * arena.h -- a heap in one region of memory that never moves.  Its state can be kept, and brought back, by copying.
 *
 * Blocks carry no header: the caller says how large a block is when it resizes or releases it, as Lua does.
 * Ownership: freeing the arena frees every block.
 * Threads: one owner at a time.
 */
#include <stddef.h>

typedef struct ao_arena ao_arena;

/** @param size  the most that blocks and bookkeeping can take; only touched pages cost memory. @return NULL when the system refuses */
ao_arena *ao_arena_new(size_t size);
void ao_arena_free(ao_arena *arena); /* NULL is fine */

void *ao_arena_alloc(ao_arena *arena, size_t size); /* aligned to 16; NULL when full */
/** Resizes a block of `old` bytes. @return the block, which may have moved; NULL when full (never when shrinking): the old one stays */
void *ao_arena_realloc(ao_arena *arena, void *block, size_t old, size_t size);
void ao_arena_release(ao_arena *arena, void *block, size_t size); /* NULL is fine */

/** Keeps a copy of all that is in the arena. */
void ao_arena_snapshot(ao_arena *arena);
/** Puts the arena back as it was at the last snapshot, and gives memory touched far beyond it back to the system. */
void ao_arena_restore(ao_arena *arena);

size_t ao_arena_used(const ao_arena *arena);  /* bytes from the start of the region to the end of its last block */
size_t ao_arena_image(const ao_arena *arena); /* bytes a snapshot copied; 0: none was taken */
