/* The store: random histories against a naive model, and what two thousand objects take. */
#include "test/test_kube_store.h"

#include "test/test_kube_golden.h"

#define NAMES 40
#define OWNERS 6
#define MAKES 20 /* more than a store has bases for */

typedef struct model {
	bool there;
	int owner, label; /* 0: none */
	char *text;
} model;

static unsigned seed = 1;
static int pick(int below)
{
	seed = seed * 1103515245 + 12345;
	return (int)((seed >> 16) % (unsigned)below);
}

typedef struct walk {
	const model *objects;
	char last[64];
	int owner, label, space, count;
} walk;

static void visit(void *arg, const ao_object *object)
{
	walk *w = arg;
	int i = atoi(object->name + 1);
	assert_true(strcmp(w->last, object->key) < 0);
	snprintf(w->last, sizeof(w->last), "%s", object->key);
	assert_true(w->objects[i].there);
	assert_true(w->owner ? w->objects[i].owner == w->owner : w->objects[i].label == w->label && i % 2 == w->space);
	w->count++;
}

static void check_indexes(const ao_store *store, const model *objects)
{
	for (int value = 1; value <= OWNERS; value++) {
		char text[16];
		walk owned = {.objects = objects, .owner = value};
		int expected = 0, labelled[2] = {0};
		for (int i = 0; i < NAMES; i++) {
			expected += objects[i].there && objects[i].owner == value;
			labelled[i % 2] += objects[i].there && objects[i].label == value;
		}
		snprintf(text, sizeof(text), "v%d", value);
		ao_store_each_owned(store, text, visit, &owned);
		assert_int_equal(owned.count, expected);
		for (int space = 0; space < 2; space++) {
			walk w = {.objects = objects, .label = value, .space = space};
			ao_store_each_labelled(store, space ? "n1" : "n0", text, visit, &w);
			assert_int_equal(w.count, labelled[space]);
		}
	}
	walk none = {.objects = objects};
	ao_store_each_owned(store, "", visit, &none);
	ao_store_each_owned(store, "nobody", visit, &none);
	ao_store_each_labelled(store, "n0", "nobody", visit, &none);
	assert_int_equal(none.count, 0);
}

static void check_all(const ao_store *store, const model *objects)
{
	size_t count = 0, cursor = 0, walked = 0;
	for (int i = 0; i < NAMES; i++) {
		char key[32];
		snprintf(key, sizeof(key), "n%d/o%d", i % 2, i);
		const ao_object *o = ao_store_get(store, key);
		assert_int_equal(o != NULL, objects[i].there);
		if (o)
			assert_text(o, objects[i].text);
		count += objects[i].there;
	}
	assert_int_equal(ao_store_count(store), count);
	for (const ao_object *o; (o = ao_store_next(store, &cursor)); walked++)
		assert_ptr_equal(ao_store_get(store, o->key), o);
	assert_int_equal(walked, count);
}

/** What all objects of one make have in common, the longer the higher `make` is. The caller frees. */
static char *long_text(int make)
{
	unsigned kept = seed;
	size_t len = 300 + (size_t)make * 40;
	char *text = ao_xmalloc(len + 1);
	seed = (unsigned)make + 1;
	for (size_t i = 0; i < len; i++)
		text[i] = (char)('a' + pick(26));
	text[len] = '\0';
	seed = kept;
	return text;
}

static void random_put(ao_store *store, model *m, int i)
{
	free(m->text);
	*m = (model){true, pick(OWNERS + 1), pick(OWNERS + 1), NULL};
	ao_auto_str char *common = long_text(pick(MAKES));
	ao_auto_str char *label = m->label ? ao_xasprintf(",\"labels\":{\"l\":\"v%d\"}", m->label) : ao_xstrdup("");
	ao_auto_str char *owner =
	    m->owner ? ao_xasprintf(",\"ownerReferences\":[{\"uid\":\"v%d\",\"controller\":true}]", m->owner) : ao_xstrdup("");
	m->text = ao_xasprintf("{\"metadata\":{\"name\":\"o%d\",\"namespace\":\"n%d\",\"uid\":\"u\"%s%s},\"spec\":{\"a\":\"%s\",\"x\":%d}}",
			       i, i % 2, label, owner, common, pick(1000));
	put(store, m->text);
}

