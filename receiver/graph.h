#pragma once

/*
 * The commit graph as far as somebody has asked for it. Commits are numbered in the order in which they
 * are first mentioned; what cannot be read is missing and has no parents.
 */

#include <stdbool.h>
#include <stdint.h>

#include <git2/odb.h>

#include "receiver/oidindex.h"

enum {
	GRAPH_LOADED = 1u << 0,
	GRAPH_MISSING = 1u << 1, /* no such commit here, or unreadable */
	GRAPH_ROOT = 1u << 2, /* this repository's own history ends here (REPO/shallow) */

	/* negotiation */
	GRAPH_HAVE = 1u << 3,     /* the client has it, or a child of it */
	GRAPH_SEEN = 1u << 4,     /* of one walk at a time, which clears it */
	GRAPH_REACHES = 1u << 11, /* it or an ancestor is GRAPH_HAVE */

	/* shallow clones; names as in the protocol */
	GRAPH_CLIENT_SHALLOW = 1u << 5, /* the client has it without parents */
	GRAPH_SHALLOW = 1u << 6,        /* will be the client's boundary */
	GRAPH_NOT_SHALLOW = 1u << 7,    /* its parents lie within what was asked for */
	GRAPH_CUT = 1u << 8,            /* do not follow its parents when sending */

	/* sending */
	GRAPH_WANTED = 1u << 9,
	GRAPH_EXCLUDED = 1u << 10, /* the client has it with all that it refers to */
};

struct graph_commit {
	git_oid oid; /* first: oidindex.h */
	git_oid tree;
	int64_t time;
	uint32_t first_parent; /* position in graph.parents */
	uint32_t parent_count;
	uint32_t depth;
	uint32_t flags;
};

struct graph {
	git_odb *odb; /* borrowed */
	struct graph_commit *commits;
	uint32_t *parents; /* numbers of commits */
	uint32_t count, allocated, parent_count, parents_allocated;
	struct oidindex index;
	void (*tick)(
		void *userdata); /* called now and then during long walks; NULL: not */
	void *tick_userdata;
};

void graph_done(struct graph *graph);
#define _cleanup_graph_ _cleanup_(graph_done)

/* Forget what walks found out, keep what was read. */
void graph_reset(struct graph *graph);

/* The number of oid, which need not exist. Returns 0 with *ret_number, or -ENOMEM. */
int graph_number(struct graph *graph, const git_oid *oid, uint32_t *ret_number);

/*
 * Read the commit with this number, once. Pointers into graph.commits are invalid afterwards. Returns 0
 * also for a missing one, or -ENOMEM.
 */
int graph_load(struct graph *graph, uint32_t number);

/* Number and load in one. */
int graph_add(struct graph *graph, const git_oid *oid, uint32_t *ret_number);

static inline uint32_t graph_parent(const struct graph *graph, uint32_t number,
				    uint32_t i)
{
	return graph->parents[graph->commits[number].first_parent + i];
}

/* A list of commit numbers. */
struct graph_list {
	uint32_t *numbers;
	size_t count, allocated;
};

void graph_list_done(struct graph_list *list);
#define _cleanup_graph_list_ _cleanup_(graph_list_done)
int graph_list_add(struct graph_list *list, uint32_t number);

/* Newest first: a heap by time of commit. graph_heap_take() must not be called on an empty one. */
int graph_heap_put(const struct graph *graph, struct graph_list *heap, uint32_t number);
uint32_t graph_heap_take(const struct graph *graph, struct graph_list *heap);

/*
 * Does every commit of `tips` have an ancestor (or is it one itself) with GRAPH_HAVE, not looking at
 * commits older than `oldest`? Returns 1, 0, or -ENOMEM.
 */
int graph_all_reach_have(struct graph *graph, const struct graph_list *tips,
			 int64_t oldest);

/*
 * Give each commit at most `depth` - 1 generations away from a tip GRAPH_NOT_SHALLOW, and each at that
 * distance GRAPH_SHALLOW: the boundary. So does the end of this repository's own history, at any depth.
 * The boundary is appended to *ret_boundary. Returns 0 or -ENOMEM.
 */
int graph_cut_at_depth(struct graph *graph, const struct graph_list *tips, uint32_t depth,
		       struct graph_list *ret_boundary);
#define GRAPH_DEPTH_INFINITE 0x7fffffffu

/*
 * The same for everything reachable from the tips that is not older than `since` (0: no limit) and not
 * reachable from `hidden`; the boundary are those commits with a parent left out. Returns how many commits
 * were selected, or -ENOMEM.
 */
int64_t graph_cut_by_rule(struct graph *graph, const struct graph_list *tips,
			  int64_t since, const struct graph_list *hidden,
			  struct graph_list *ret_boundary);

/*
 * Append to *ret_commits, newest first, what is reachable from wants but not from haves, following no
 * parents of GRAPH_CUT commits. Parents of those that are excluded have GRAPH_EXCLUDED afterwards.
 * Returns 0 or -ENOMEM.
 */
int graph_select(struct graph *graph, const struct graph_list *wants,
		 const struct graph_list *haves, struct graph_list *ret_commits);
