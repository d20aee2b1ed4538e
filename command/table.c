/* The table of verbs and of the flags they take. */

#include "base/str.h"
#include "command/internal.h"
#include "protocol/request.h"

static const struct flag_info flags[_FLAG_N] = {
	[FLAG_JSON] = { "json", '\0', NULL, "answer as one JSON object", false },
	[FLAG_HELP] = { "help", 'h', NULL, "show the help of a verb", false },
	[FLAG_ADMIN] = { "admin", '\0', NULL, "the key may do everything", false },
	[FLAG_OPERATOR] = { "operator", '\0', NULL,
			    "the key may act on every project, but not delete or add keys",
			    false },
	[FLAG_DEPLOY] = { "deploy", '\0', NULL,
			  "the key may push to one project only (standard)", false },
	[FLAG_PYTHON] = { "python", '\0', NULL, "a Python app: venv and pip", false },
	[FLAG_NODE] = { "node", '\0', NULL, "a Node.js app: npm", false },
	[FLAG_NEXTJS] = { "nextjs", '\0', NULL, "a Next.js app (standard)", false },
	[FLAG_STATIC] = { "static", '\0', NULL, "files only, no process", false },
	[FLAG_NO_DB] = { "no-db", '\0', NULL, "comes later, ignored", false },
	[FLAG_NO_AUTH] = { "no-auth", '\0', NULL, "comes later, ignored", false },
	[FLAG_NO_STORAGE] = { "no-storage", '\0', NULL, "comes later, ignored", false },
	[FLAG_CONFIRM] = { "confirm", '\0', "P", "repeat the project's name", false },
	[FLAG_DRY_RUN] = { "dry-run", '\0', NULL, "only say what would be done", false },
	[FLAG_TO] = { "to", '\0', "R", "the release to go to, see: hostkit releases",
		      false },
	[FLAG_FOLLOW] = { "follow", 'f', NULL, "go on with what comes, until stopped",
			  false },
	[FLAG_LINES] = { "lines", 'n', "N", "how many at most", false },
	[FLAG_ERROR] = { "error", '\0', NULL, "standard error of the app only", false },
	[FLAG_BUILD] = { "build", '\0', "ID", "the output of that job instead", false },
	[FLAG_SHOW] = { "show", '\0', NULL, "secrets too, in clear", false },
	[FLAG_RESTART] = { "restart", '\0', NULL, "restart the app afterwards", false },
	[FLAG_MARKDOWN] = { "markdown", '\0', NULL, "as docs/commands.md", true },
};

#define F(name) FLAG_BIT(FLAG_##name)

#define BIT(role) (1u << (role))
#define ADMINS BIT(ROLE_ADMIN)
#define OPERATORS (ADMINS | BIT(ROLE_OPERATOR))
#define OWNERS (OPERATORS | BIT(ROLE_PROJECT))
#define EVERYBODY (OWNERS | BIT(ROLE_DEPLOY))

