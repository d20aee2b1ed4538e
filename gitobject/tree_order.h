#pragma once

/* Are the entries of a tree in git's order, and is none there twice? */

#include <stddef.h>

#include "base/macro.h"
#include "gitobject/tree.h"

/*
 * The order of a tree compares names as if those of directories ended in '/'. A file "a" and a directory
 * "a" therefore need not be neighbours: between them may stand files such as "a.b". So the files that a
 * later directory might repeat are kept: each is a prefix of the one behind it. Start with { 0 }.
 */
struct tree_order {
	struct tree_entry last;
	bool begun;
	struct tree_entry *files; /* candidates, a stack */
	size_t count, allocated;
};

/* Bits of what tree_order_add() finds. */
#define TREE_ORDER_DUPLICATE 1
#define TREE_ORDER_UNSORTED 2

/*
 * Account for the next entry, whose name must stay where it is. Returns what is wrong with its place, 0 for
 * nothing, or -ENOMEM. Takes constant time on average, whatever the tree.
 */
int tree_order_add(struct tree_order *order, const struct tree_entry *entry) _must_check_;

void tree_order_done(struct tree_order *order);