static void random_histories(void **state)
{
	(void)state;
	for (int run = 0; run < 20; run++) {
		model objects[NAMES] = {0};
		ao_store *store = ao_store_new(&(ao_store_options){.index_label = "l"});
		for (int step = 0; step < 300; step++) {
			int i = pick(NAMES);
			char key[32];
			snprintf(key, sizeof(key), "n%d/o%d", i % 2, i);
			if (pick(3)) {
				random_put(store, &objects[i], i);
			} else {
				assert_int_equal(ao_store_remove(store, key), objects[i].there);
				objects[i].there = false;
			}
			if (step % 10 == 0)
				check_indexes(store, objects);
		}
		check_all(store, objects);
		ao_store_free(store);
		for (int i = 0; i < NAMES; i++)
			free(objects[i].text);
	}
}

/* ---- memory ---- */

static void two_thousand_deployments(void **state)
{
	(void)state;
	ao_auto_json cJSON *children = golden_children();
	ao_store *store = ao_store_new(&(ao_store_options){.index_label = "app"});
	size_t text = 0;
	const cJSON *child = children->child;
	for (int i = 0; i < 2000; child = child->next ? child->next : children->child) {
		if (strcmp(ao_json_str(child, "kind"), "Deployment") != 0)
			continue;
		ao_auto_json cJSON *copy = cJSON_Duplicate(child, 1);
		cJSON *metadata = ao_json_at(copy, "metadata");
		ao_auto_str char *name = ao_xasprintf("actor-%d", i++);
		ao_json_set_str(metadata, "name", name);
		ao_json_set_str(metadata, "uid", "6f0c9f0e-8f0b-4b6e-9d53-0d3ef16f83c1");
		ao_json_set_str(metadata, "resourceVersion", "123456");
		ao_auto_str char *body = ao_json_print(copy);
		text += put(store, body)->len;
	}
	size_t bytes = ao_store_bytes(store);
	printf("2,000 deployments: %zu bytes of text, %zu bytes are kept of each, with header, strings and indexes\n", text, bytes / 2000);
	assert_true(bytes < text / 10 + 2000 * 420);
	ao_store_free(store);
}

/** Of what is often changed nothing stays; but each text that it was told by was held by the one that was changed meanwhile, and stays so. */
static void what_changes_seldom_holds_no_base_of_its_own(void **state)
{
	(void)state;
	enum { SELDOM = 150, OFTEN = 10, EACH = 200 };
	ao_store *store = ao_store_new(&(ao_store_options){0});
	ao_auto_str char *common = long_text(60);
	size_t first = 0, text = 0;
	for (int i = 0; i < SELDOM * (EACH + 2); i++) {
		int which = i < SELDOM ? i : i % EACH ? SELDOM + pick(OFTEN) : i / EACH % SELDOM;
		ao_auto_str char *body =
		    ao_xasprintf("{\"metadata\":{\"name\":\"o%d\",\"uid\":\"u\"},\"spec\":{\"a\":\"%s%.*s\",\"x\":%d}}", which, common,
				 pick(200), common, i);
		text = put(store, body)->len;
		first = i == SELDOM - 1 ? ao_store_bytes(store) : first;
	}
	size_t more = ao_store_bytes(store) - first;
	printf("texts of %zu bytes, 150 changed seldom: %zu bytes each at first, %zu more after many changes of others\n", text,
	       first / SELDOM, more / SELDOM);
	assert_true(more / SELDOM < text / 5);
	ao_store_free(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(random_histories),
	    cmocka_unit_test(two_thousand_deployments),
	    cmocka_unit_test(what_changes_seldom_holds_no_base_of_its_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