static const struct verb verbs[] = {
	{
		.name = "whoami",
		.synopsis = "",
		.help = "say who you are here and what you may do",
		.examples = { "hostkit whoami" },
		.roles = EVERYBODY,
		.run = verb_whoami,
	},
	{
		.name = "help",
		.synopsis = "[VERB]",
		.help = "list the verbs, or explain one",
		.examples = { "hostkit help", "hostkit help project delete" },
		.roles = EVERYBODY,
		.max_words = 2,
		.flags = F(MARKDOWN),
		.run = verb_help,
	},
	{
		.name = "version",
		.synopsis = "",
		.help = "print the version of HostKit",
		.examples = { "hostkit version" },
		.roles = EVERYBODY,
		.run = verb_version,
	},
	{
		.name = "capabilities",
		.synopsis = "",
		.help = "list what this server can do, for scripts",
		.examples = { "hostkit capabilities --json" },
		.roles = EVERYBODY,
		.run = verb_capabilities,
	},
	{
		.name = "provision",
		.synopsis = "P [--python|--node|--nextjs|--static]",
		.help = "create a project: user, home, port, unit, site",
		.details = "P has 3 to 32 characters of a-z, 0-9 and single hyphens and "
			   "begins with a letter.\n"
			   "Once more with the same runtime changes nothing and is no "
			   "error.\n"
			   "--no-db, --no-auth and --no-storage are accepted: there is "
			   "nothing to leave out yet.",
		.examples = { "hostkit provision shop --node" },
		.roles = OPERATORS,
		.min_words = 1,
		.max_words = 1,
		.flags = F(PYTHON) | F(NODE) | F(NEXTJS) | F(STATIC) | F(NO_DB) |
			 F(NO_AUTH) | F(NO_STORAGE),
		.run = verb_provision,
	},
	{
		.name = "project list",
		.synopsis = "",
		.help = "list the projects you may see",
		.examples = { "hostkit project list" },
		.roles = EVERYBODY,
		.run = verb_project_list,
	},
	{
		.name = "project info",
		.synopsis = "[P]",
		.help = "show what is known about a project",
		.examples = { "hostkit project info shop" },
		.roles = EVERYBODY,
		.max_words = 1,
		.run = verb_project_info,
	},
	{
		.name = "project delete",
		.synopsis = "P --confirm P [--dry-run]",
		.help = "delete a project with everything that is its own",
		.details = "Home, releases, repository, logs, unit and site are gone "
			   "afterwards; nothing brings them back.",
		.examples = { "hostkit project delete shop --dry-run",
			      "hostkit project delete shop --confirm shop" },
		.roles = ADMINS,
		.min_words = 1,
		.max_words = 1,
		.flags = F(CONFIRM) | F(DRY_RUN),
		.run = verb_project_delete,
	},
	{
		.name = "status",
		.synopsis = "[P]",
		.help = "show how a project is, or all of them",
		.examples = { "hostkit status", "hostkit status shop" },
		.roles = EVERYBODY,
		.max_words = 1,
		.run = verb_status,
	},
	{
		.name = "restart",
		.synopsis = "[P]",
		.help = "restart the app and wait until it runs",
		.examples = { "hostkit restart shop" },
		.roles = OWNERS,
		.max_words = 1,
		.run = verb_restart,
	},
	{
		.name = "releases",
		.synopsis = "[P]",
		.help = "list the releases, newest first",
		.examples = { "hostkit releases shop" },
		.roles = EVERYBODY,
		.max_words = 1,
		.run = verb_releases,
	},
	{
		.name = "rollback",
		.synopsis = "[P] [--to R]",
		.help = "go back to the release before, or to a certain one",
		.details = "Twice in a row goes back two releases.",
		.examples = { "hostkit rollback shop",
			      "hostkit rollback shop --to 20250215-120000" },
		.roles = OWNERS,
		.max_words = 1,
		.flags = F(TO),
		.run = verb_rollback,
	},
	{
		.name = "jobs",
		.synopsis = "[P] [-n N]",
		.help = "list deployments and other jobs, newest first",
		.details = "20 are shown unless -n says otherwise.",
		.examples = { "hostkit jobs", "hostkit jobs shop -n 5" },
		.roles = EVERYBODY,
		.max_words = 1,
		.flags = F(LINES),
		.run = verb_jobs,
	},
	{
		.name = "logs",
		.synopsis = "[P] [-f] [-n N] [--error] [--build ID]",
		.help = "show what the app, or a job, has printed",
		.details =
			"The last 100 lines of standard output and of standard error "
			"are shown unless -n says\notherwise; of a job, everything. "
			"Control characters appear as \\xHH.\n"
			"A deploy key may see the output of jobs (--build), not that of "
			"the app.",
		.examples = { "hostkit logs shop -f", "hostkit logs shop --error -n 20",
			      "hostkit logs shop --build 17" },
		.roles = EVERYBODY,
		.max_words = 1,
		.flags = F(FOLLOW) | F(LINES) | F(ERROR) | F(BUILD),
		.run = verb_logs,
	},
	{
		.name = "env list",
		.synopsis = "[P] [--show]",
		.help = "list the variables of the app",
		.details = "Values whose name speaks of a password, key, token or other "
			   "secret are hidden.",
		.examples = { "hostkit env list shop" },
		.roles = OWNERS,
		.max_words = 1,
		.flags = F(SHOW),
		.run = verb_env_list,
	},
	{
		.name = "env get",
		.synopsis = "[P] KEY...",
		.help = "print the value of a variable",
		.examples = { "hostkit env get shop DATABASE_URL" },
		.roles = OWNERS,
		.min_words = 1,
		.max_words = VERB_WORDS_ANY,
		.run = verb_env_get,
	},
	{
		.name = "env set",
		.synopsis = "[P] KEY=VALUE... [--restart]",
		.help = "set variables",
		.details =
			"KEY=- reads the value from standard input, which keeps it out "
			"of the lists of processes\nand of the shell's history. PORT, "
			"HOST, PROJECT_NAME and REDIS_URL belong to HostKit.",
		.examples = { "hostkit env set shop GREETING=hello --restart",
			      "hostkit env set shop API_TOKEN=- < token" },
		.roles = OWNERS,
		.min_words = 1,
		.max_words = VERB_WORDS_ANY,
		.flags = F(RESTART),
		.run = verb_env_set,
	},
	{
		.name = "env unset",
		.synopsis = "[P] KEY... [--restart]",
		.help = "remove variables",
		.examples = { "hostkit env unset shop GREETING" },
		.roles = OWNERS,
		.min_words = 1,
		.max_words = VERB_WORDS_ANY,
		.flags = F(RESTART),
		.run = verb_env_unset,
	},
	{
		.name = "key add",
		.synopsis = "[P] NAME [--admin|--operator|--deploy] < id.pub",
		.help = "let an SSH public key in",
		.details =
			"Standard input is one line as in id_ed25519.pub: Ed25519, ECDSA "
			"or RSA from 2048 bits.\nA deploy key is bound to the "
			"project P; the others are not.",
		.examples = { "hostkit key add anna@laptop --operator < id_ed25519.pub",
			      "hostkit key add shop ci-of-shop < ci.pub" },
		.roles = ADMINS,
		.min_words = 1,
		.max_words = 2,
		.flags = F(ADMIN) | F(OPERATOR) | F(DEPLOY),
		.run = verb_key_add,
	},
	{
		.name = "key list",
		.synopsis = "",
		.help = "list the keys that are let in",
		.examples = { "hostkit key list" },
		.roles = ADMINS,
		.run = verb_key_list,
	},
	{
		.name = "key remove",
		.synopsis = "NAME",
		.help = "no longer let a key in",
		.examples = { "hostkit key remove ci-of-shop" },
		.roles = ADMINS,
		.min_words = 1,
		.max_words = 1,
		.run = verb_key_remove,
	},
};

const struct flag_info *flag_info(enum flag flag)
{
	return &flags[flag];
}

const struct verb *verb_table(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(verbs);
	return verbs;
}

/* Does the name of verb consist of exactly these words? */
static bool verb_is(const struct verb *verb, const char *first, const char *second)
{
	const char *rest = str_after_prefix(verb->name, first);

	if (!rest)
		return false;
	return second ? *rest == ' ' && str_equal(rest + 1, second) : *rest == '\0';
}

const struct verb *verb_find(const char *const *words, size_t count, size_t *ret_used)
{
	for (size_t used = count < 2 ? count : 2; used > 0; used--)
		for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
			if (!verb_is(&verbs[i], words[0], used == 2 ? words[1] : NULL))
				continue;
			*ret_used = used;
			return &verbs[i];
		}
	return NULL;
}

bool verb_is_noun(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		const char *rest = str_after_prefix(verbs[i].name, word);

		if (rest && *rest == ' ')
			return true;
	}
	return false;
}
