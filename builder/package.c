#include "builder/node.h"

#include <jansson.h>

#include "base/escape.h"
#include "base/str.h"

void node_package_done(struct node_package *package)
{
	free(package->main);
	*package = (struct node_package){ 0 };
}

static bool has_members(const json_t *root, const char *key)
{
	const json_t *value = json_object_get(root, key);

	return json_object_size(value) > 0 || json_array_size(value) > 0;
}

static bool has_script(const json_t *root, const char *name)
{
	const char *text = json_string_value(
		json_object_get(json_object_get(root, "scripts"), name));

	return text && *text;
}

static bool depends_on(const json_t *root, const char *name)
{
	return json_object_get(json_object_get(root, "dependencies"), name) ||
	       json_object_get(json_object_get(root, "devDependencies"), name);
}

static int fail_package(struct error *err, const char *what)
{
	_cleanup_free_ char *shown = escape_text(what, 200);

	error_user(err, -EBADMSG, "PACKAGE_JSON_INVALID", "package.json: %s",
		   shown ? shown : "?");
	error_suggest(
		err,
		"'node -p \"require(\\\"./package.json\\\")\"' shows the place; mend "
		"it, commit and push again");
	return -EBADMSG;
}

int node_package_parse(const char *data, size_t size, struct node_package *ret_package,
		       struct error *err)
{
	struct node_package package = { 0 };
	const char *entry;
	json_error_t at;
	json_t *root;
	int r = 0;

	root = json_loadb(data, size, 0, &at);
	if (!json_is_object(root)) {
		_cleanup_free_ char *what =
			root ? strdup("it is no object")
			     : str_format("%s in line %d", at.text, at.line);

		json_decref(root);
		return fail_package(err, what ? what : "malformed");
	}
	package.dev_dependencies = has_members(root, "devDependencies");
	package.dependencies =
		package.dev_dependencies || has_members(root, "dependencies") ||
		has_members(root, "optionalDependencies") ||
		has_members(root, "peerDependencies") || has_members(root, "workspaces");
	package.build_script = has_script(root, "build");
	package.start_script = has_script(root, "start");
	package.install_scripts =
		has_script(root, "preinstall") || has_script(root, "install") ||
		has_script(root, "postinstall") || has_script(root, "prepare");
	package.next = depends_on(root, "next");
	entry = json_string_value(json_object_get(root, "main"));
	package.main = entry ? strdup(entry) : NULL;
	if (entry && !package.main)
		r = error_internal(err, -ENOMEM, "package.json");
	else
		*ret_package = package;
	json_decref(root);
	return r;
}

static enum node_manager choose_manager(struct node_locks locks)
{
	if (locks.npm)
		return NODE_MANAGER_NPM;
	if (locks.pnpm)
		return NODE_MANAGER_PNPM;
	if (locks.yarn)
		return NODE_MANAGER_YARN;
	return NODE_MANAGER_NPM;
}

struct node_plan node_plan(const struct node_package *package, struct node_locks locks)
{
	struct node_plan plan = { .build = package->build_script };

	if (!package->dependencies && !package->install_scripts)
		return plan;
	plan.manager = choose_manager(locks);
	plan.frozen = locks.npm || locks.yarn || locks.pnpm;
	/* "prepare" and its like are written for a machine with everything installed */
	plan.with_dev = package->build_script || package->install_scripts;
	plan.prune = plan.with_dev && package->dev_dependencies;
	return plan;
}
