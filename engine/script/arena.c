/*
 * arena.c -- size classes with free lists over a region that is handed out from its start upwards.
 *
 * Sizes are rounded up to a class: multiples of 16 up to 256 bytes, then four classes to each doubling, so that at most a fifth of a block
 * is waste.  A released block goes on the list of its class.  Blocks are never split or joined; only the last block of the region grows and
 * vanishes in place.
 *
 * Everything that changes lives in the region, with its header at the start.  So copying the used part back restores blocks, lists and all
 * pointers between them.  Only blocks of the region that were written to are copied.
 */
#include "script/arena.h"

#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define ALIGN 16
#define SMALL 256                        /* up to this size each multiple of ALIGN has a class */
#define SMALL_CLASSES (SMALL / ALIGN)    /* 16 */
#define CLASSES (SMALL_CLASSES + 4 * 32) /* up to 2^40 bytes */
#define PAGE 4096
#define BLOCK 2048         /* compared and copied at once */
#define SLACK (512 * 1024) /* so much touched memory beyond the image is kept */

typedef struct free_block {
	struct free_block *next;
} free_block;

/** At the start of the region. */
typedef struct header {
	size_t top; /* offset of the first byte never handed out */
	free_block *lists[CLASSES];
} header;

struct ao_arena {
	char *base;
	size_t size;
	size_t touched; /* the highest top since the last restore */
	char *image;
	size_t image_len;
};

static header *head(const ao_arena *arena) { return (header *)(void *)arena->base; }

/** The class of a size; *ret_rounded gets the size of its blocks. */
static size_t class_of(size_t size, size_t *ret_rounded)
{
	if (size <= SMALL) {
		size_t units = size ? (size + ALIGN - 1) / ALIGN : 1;
		*ret_rounded = units * ALIGN;
		return units - 1;
	}
	unsigned power = 63U - (unsigned)__builtin_clzll((unsigned long long)size - 1); /* 2^power < size <= 2^(power + 1) */
	size_t step = (size_t)1 << (power - 2);
	size_t steps = (size - ((size_t)1 << power) + step - 1) / step; /* 1 to 4 */
	*ret_rounded = ((size_t)1 << power) + steps * step;
	return SMALL_CLASSES + (power - 8) * 4 + steps - 1;
}

ao_arena *ao_arena_new(size_t size)
{
	size = (size + sizeof(header) + PAGE - 1) / PAGE * PAGE;
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return NULL;
	ao_arena *arena = ao_xcalloc(1, sizeof(*arena));
	*arena = (ao_arena){.base = base, .size = size};
	head(arena)->top = arena->touched = (sizeof(header) + ALIGN - 1) / ALIGN * ALIGN;
	return arena;
}

void ao_arena_free(ao_arena *arena)
{
	if (!arena)
		return;
	munmap(arena->base, arena->size);
	free(arena->image);
	free(arena);
}

/** Moves the end of the used part. @return false when the region is too small */
static bool move_top(ao_arena *arena, size_t top)
{
	if (top > arena->size)
		return false;
	head(arena)->top = top;
	if (top > arena->touched)
		arena->touched = top;
	return true;
}

static bool is_last(const ao_arena *arena, const void *block, size_t rounded)
{
	return (const char *)block + rounded == arena->base + head(arena)->top;
}

void *ao_arena_alloc(ao_arena *arena, size_t size)
{
	if (size > arena->size)
		return NULL;
	size_t rounded;
	free_block **list = &head(arena)->lists[class_of(size, &rounded)];
	if (*list) {
		free_block *block = *list;
		*list = block->next;
		return block;
	}
	char *block = arena->base + head(arena)->top;
	return move_top(arena, head(arena)->top + rounded) ? block : NULL;
}

void ao_arena_release(ao_arena *arena, void *block, size_t size)
{
	if (!block)
		return;
	size_t rounded, class = class_of(size, &rounded);
	if (is_last(arena, block, rounded)) {
		head(arena)->top -= rounded;
		return;
	}
	free_block *freed = block;
	freed->next = head(arena)->lists[class];
	head(arena)->lists[class] = freed;
}

void *ao_arena_realloc(ao_arena *arena, void *block, size_t old, size_t size)
{
	if (!block)
		return ao_arena_alloc(arena, size);
	if (size > arena->size)
		return NULL;
	size_t had, need;
	if (class_of(old, &had) == class_of(size, &need))
		return block;
	if (is_last(arena, block, had))
		return move_top(arena, head(arena)->top - had + need) ? block : NULL;
	void *moved = ao_arena_alloc(arena, size);
	if (!moved)
		return size < old ? block : NULL; /* a block on the list of a smaller class is wasted, but harmless */
	memcpy(moved, block, old < size ? old : size);
	ao_arena_release(arena, block, old);
	return moved;
}

void ao_arena_snapshot(ao_arena *arena)
{
	arena->image_len = head(arena)->top;
	arena->image = ao_xrealloc(arena->image, arena->image_len);
	memcpy(arena->image, arena->base, arena->image_len);
}

/** Copies only the blocks that were written to: a call changes few, and reading is cheaper than writing. */
static void put_back(ao_arena *arena)
{
	for (size_t at = 0; at < arena->image_len; at += BLOCK) {
		size_t len = arena->image_len - at < BLOCK ? arena->image_len - at : BLOCK;
		if (memcmp(arena->base + at, arena->image + at, len) != 0)
			memcpy(arena->base + at, arena->image + at, len);
	}
}

void ao_arena_restore(ao_arena *arena)
{
	put_back(arena);
	size_t keep = (arena->image_len + SLACK + PAGE - 1) / PAGE * PAGE;
	if (arena->touched > keep)
		madvise(arena->base + keep, (arena->touched - keep + PAGE - 1) / PAGE * PAGE, MADV_DONTNEED);
	arena->touched = arena->image_len;
}

size_t ao_arena_used(const ao_arena *arena) { return head(arena)->top; }

size_t ao_arena_image(const ao_arena *arena) { return arena->image_len; }
