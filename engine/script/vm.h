#pragma once
/**
 * vm.h -- one Lua state under limits.  Private to script/, which is the only room that includes lua.h.
 *
 * All Lua runs inside ao_vm_run().  Whatever raises there becomes an ao_err, even when memory runs out.
 * Ownership: the vm owns its state and everything in it.
 * Threads: the loop thread only, never re-entrant.
 */
#include "script/bundle.h"
#include "script/coverage.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

typedef struct ao_vm ao_vm;

/** Why a call had to stop. Once set, the call fails whatever the Lua code does about it. */
typedef enum { AO_SPENT_NOTHING, AO_SPENT_STEPS, AO_SPENT_CLOCK, AO_SPENT_HEAP, AO_SPENT_STRING, AO_SPENT_OUTPUT } ao_spent;

typedef void (*ao_vm_log_fn)(void *arg, const char *level, const char *policy, const char *text);

/** Makes a state without libraries. @param limits  0 means the default; may be NULL. @return 0; -E2BIG when there is no memory for it */
int ao_vm_new(const ao_limits *limits, ao_vm **ret, ao_err **reterr);
void ao_vm_free(ao_vm *vm);                         /* NULL is fine */
void ao_vm_cover(ao_vm *vm, ao_coverage *coverage); /* from now on its lines are counted there; NULL: nowhere */

/**
 * Calls body(L, arg) in protected mode, with fresh budgets.  The body must hold nothing that a raised error would leak.
 * @param stats  may be NULL
 * @return 0; -EINVAL something raised; -ETIME, -E2BIG a limit; -EINTR the clock
 */
int ao_vm_run(ao_vm *vm, void (*body)(lua_State *L, void *arg), void *arg, ao_call_stats *stats, ao_err **reterr);

/** Ends loading. Every later call starts from the state as it is now. */
void ao_vm_keep(ao_vm *vm);
/** Puts that state back. @return false in sanitizer builds: the caller must free the vm and load another one */
bool ao_vm_rewind(ao_vm *vm);
size_t ao_vm_image(const ao_vm *vm); /* bytes that ao_vm_rewind() puts back */

const ao_limits *ao_vm_limits(const ao_vm *vm);
const char *ao_vm_policy(const ao_vm *vm); /* the policy in which the call is, or failed; or "" */
const char *ao_vm_hook(const ao_vm *vm);
void ao_vm_on_log(ao_vm *vm, ao_vm_log_fn fn, void *arg);

/* For C functions that Lua calls. */
ao_vm *ao_vm_of(lua_State *L);
void ao_vm_enter(ao_vm *vm, const char *policy, const char *hook);
void ao_vm_spend(ao_vm *vm, ao_spent what);
/** Counts work that neither instructions nor allocations show, in bytes, as allocations are counted. */
void ao_vm_charge(ao_vm *vm, size_t bytes);
/** For long work in C, which spends AO_SPENT_CLOCK then. */
bool ao_vm_is_out_of_time(ao_vm *vm);
/** While a snapshot is pushed its strings may be longer than those that policies may make. */
void ao_vm_admit(ao_vm *vm, bool admitting);
bool ao_vm_is_spent(const ao_vm *vm);
void ao_vm_log(ao_vm *vm, const char *level, const char *policy, const char *text);

/** For tests: each ao_vm_run() and ao_vm_new() gets no more memory from its n-th growing allocation on. 0: no limit. */
extern uint64_t ao_vm_fail_at;

static inline void ao_vm_freep(ao_vm **vm) { ao_vm_free(*vm); }
#define ao_auto_vm __attribute__((cleanup(ao_vm_freep)))
