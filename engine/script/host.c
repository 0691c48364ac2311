/*
 * host.c -- gives trusted code the libraries base, string, table, math and utf8, without what touches the outside or the collector.
 *
 * Policies get only what lua/sandbox.lua picks from these.
 */
#include "script/host.h"

#include "base/base64.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "script/embedded.h"
#include "script/text.h"

#include <lualib.h>
#include <string.h>

#define MAX_LOG_TEXT 1024

static const char modules_key; /* registry: name -> module, or true while it loads */

static const ao_embedded *find(const char *name)
{
	size_t len = strlen(name);
	for (const ao_embedded *file = ao_embedded_sdk; file->name; file++)
		if (strncmp(file->name, name, len) == 0 && strcmp(file->name + len, ".lua") == 0)
			return file;
	return NULL;
}

void ao_host_require(lua_State *L, const char *name)
{
	luaL_checkstack(L, 6, NULL);
	lua_rawgetp(L, LUA_REGISTRYINDEX, &modules_key);
	if (lua_getfield(L, -1, name) == LUA_TNIL) {
		const ao_embedded *file = find(name);
		if (!file)
			luaL_error(L, "there is no SDK module '%s'", name);
		lua_pop(L, 1);
		lua_pushboolean(L, 1);
		lua_setfield(L, -2, name);
		const char *chunk = lua_pushfstring(L, "@sdk/%s", file->name);
		if (luaL_loadbufferx(L, file->text, file->len, chunk, "t") != LUA_OK)
			lua_error(L);
		lua_remove(L, -2);
		lua_pushstring(L, name);
		lua_call(L, 1, 1);
		lua_pushvalue(L, -1);
		lua_setfield(L, -3, name);
	} else if (lua_isboolean(L, -1)) {
		luaL_error(L, "SDK module '%s' requires itself", name);
	}
	lua_remove(L, -2);
}

static int l_require(lua_State *L)
{
	ao_host_require(L, luaL_checkstring(L, 1));
	return 1;
}

static int l_enter(lua_State *L)
{
	ao_vm_enter(ao_vm_of(L), luaL_checkstring(L, 1), luaL_checkstring(L, 2));
	return 0;
}

static int l_spent(lua_State *L)
{
	lua_pushboolean(L, ao_vm_is_spent(ao_vm_of(L)));
	return 1;
}

static int l_log(lua_State *L)
{
	size_t len;
	const char *level = luaL_checkstring(L, 1), *policy = luaL_checkstring(L, 2), *text = luaL_checklstring(L, 3, &len);
	ao_auto_str char *clean = ao_text_clean(text, len, MAX_LOG_TEXT);
	for (char *c = clean; *c; c++)
		if (*c == '\n')
			*c = ' ';
	ao_vm_log(ao_vm_of(L), level, policy, clean);
	return 0;
}

/** Counts a block of 64 bytes as four steps, because it takes the time of some instructions. */
static int l_sha256(lua_State *L)
{
	size_t len;
	char hex[AO_SHA256_HEX];
	const char *text = luaL_checklstring(L, 1, &len);
	ao_vm_charge(ao_vm_of(L), 4 * (len + 64));
	ao_sha256(text, len, hex);
	lua_pushstring(L, hex);
	return 1;
}

/** A buffer of Lua's holds the result: its memory is the machine's, and it goes with an error. Counts 64 bytes as four steps. */
static int l_base64_encode(lua_State *L)
{
	size_t len;
	luaL_Buffer out;
	const char *bytes = luaL_checklstring(L, 1, &len);
	ao_vm_charge(ao_vm_of(L), 4 * (len + 64));
	char *text = luaL_buffinitsize(L, &out, AO_BASE64_SIZE(len));
	luaL_pushresultsize(&out, ao_base64_write(bytes, len, text));
	return 1;
}

/** Returns nothing when the text is not base64. */
static int l_base64_decode(lua_State *L)
{
	size_t len, written;
	luaL_Buffer out;
	const char *text = luaL_checklstring(L, 1, &len);
	ao_vm_charge(ao_vm_of(L), 4 * (len + 64));
	char *bytes = luaL_buffinitsize(L, &out, len);
	if (!ao_base64_read(text, len, bytes, &written))
		return 0;
	luaL_pushresultsize(&out, written);
	return 1;
}

/** The stock search compares the whole text at each place where its first letter stands; memmem() is linear. */
static int l_find(lua_State *L)
{
	size_t len, wanted_len;
	const char *text = luaL_checklstring(L, 1, &len), *wanted = luaL_checklstring(L, 2, &wanted_len);
	lua_Integer from = luaL_checkinteger(L, 3);
	luaL_argcheck(L, from >= 1 && (lua_Unsigned)from <= len + 1, 3, "out of bounds");
	const char *begin = text + from - 1, *found = memmem(begin, len - (size_t)(begin - text), wanted, wanted_len);
	ao_vm_charge(ao_vm_of(L), wanted_len + (found ? (size_t)(found - begin) : len - (size_t)(begin - text)));
	if (!found)
		return 0;
	lua_pushinteger(L, found - text + 1);
	lua_pushinteger(L, found - text + (lua_Integer)wanted_len);
	return 2;
}

static int l_get(lua_State *L)
{
	size_t len;
	const char *key = luaL_checklstring(L, 2, &len), *end = key + len, *dot;
	ao_vm_charge(ao_vm_of(L), len);
	lua_settop(L, 2);
	lua_pushvalue(L, 1);
	do {
		if (!lua_istable(L, -1))
			return 0;
		dot = memchr(key, '.', (size_t)(end - key));
		lua_pushlstring(L, key, (size_t)((dot ? dot : end) - key));
		lua_gettable(L, -2);
		lua_replace(L, 3);
		lua_settop(L, 3);
	} while (dot && (key = dot + 1));
	return 1;
}

static void push_host(lua_State *L)
{
	static const luaL_Reg functions[] = {{"enter", l_enter},
					     {"spent", l_spent},
					     {"log", l_log},
					     {"sha256", l_sha256},
					     {"base64_encode", l_base64_encode},
					     {"base64_decode", l_base64_decode},
					     {"find", l_find},
					     {"get", l_get},
					     {NULL, NULL}};
	luaL_newlib(L, functions);
	lua_pushinteger(L, (lua_Integer)ao_vm_limits(ao_vm_of(L))->string);
	lua_setfield(L, -2, "max_string");
}

void ao_host_open(lua_State *L)
{
	static const luaL_Reg libraries[] = {{LUA_GNAME, luaopen_base},
					     {LUA_STRLIBNAME, luaopen_string},
					     {LUA_TABLIBNAME, luaopen_table},
					     {LUA_MATHLIBNAME, luaopen_math},
					     {LUA_UTF8LIBNAME, luaopen_utf8}};
	static const char *const unwanted[] = {"dofile", "loadfile", "collectgarbage", "print", "warn"};
	for (size_t i = 0; i < AO_LEN(libraries); i++) {
		luaL_requiref(L, libraries[i].name, libraries[i].func, 1);
		lua_pop(L, 1);
	}
	for (size_t i = 0; i < AO_LEN(unwanted); i++) {
		lua_pushnil(L);
		lua_setglobal(L, unwanted[i]);
	}
	lua_newtable(L);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &modules_key);
	lua_pushcfunction(L, l_require);
	lua_setglobal(L, "require");
	push_host(L);
	lua_setglobal(L, "host");
}
