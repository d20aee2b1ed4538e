#include "receiver/options.h"

#include <getopt.h>

#include "base/str.h"
#include "protocol/name.h"

const char options_help[] =
	"Usage: hostkit-receive [--standalone] REPO.git\n"
	"       hostkit-receive --upload-pack [--standalone] REPO.git\n"
	"       hostkit-receive --project P --branch B [--max-pack-bytes N]\n"
	"                       [--max-tree-files N] REPO.git\n"
	"       hostkit-receive --init REPO.git\n"
	"       hostkit-receive --update-ref REPO.git REF OLD NEW\n"
	"       hostkit-receive --consolidate REPO.git\n"
	"\n"
	"Speak git's protocol on standard input and output: take in a push (as git\n"
	"receive-pack does), or serve a fetch (--upload-pack). Or keep a repository.\n"
	"\n"
	"  --standalone        update the refs of the repository itself; ask no daemon\n"
	"  --project P         the project whose deployment a push starts (request\n"
	"                      connection on descriptor 3)\n"
	"  --branch B          the branch that deploys\n"
	"  --max-pack-bytes N  refuse a larger pack\n"
	"  --max-tree-files N  refuse a commit with more files\n"
	"  --init              make a bare repository, or do nothing if there is one\n"
	"  --update-ref        move REF from OLD to NEW (40 digits; all 0: none)\n"
	"  --consolidate       put many packs and loose objects into one pack\n"
	"  --help, --version\n";

enum {
	OPTION_STANDALONE = 256,
	OPTION_UPLOAD,
	OPTION_PROJECT,
	OPTION_BRANCH,
	OPTION_MAX_PACK_BYTES,
	OPTION_MAX_TREE_FILES,
	OPTION_INIT,
	OPTION_UPDATE_REF,
	OPTION_CONSOLIDATE,
	OPTION_HELP,
	OPTION_VERSION,
};

static const struct option long_options[] = {
	{ "standalone", no_argument, NULL, OPTION_STANDALONE },
	{ "upload-pack", no_argument, NULL, OPTION_UPLOAD },
	{ "project", required_argument, NULL, OPTION_PROJECT },
	{ "branch", required_argument, NULL, OPTION_BRANCH },
	{ "max-pack-bytes", required_argument, NULL, OPTION_MAX_PACK_BYTES },
	{ "max-tree-files", required_argument, NULL, OPTION_MAX_TREE_FILES },
	{ "init", no_argument, NULL, OPTION_INIT },
	{ "update-ref", no_argument, NULL, OPTION_UPDATE_REF },
	{ "consolidate", no_argument, NULL, OPTION_CONSOLIDATE },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ 0 },
};

_printf_(2, 3) static int usage(struct error *err, const char *fmt, ...)
{
	_cleanup_free_ char *what = NULL;
	va_list ap;
	int r;

	va_start(ap, fmt);
	what = str_vformat(fmt, ap);
	va_end(ap);
	r = error_user(err, -EINVAL, "USAGE", "%s", what ? what : "bad arguments");
	error_suggest(err, "hostkit-receive --help");
	return r;
}

/* The version that git's peers agree on: the highest one named, as git does it. */
static int parse_protocol(const char *value)
{
	int best = 0;

	for (const char *p = value; p; p = strchr(p, ':') ? strchr(p, ':') + 1 : NULL) {
		if (strncmp(p, "version=", 8) != 0 || p[8] < '0' || p[8] > '2' ||
		    (p[9] != '\0' && p[9] != ':'))
			continue;
		if (p[8] - '0' > best)
			best = p[8] - '0';
	}
	return best;
}

static int set_mode(struct receive_options *o, enum receive_mode mode, struct error *err)
{
	if (o->mode != RECEIVE_MODE_RECEIVE && o->mode != mode)
		return usage(err, "two operations at once");
	o->mode = mode;
	return 0;
}

static int parse_number(const char *name, const char *text, uint64_t *ret,
			struct error *err)
{
	if (str_to_u64(text, UINT64_MAX / 2, ret) < 0 || *ret == 0)
		return usage(err, "%s wants a number above 0", name);
	return 0;
}

static int parse_option(struct receive_options *o, int c, struct error *err)
{
	switch (c) {
	case OPTION_STANDALONE:
		o->standalone = true;
		return 0;
	case OPTION_UPLOAD:
		return set_mode(o, RECEIVE_MODE_UPLOAD, err);
	case OPTION_PROJECT:
		o->project = optarg;
		return name_check_project(optarg, err);
	case OPTION_BRANCH:
		o->branch = optarg;
		return 0;
	case OPTION_MAX_PACK_BYTES:
		return parse_number("--max-pack-bytes", optarg, &o->max_pack_bytes, err);
	case OPTION_MAX_TREE_FILES:
		return parse_number("--max-tree-files", optarg, &o->max_tree_files, err);
	case OPTION_INIT:
		return set_mode(o, RECEIVE_MODE_INIT, err);
	case OPTION_UPDATE_REF:
		return set_mode(o, RECEIVE_MODE_UPDATE_REF, err);
	case OPTION_CONSOLIDATE:
		return set_mode(o, RECEIVE_MODE_CONSOLIDATE, err);
	case OPTION_HELP:
		return set_mode(o, RECEIVE_MODE_HELP, err);
	case OPTION_VERSION:
		return set_mode(o, RECEIVE_MODE_VERSION, err);
	default:
		return usage(err, "unknown or incomplete option");
	}
}

static int check(const struct receive_options *o, int left, struct error *err)
{
	int want = o->mode == RECEIVE_MODE_UPDATE_REF ? 4 : 1;

	if (o->mode == RECEIVE_MODE_HELP || o->mode == RECEIVE_MODE_VERSION)
		return 0;
	if (left != want)
		return usage(err, "%d arguments, where %d are wanted", left, want);
	if (o->mode != RECEIVE_MODE_RECEIVE)
		return 0;
	if (o->standalone && (o->project || o->branch))
		return usage(err,
			     "--standalone goes with neither --project nor --branch");
	if (!o->standalone && (!o->project || !o->branch))
		return usage(err, "a push needs --standalone, or --project and --branch");
	return 0;
}

int options_parse(int argc, char *const *argv, const char *git_protocol,
		  struct receive_options *ret_options, struct error *err)
{
	struct receive_options o = { .protocol = parse_protocol(git_protocol) };
	int c, r;

	optind = 0; /* glibc: begin again, also after an earlier call */
	opterr = 0;
	while ((c = getopt_long(argc, argv, "+", long_options, NULL)) >= 0) {
		r = parse_option(&o, c, err);
		if (r < 0)
			return r;
	}
	r = check(&o, argc - optind, err);
	if (r < 0)
		return r;
	if (o.mode != RECEIVE_MODE_HELP && o.mode != RECEIVE_MODE_VERSION)
		o.repository = argv[optind];
	if (o.mode == RECEIVE_MODE_UPDATE_REF) {
		o.ref = argv[optind + 1];
		o.old_hex = argv[optind + 2];
		o.new_hex = argv[optind + 3];
		if (!name_is_oid(o.old_hex) || !name_is_oid(o.new_hex))
			return usage(err, "OLD and NEW are 40 hexadecimal digits");
	}
	*ret_options = o;
	return 0;
}
