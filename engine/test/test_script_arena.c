/* The arena alone, against a model: every block holds a pattern of its own. */
#include "script/arena.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MIB ((size_t)1024 * 1024)
#define BLOCKS 400

typedef struct block {
	unsigned char *data;
	size_t size;
	unsigned char pattern;
} block;

static uint64_t seed = 42;

static uint64_t draw(uint64_t below)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (seed >> 33) % below;
}

static size_t draw_size(void) { return draw(8) ? 1 + draw(300) : 1 + draw(200000); }

static void check(const block *b)
{
	for (size_t i = 0; i < b->size; i++)
		assert_int_equal(b->data[i], b->pattern);
}

static void churn(ao_arena *arena, block *blocks, int rounds)
{
	for (int round = 0; round < rounds; round++) {
		block *b = &blocks[draw(BLOCKS)];
		check(b);
		if (b->data && draw(3) == 0) {
			ao_arena_release(arena, b->data, b->size);
			*b = (block){0};
			continue;
		}
		size_t size = draw_size();
		unsigned char *moved = ao_arena_realloc(arena, b->data, b->size, size);
		assert_non_null(moved);
		assert_int_equal((uintptr_t)moved % 16, 0);
		*b = (block){moved, b->size < size ? b->size : size, b->pattern};
		check(b);
		*b = (block){moved, size, (unsigned char)draw(256)};
		memset(moved, b->pattern, size);
	}
}

static void test_blocks_keep_what_is_in_them(void **state)
{
	(void)state;
	ao_arena *arena = ao_arena_new(256 * MIB);
	block blocks[BLOCKS] = {0};
	churn(arena, blocks, 20000);
	for (int i = 0; i < BLOCKS; i++)
		check(&blocks[i]);
	ao_arena_free(arena);
}

static void test_restore_brings_everything_back(void **state)
{
	(void)state;
	ao_arena *arena = ao_arena_new(256 * MIB);
	block blocks[BLOCKS] = {0}, kept[BLOCKS];
	churn(arena, blocks, 2000);
	memcpy(kept, blocks, sizeof(kept));
	ao_arena_snapshot(arena);
	size_t used = ao_arena_used(arena);
	assert_int_equal(ao_arena_image(arena), used);
	void *first = NULL;
	for (int round = 0; round < 5; round++) {
		memcpy(blocks, kept, sizeof(kept));
		void *next = ao_arena_alloc(arena, 100);
		assert_true(first == NULL || next == first); /* the same requests get the same addresses */
		first = next;
		churn(arena, blocks, 1000);
		ao_arena_restore(arena);
		assert_int_equal(ao_arena_used(arena), used);
		for (int i = 0; i < BLOCKS; i++)
			check(&kept[i]);
	}
	ao_arena_free(arena);
}

static void test_full_is_null_and_harmless(void **state)
{
	(void)state;
	ao_arena *arena = ao_arena_new(MIB);
	assert_null(ao_arena_alloc(arena, 2 * MIB));
	assert_null(ao_arena_alloc(arena, SIZE_MAX));
	char *big = ao_arena_alloc(arena, MIB / 2), *small = ao_arena_alloc(arena, 40);
	assert_non_null(big);
	memset(big, 1, MIB / 2);
	assert_null(ao_arena_alloc(arena, MIB * 3 / 4));
	assert_null(ao_arena_realloc(arena, big, MIB / 2, MIB));
	assert_null(ao_arena_realloc(arena, big, MIB / 2, SIZE_MAX));
	for (size_t i = 0; i < MIB / 2; i++)
		assert_int_equal(big[i], 1);
	while (ao_arena_alloc(arena, 16))
		;
	assert_ptr_equal(ao_arena_realloc(arena, small, 40, 8), small); /* no room to move to: it stays */
	ao_arena_release(arena, big, MIB / 2);
	assert_ptr_equal(ao_arena_alloc(arena, MIB / 2), big);
	ao_arena_release(arena, NULL, 10);
	ao_arena_free(arena);
	ao_arena_free(NULL);
}

static void test_the_last_block_grows_and_vanishes_in_place(void **state)
{
	(void)state;
	ao_arena *arena = ao_arena_new(MIB);
	size_t before = ao_arena_used(arena);
	char *last = ao_arena_alloc(arena, 100);
	for (size_t size = 100; size < 100000; size += 1000)
		assert_ptr_equal(ao_arena_realloc(arena, last, size, size + 1000), last);
	ao_arena_release(arena, last, 100100);
	assert_int_equal(ao_arena_used(arena), before);
	ao_arena_free(arena);
}

static void test_waste_is_bounded(void **state)
{
	(void)state;
	for (size_t size = 1; size < 5000000; size += 1 + size / 50) {
		ao_arena *arena = ao_arena_new(16 * MIB);
		size_t before = ao_arena_used(arena);
		assert_non_null(ao_arena_alloc(arena, size));
		size_t took = ao_arena_used(arena) - before;
		assert_true(took >= size && took <= size + (size <= 256 ? 15 : size / 4));
		ao_arena_free(arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_blocks_keep_what_is_in_them),
	    cmocka_unit_test(test_restore_brings_everything_back),
	    cmocka_unit_test(test_full_is_null_and_harmless),
	    cmocka_unit_test(test_the_last_block_grows_and_vanishes_in_place),
	    cmocka_unit_test(test_waste_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
