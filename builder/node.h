#pragma once

/* package.json and what follows from it: pure decisions, no program is run here. */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Larger than any package.json a person or a tool writes. */
#define NODE_PACKAGE_MAX ((size_t)1 << 20)

struct node_package {
	bool dependencies;     /* any at all: also dev, optional, peer, workspaces */
	bool dev_dependencies; /* some that only the build needs */
	bool build_script;
	bool start_script;
	bool install_scripts; /* scripts npm runs at install */
	bool next;            /* depends on next */
	char *main;           /* owned, or NULL */
};

void node_package_done(struct node_package *package);
#define _cleanup_node_package_ _cleanup_(node_package_done)

/* Parse size bytes of a package.json. Returns 0, or -EBADMSG with PACKAGE_JSON_INVALID. */
int node_package_parse(const char *data, size_t size, struct node_package *ret_package,
		       struct error *err) _must_check_;

/* Which lock files are there. */
struct node_locks {
	bool npm; /* package-lock.json or npm-shrinkwrap.json */
	bool yarn;
	bool pnpm;
};

enum node_manager {
	NODE_MANAGER_NONE, /* nothing to install */
	NODE_MANAGER_NPM,
	NODE_MANAGER_YARN,
	NODE_MANAGER_PNPM,
	_NODE_MANAGER_N,
};

struct node_plan {
	enum node_manager manager;
	bool frozen; /* a lock file says exactly what to install */
	bool with_dev;
	bool build;
	bool prune; /* remove what only the build needed */
};

/* What is to be done for this package. npm's lock file wins where there are several. */
struct node_plan node_plan(const struct node_package *package, struct node_locks locks);
