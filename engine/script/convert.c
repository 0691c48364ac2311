/*
 * convert.c -- recursion over trees, not deeper than MAX_DEPTH.
 *
 * Any push may raise when there is no memory, so C locals alone must not own anything: each node is put into the tree before the next call
 * into Lua.  The path of a value is a chain of frames on the C stack.  It is written out only for an error.
 */
#include "script/convert.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "script/host.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_DEPTH AO_JSON_MAX_DEPTH
#define WRAP_DEPTH 4 /* what a snapshot adds around an object: snapshot, children, the object */
#define MIN_ITEM 8
#define TABLES_EVERY 16 /* one in so many looks at the clock */
#define PATH_TEXT 512

static const char null_key, array_key; /* registry */

void ao_convert_open(lua_State *L)
{
	ao_host_require(L, "json");
	lua_getfield(L, -1, "null");
	lua_rawsetp(L, LUA_REGISTRYINDEX, &null_key);
	lua_getfield(L, -1, "array");
	lua_call(L, 0, 1);
	if (!lua_getmetatable(L, -1))
		luaL_error(L, "the SDK's arrays have no metatable");
	lua_rawsetp(L, LUA_REGISTRYINDEX, &array_key);
	lua_pop(L, 2);
}

/* --- to Lua --- */

static int count_items(const cJSON *value)
{
	int n = 0;
	for (const cJSON *item = value->child; item; item = item->next)
		n++;
	return n;
}

static void push_number(lua_State *L, double n)
{
	if (n == floor(n) && fabs(n) <= (double)AO_JSON_MAX_INT)
		lua_pushinteger(L, (lua_Integer)n);
	else
		lua_pushnumber(L, n);
}

/* Not lua_pushstring(): it caches by address, so what it allocates would depend on where the tree lies in memory. */
static void push_text(lua_State *L, const char *text) { lua_pushlstring(L, text, strlen(text)); }

/** @param base  stack index of null; that of the arrays' metatable follows */
static void push_value(lua_State *L, const cJSON *value, int base, int depth)
{
	if (depth > MAX_DEPTH + WRAP_DEPTH)
		luaL_error(L, "the snapshot is nested more than %d levels deep", MAX_DEPTH + WRAP_DEPTH);
	luaL_checkstack(L, 4, NULL);
	if (cJSON_IsString(value)) {
		push_text(L, value->valuestring);
	} else if (cJSON_IsNumber(value)) {
		push_number(L, value->valuedouble);
	} else if (cJSON_IsBool(value)) {
		lua_pushboolean(L, cJSON_IsTrue(value));
	} else if (cJSON_IsArray(value)) {
		lua_createtable(L, count_items(value), 0);
		lua_Integer i = 0;
		for (const cJSON *item = value->child; item; item = item->next) {
			push_value(L, item, base, depth + 1);
			lua_rawseti(L, -2, ++i);
		}
		lua_pushvalue(L, base + 1);
		lua_setmetatable(L, -2);
	} else if (cJSON_IsObject(value)) {
		lua_createtable(L, 0, count_items(value));
		for (const cJSON *item = value->child; item; item = item->next) {
			push_text(L, item->string);
			push_value(L, item, base, depth + 1);
			lua_rawset(L, -3);
		}
	} else {
		lua_pushvalue(L, base);
	}
}

void ao_convert_push(lua_State *L, const cJSON *value)
{
	if (!value) {
		lua_pushnil(L);
		return;
	}
	luaL_checkstack(L, 3, NULL);
	lua_rawgetp(L, LUA_REGISTRYINDEX, &null_key);
	lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
	int base = lua_gettop(L) - 1;
	push_value(L, value, base, 0);
	lua_replace(L, base);
	lua_settop(L, base);
}

/* --- to JSON --- */

typedef struct frame {
	const struct frame *up;
	const char *key; /* or NULL: an item of a list */
	lua_Integer index;
	int depth;
} frame;

typedef struct walk {
	lua_State *L;
	ao_taken *taken;
	size_t cap;
	int base;        /* stack index of null; that of the arrays' metatable follows */
	unsigned tables; /* seen */
} walk;

