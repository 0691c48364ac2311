#pragma once
/**
 * host.h -- the world that the SDK in lua/ runs in; private to script/.
 */
#include "script/vm.h"

/** Opens the libraries that trusted code may use, a `require` that finds the embedded SDK, and `host`. Raises. */
void ao_host_open(lua_State *L);

/** Pushes an SDK module, loaded at first use. Raises. */
void ao_host_require(lua_State *L, const char *name);
