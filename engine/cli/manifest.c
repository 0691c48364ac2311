/* manifest.c -- prints what a cluster needs for the operator of a bundle.  lua/deploy.lua makes it; no cluster is asked. */
#include "base/mem.h"
#include "base/utf8.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/session.h"

#include <stdio.h>
#include <string.h>

typedef struct printing {
	ao_load_options load;
	const char *namespace_, *image;
	bool crd;
	ao_output output;
} printing;

/** The files of the bundle as JSON. A ConfigMap holds text. */
static int put_files(const ao_sources *sources, cJSON *options, ao_err **reterr)
{
	cJSON *files = cJSON_AddObjectToObject(options, "files");
	for (size_t i = 0; i < sources->count; i++) {
		const ao_source *file = &sources->items[i];
		for (size_t at = 0, n; at < file->len; at += n) {
			n = ao_utf8_len(file->text + at, file->len - at);
			if (!n || !file->text[at])
				return ao_err_set(reterr, -EINVAL, "%s/%s is not text, which is all that a ConfigMap of policies holds",
						  file->origin, file->name);
		}
		ao_json_set_str(files, file->name, file->text);
	}
	return 0;
}

static int make_objects(const printing *p, cJSON **ret, ao_err **reterr)
{
	ao_auto_sources ao_sources sources = {0};
	ao_auto_loaded ao_loaded loaded = {0};
	ao_auto_json cJSON *options = cJSON_CreateObject();
	int r = ao_load_sources(&p->load, &sources, reterr);
	if (r == 0)
		r = ao_load(&p->load, &sources, &loaded, reterr);
	if (r == 0)
		r = put_files(&sources, options, reterr);
	if (r < 0)
		return r;
	ao_json_set_str(options, "image", p->image);
	ao_json_set_str(options, "digest", ao_bundle_digest(loaded.bundle));
	if (p->namespace_)
		ao_json_set_str(options, "namespace", p->namespace_);
	ao_json_set(options, "crd", cJSON_CreateBool(p->crd));
	return ao_bundle_objects(loaded.bundle, options, ret, reterr);
}

static void print_objects(ao_output output, const cJSON *objects)
{
	const cJSON *object;
	if (output == AO_OUTPUT_JSON) {
		ao_output_list(objects);
		return;
	}
	cJSON_ArrayForEach (object, objects) {
		printf("---\n");
		ao_output_value(output, object);
	}
}

int ao_cli_manifest(int argc, char **argv)
{
	printing p = {.load = {.on_note = ao_cli_note, .limits = AO_CLI_LIMITS}, .image = "asya-operator:latest"};
	const char *output = "yaml";
	ao_err *err = NULL;
	const ao_flag flags[] = {
	    AO_BUNDLE_FLAG(&p.load.bundle_dir),
	    {"policies", 0, .text = &p.load.policies_dir, .value = "DIR", .help = "policy files that replace those of the same name"},
	    {"operator-namespace", 0, .text = &p.namespace_, .value = "NS", .help = "where the operator is to run (default its component)"},
	    {"image", 0, .text = &p.image, .value = "IMAGE", .help = "image of the operator (default asya-operator:latest)"},
	    {"crd", 0, .yes = &p.crd, .help = "the CRD of the bundle's parent alone"},
	    AO_OUTPUT_FLAG(&output, "yaml or json", "yaml"),
	};
	static const ao_example examples[] = {
	    {"what kubectl apply --server-side -f operator.yaml makes a running operator of", "manifest --bundle my-bundle >operator.yaml"},
	    {"the CRD alone, for a repository", "manifest --bundle my-bundle --crd >crd.yaml"},
	    {"with an image of one's own", "manifest --bundle my-bundle --image registry.example.com/asya-operator:1.0"},
	    {0},
	};
	int r = ao_args_parse(
	    &(ao_verb){.usage = "manifest --bundle DIR [flags]",
		       .about = "Prints what a cluster needs to run the operator of a bundle: the CRD of its parent, a namespace,\n"
				"an account with rights to exactly the kinds that the bundle names, the bundle, a Deployment.",
		       .flags = flags,
		       .flag_count = AO_LEN(flags),
		       .examples = examples},
	    argc, argv, &err);
	if (r > 0)
		return 0;
	if (r == 0 && (!p.load.bundle_dir || strcmp(p.load.bundle_dir, AO_BUILTIN) == 0))
		r = ao_err_set(&err, -EINVAL, "name a bundle: --bundle DIR. The built-in one is installed by its chart");
	if (r < 0)
		return ao_cli_fail(err, 2);
	ao_auto_json cJSON *made = NULL;
	p.output = ao_output_read(output);
	if (make_objects(&p, &made, &err) < 0)
		return ao_cli_fail(err, 1);
	print_objects(p.output, ao_json_at(made, "objects"));
	return 0;
}