static bool is_plain_key(const char *key)
{
	for (const char *c = key; *c; c++)
		if (!(*c == '_' || (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z')))
			return false;
	return *key != '\0';
}

static void write_path(const frame *at, ao_buf *out)
{
	if (!at->up)
		return;
	write_path(at->up, out);
	if (!at->key)
		ao_buf_printf(out, "[%lld]", (long long)at->index - 1); /* as in Kubernetes' field paths */
	else if (is_plain_key(at->key))
		ao_buf_printf(out, "%s%s", at->up->up ? "." : "", at->key);
	else
		ao_buf_printf(out, "[\"%s\"]", at->key);
}

/** Finds the policy that made a value: an item of a list of the result may name it (objects[].policy). */
static void blame(walk *w, const frame *at)
{
	lua_State *L = w->L;
	while (at->depth > 2)
		at = at->up;
	if (at->depth < 2 || at->key || !at->up->key)
		return;
	int result = w->base + 2, top = lua_gettop(L);
	luaL_checkstack(L, 3, NULL);
	lua_pushstring(L, at->up->key);
	lua_rawget(L, result);
	if (lua_rawgeti(L, -1, at->index) == LUA_TTABLE) {
		lua_pushliteral(L, "policy");
		if (lua_rawget(L, -2) == LUA_TSTRING)
			ao_vm_enter(ao_vm_of(L), lua_tostring(L, -1), "result");
	}
	lua_settop(L, top);
}

static void refuse(walk *w, const frame *at, const char *what) __attribute__((noreturn));
static void refuse(walk *w, const frame *at, const char *what)
{
	char text[PATH_TEXT];
	ao_buf path = ao_buf_init(64 * 1024);
	blame(w, at);
	write_path(at, &path);
	snprintf(text, sizeof(text), "%s", path.data ? path.data : "result");
	ao_buf_free(&path);
	lua_pushfstring(w->L, "%s: %s", text, what);
	lua_error(w->L);
	abort(); /* lua_error() does not return */
}

/** A table that was large once takes long to walk, however little it holds. */
static void check_clock(walk *w, const frame *at)
{
	if (w->tables++ % TABLES_EVERY != 0 || !ao_vm_is_out_of_time(ao_vm_of(w->L)))
		return;
	blame(w, at);
	ao_vm_spend(ao_vm_of(w->L), AO_SPENT_CLOCK);
	luaL_error(w->L, "clock");
}

static void charge(walk *w, size_t bytes)
{
	w->taken->size += bytes < MIN_ITEM ? MIN_ITEM : bytes;
	if (w->taken->size > w->cap) {
		ao_vm_spend(ao_vm_of(w->L), AO_SPENT_OUTPUT);
		luaL_error(w->L, "output");
	}
}

/** Puts a new node into the tree. `parent` NULL makes it the root. @param key  NULL: an item of an array, or the root */
static cJSON *hang(walk *w, cJSON *parent, const char *key, cJSON *node)
{
	ao_require(node);
	if (key)
		node->string = ao_xstrdup(key);
	if (parent)
		cJSON_AddItemToArray(parent, node);
	else
		w->taken->tree = node;
	return node;
}

static const char *check_text(walk *w, const frame *at, int index, size_t *ret_len)
{
	const char *text = lua_tolstring(w->L, index, ret_len);
	if (memchr(text, '\0', *ret_len))
		refuse(w, at, "a string with a NUL byte cannot be written as JSON");
	if (!ao_utf8_is_text(text, *ret_len))
		refuse(w, at, "a string that is not UTF-8 cannot be written as JSON");
	return text;
}

static double check_number(walk *w, const frame *at)
{
	if (lua_isinteger(w->L, -1)) {
		lua_Integer i = lua_tointeger(w->L, -1);
		if (i > AO_JSON_MAX_INT || i < -AO_JSON_MAX_INT)
			refuse(w, at, "an integer beyond 2^53 cannot be kept exactly");
		return (double)i;
	}
	double n = lua_tonumber(w->L, -1);
	if (!isfinite(n))
		refuse(w, at, isnan(n) ? "not-a-number cannot be written as JSON" : "an infinite number cannot be written as JSON");
	return n == 0 ? 0 : n; /* no -0 */
}

/** What the keys of a table say about it. */
typedef struct shape {
	size_t strings, integers;
	lua_Integer largest;
} shape;

static shape look_at_keys(walk *w, const frame *at)
{
	shape s = {0};
	lua_State *L = w->L;
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
		if (lua_type(L, -2) == LUA_TSTRING) {
			s.strings++;
			continue;
		}
		if (!lua_isinteger(L, -2)) {
			char what[80];
			snprintf(what, sizeof(what), "a key that is a %s cannot be written as JSON", luaL_typename(L, -2));
			refuse(w, at, lua_type(L, -2) == LUA_TNUMBER ? "a key that is a fraction cannot be written as JSON" : what);
		}
		lua_Integer i = lua_tointeger(L, -2);
		if (i < 1)
			refuse(w, at, "a list starts at 1, but this one has a key below 1");
		s.integers++;
		if (i > s.largest)
			s.largest = i;
	}
	return s;
}

/** Whether the table on the top is an array. */
static bool is_array(walk *w, const frame *at, const shape *s)
{
	lua_State *L = w->L;
	bool tagged = false;
	if (lua_getmetatable(L, -1)) {
		tagged = lua_rawequal(L, -1, w->base + 1);
		lua_pop(L, 1);
		if (!tagged)
			refuse(w, at, "a table with a metatable cannot be written as JSON");
	}
	if (s->strings && (s->integers || tagged))
		refuse(w, at, "keys mix numbers and strings");
	if (s->integers && (size_t)s->largest != s->integers)
		refuse(w, at, "a list with holes");
	return tagged || s->integers;
}

static void take_value(walk *w, const frame *at, cJSON *parent, const char *key);

static void take_array(walk *w, const frame *at, cJSON *node, lua_Integer count)
{
	for (lua_Integer i = 1; i <= count; i++) {
		frame here = {.up = at, .index = i, .depth = at->depth + 1};
		lua_rawgeti(w->L, -1, i);
		take_value(w, &here, node, NULL);
		lua_pop(w->L, 1);
	}
}

static int by_key(const void *a, const void *b)
{
	const cJSON *const *x = a, *const *y = b;
	return strcmp((*x)->string, (*y)->string);
}

/** Sorts the keys, because the order of lua_next() is not fixed and the same table must give the same text. */
static void sort_keys(ao_taken *taken, cJSON *node, size_t count)
{
	if (count < 2)
		return;
	if (count > taken->item_space) {
		taken->item_space = 2 * count;
		taken->items = ao_xrealloc(taken->items, taken->item_space * sizeof(*taken->items));
	}
	size_t n = 0;
	for (cJSON *item = node->child; item; item = item->next)
		taken->items[n++] = item;
	qsort(taken->items, n, sizeof(*taken->items), by_key);
	for (size_t i = 0; i < n; i++) {
		taken->items[i]->prev = taken->items[i ? i - 1 : n - 1];
		taken->items[i]->next = i + 1 < n ? taken->items[i + 1] : NULL;
	}
	node->child = taken->items[0];
}

static void take_object(walk *w, const frame *at, cJSON *node, size_t count)
{
	lua_State *L = w->L;
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
		size_t len;
		const char *key = check_text(w, at, -2, &len);
		frame here = {.up = at, .key = key, .depth = at->depth + 1};
		charge(w, len + 3);
		take_value(w, &here, node, key);
	}
	sort_keys(w->taken, node, count);
}

static void take_table(walk *w, const frame *at, cJSON *parent, const char *key)
{
	if (lua_rawequal(w->L, -1, w->base)) {
		hang(w, parent, key, cJSON_CreateNull());
		return;
	}
	if (at->depth >= MAX_DEPTH)
		refuse(w, at, "nested more than 64 levels deep");
	luaL_checkstack(w->L, 4, NULL);
	check_clock(w, at);
	shape s = look_at_keys(w, at);
	if (is_array(w, at, &s))
		take_array(w, at, hang(w, parent, key, cJSON_CreateArray()), s.largest);
	else
		take_object(w, at, hang(w, parent, key, cJSON_CreateObject()), s.strings);
}

/** Writes the value on the top of the stack. */
static void take_value(walk *w, const frame *at, cJSON *parent, const char *key)
{
	lua_State *L = w->L;
	size_t len = 0;
	switch (lua_type(L, -1)) {
	case LUA_TSTRING: {
		const char *text = check_text(w, at, -1, &len);
		charge(w, len + 3);
		hang(w, parent, key, cJSON_CreateString(text));
		return;
	}
	case LUA_TNUMBER: {
		double n = check_number(w, at);
		charge(w, MIN_ITEM);
		hang(w, parent, key, cJSON_CreateNumber(n));
		return;
	}
	case LUA_TBOOLEAN:
		charge(w, MIN_ITEM);
		hang(w, parent, key, cJSON_CreateBool(lua_toboolean(L, -1)));
		return;
	case LUA_TTABLE:
		charge(w, MIN_ITEM);
		take_table(w, at, parent, key);
		return;
	default: {
		char what[80];
		snprintf(what, sizeof(what), "a %s cannot be written as JSON", luaL_typename(L, -1));
		refuse(w, at, what);
	}
	}
}

void ao_convert_take(lua_State *L, int index, ao_taken *taken)
{
	index = lua_absindex(L, index);
	luaL_checkstack(L, 3, NULL);
	lua_rawgetp(L, LUA_REGISTRYINDEX, &null_key);
	lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
	walk w = {.L = L, .taken = taken, .cap = ao_vm_limits(ao_vm_of(L))->output, .base = lua_gettop(L) - 1};
	frame root = {0};
	lua_pushvalue(L, index);
	take_value(&w, &root, NULL, NULL);
	lua_settop(L, w.base - 1);
}

void ao_taken_clear(ao_taken *taken)
{
	cJSON_Delete(taken->tree);
	free(taken->items);
	*taken = (ao_taken){0};
}
