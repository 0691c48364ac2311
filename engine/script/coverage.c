/* coverage.c -- lua/lines.lua says which lines can run, the machine's line hook which of them did. */
#include "script/coverage.h"

#include "base/mem.h"
#include "script/convert.h"
#include "script/host.h"

#include <string.h>

typedef enum { CANNOT_RUN, NEVER, RAN } line_state;

typedef struct covered_file {
	char *name, *origin;
	unsigned char *lines; /* a line_state each, by number */
	int count;            /* of them, with the unused first one */
} covered_file;

struct ao_coverage {
	covered_file *files;
	size_t count;
	covered_file *last; /* most lines run in the file of the one before */
};

/* --- lines that can run --- */

typedef struct finding {
	const ao_source *file;
	ao_taken lines;
} finding;

static void find_body(lua_State *L, void *arg)
{
	finding *f = arg;
	ao_host_open(L);
	ao_convert_open(L);
	ao_host_require(L, "lines");
	lua_getfield(L, -1, "of");
	lua_pushlstring(L, f->file->text, f->file->len);
	lua_pushstring(L, f->file->name);
	lua_call(L, 2, 1);
	ao_convert_take(L, -1, &f->lines);
}

/** @param lines  ascending */
static void add_file(ao_coverage *coverage, const ao_source *source, const cJSON *lines)
{
	const cJSON *line;
	int last = 0;
	cJSON_ArrayForEach (line, lines)
		last = line->valueint;
	covered_file *file = &coverage->files[coverage->count++];
	*file = (covered_file){.name = ao_xstrdup(source->name), .origin = ao_xstrdup(source->origin), .count = last + 1};
	file->lines = ao_xcalloc((size_t)file->count, 1);
	cJSON_ArrayForEach (line, lines)
		file->lines[line->valueint] = NEVER;
}

static int cover_file(ao_coverage *coverage, const ao_source *source, ao_err **reterr)
{
	ao_auto_vm ao_vm *vm = NULL;
	finding f = {.file = source};
	int r = ao_vm_new(NULL, &vm, reterr);
	if (r == 0)
		r = ao_vm_run(vm, find_body, &f, NULL, reterr);
	if (r == 0)
		add_file(coverage, source, f.lines.tree);
	ao_taken_clear(&f.lines);
	return r;
}

static bool is_lua(const char *name)
{
	size_t len = strlen(name);
	return len > 4 && strcmp(name + len - 4, ".lua") == 0;
}

int ao_coverage_new(const ao_sources *sources, ao_coverage **ret, ao_err **reterr)
{
	ao_auto_coverage ao_coverage *coverage = ao_xcalloc(1, sizeof(*coverage));
	coverage->files = ao_xcalloc(sources->count + 1, sizeof(*coverage->files));
	for (size_t i = 0; i < sources->count; i++) {
		int r = is_lua(sources->items[i].name) ? cover_file(coverage, &sources->items[i], reterr) : 0;
		if (r < 0)
			return r;
	}
	*ret = AO_TAKE(coverage);
	return 0;
}

void ao_coverage_free(ao_coverage *coverage)
{
	if (!coverage)
		return;
	for (size_t i = 0; i < coverage->count; i++) {
		free(coverage->files[i].name);
		free(coverage->files[i].origin);
		free(coverage->files[i].lines);
	}
	free(coverage->files);
	free(coverage);
}

/* --- lines that ran --- */

static covered_file *find_file(ao_coverage *coverage, const char *name)
{
	if (coverage->last && strcmp(coverage->last->name, name) == 0)
		return coverage->last;
	for (size_t i = 0; i < coverage->count; i++)
		if (strcmp(coverage->files[i].name, name) == 0)
			return coverage->last = &coverage->files[i];
	return NULL;
}

void ao_coverage_note(ao_coverage *coverage, const char *chunk, int line)
{
	covered_file *file = *chunk == '@' ? find_file(coverage, chunk + 1) : NULL;
	if (file && line > 0 && line < file->count && file->lines[line] == NEVER)
		file->lines[line] = RAN;
}

static void add_range(cJSON *ranges, int first, int last)
{
	cJSON *range = cJSON_CreateObject();
	ao_json_set(range, "first", cJSON_CreateNumber(first));
	ao_json_set(range, "last", cJSON_CreateNumber(last));
	cJSON_AddItemToArray(ranges, range);
}

static cJSON *report_file(const covered_file *file)
{
	cJSON *row = cJSON_CreateObject(), *never = cJSON_CreateArray();
	int ran = 0, lines = 0, first = 0, last = 0;
	for (int i = 1; i < file->count; i++) {
		lines += file->lines[i] != CANNOT_RUN;
		ran += file->lines[i] == RAN;
		if (file->lines[i] == NEVER) {
			first = first ? first : i;
			last = i;
		} else if (file->lines[i] == RAN && first) {
			add_range(never, first, last);
			first = 0;
		}
	}
	if (first)
		add_range(never, first, last);
	ao_json_set_str(row, "file", file->name);
	ao_json_set_str(row, "origin", file->origin);
	ao_json_set(row, "lines", cJSON_CreateNumber(lines));
	ao_json_set(row, "run", cJSON_CreateNumber(ran));
	ao_json_set(row, "never", never);
	return row;
}

cJSON *ao_coverage_report(const ao_coverage *coverage)
{
	cJSON *report = cJSON_CreateArray();
	for (size_t i = 0; i < coverage->count; i++)
		cJSON_AddItemToArray(report, report_file(&coverage->files[i]));
	return report;
}
