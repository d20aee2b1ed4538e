/*
 * Commits are read straight from the object database, a few dozen bytes are kept of each, and every walk
 * is a loop over numbers: history as long as memory allows, without recursion.
 */
#include "receiver/graph.h"

#include <git2/errors.h>

#include "base/macro.h"
#include "gitobject/tree.h"

/* How many commits are looked at between two ticks. */
#define TICK_EVERY 256

/*
 * How many excluded commits are looked at after the last wanted one has been: clocks are wrong at times,
 * and what is not seen to be excluded is sent once more (git calls it slop).
 */
#define SELECT_SLOP 64

void graph_done(struct graph *graph)
{
	free(graph->commits);
	free(graph->parents);
	oidindex_done(&graph->index);
	*graph = (struct graph){ 0 };
}

void graph_reset(struct graph *graph)
{
	for (uint32_t i = 0; i < graph->count; i++) {
		graph->commits[i].flags &= GRAPH_LOADED | GRAPH_MISSING | GRAPH_ROOT;
		graph->commits[i].depth = 0;
	}
}

/* Make room for one more item; returns false when there is no memory. */
static bool reserve(void **items, uint32_t count, uint32_t *allocated, size_t stride)
{
	uint32_t want = *allocated ? *allocated * 2 : 256;
	void *grown;

	if (count < *allocated)
		return true;
	if (want <= *allocated)
		return false;
	grown = reallocarray(*items, want, stride);
	if (!grown)
		return false;
	*items = grown;
	*allocated = want;
	return true;
}

int graph_number(struct graph *graph, const git_oid *oid, uint32_t *ret_number)
{
	uint32_t number = oidindex_find(&graph->index, graph->commits,
					sizeof(*graph->commits), oid);

	if (number == OIDINDEX_NONE) {
		number = graph->count;
		if (!reserve((void **)&graph->commits, number, &graph->allocated,
			     sizeof(*graph->commits)))
			return -ENOMEM;
		graph->commits[number] = (struct graph_commit){ .oid = *oid };
		if (oidindex_add(&graph->index, graph->commits, sizeof(*graph->commits),
				 number) < 0)
			return -ENOMEM;
		graph->count++;
	}
	*ret_number = number;
	return 0;
}

/* Read the parents; numbering them may move graph->commits. */
static int load_parents(struct graph *graph, uint32_t number,
			struct commit_reader *reader)
{
	uint32_t first = graph->parent_count;
	git_oid oid;
	int r;

	while ((r = commit_next_parent(reader, &oid)) > 0) {
		uint32_t parent;

		if (graph_number(graph, &oid, &parent) < 0 ||
		    !reserve((void **)&graph->parents, graph->parent_count,
			     &graph->parents_allocated, sizeof(*graph->parents)))
			return -ENOMEM;
		graph->parents[graph->parent_count++] = parent;
	}
	graph->commits[number].first_parent = first;
	graph->commits[number].parent_count = graph->parent_count - first;
	return r;
}

static int load_object(struct graph *graph, uint32_t number, git_odb_object *object)
{
	struct commit_reader reader;
	git_oid tree;
	int r;

	if (git_odb_object_type(object) != GIT_OBJECT_COMMIT ||
	    commit_begin(&reader, git_odb_object_data(object),
			 git_odb_object_size(object), &tree) < 0) {
		graph->commits[number].flags |= GRAPH_MISSING;
		return 0;
	}
	graph->commits[number].tree = tree;
	if (!(graph->commits[number].flags & GRAPH_ROOT)) {
		r = load_parents(graph, number, &reader);
		if (r == -ENOMEM)
			return r;
	}
	graph->commits[number].time = commit_time(&reader);
	return 0;
}

int graph_load(struct graph *graph, uint32_t number)
{
	git_odb_object *object = NULL;
	int r;

	if (graph->commits[number].flags & GRAPH_LOADED)
		return 0;
	graph->commits[number].flags |= GRAPH_LOADED;
	if (graph->tick && number % TICK_EVERY == 0)
		graph->tick(graph->tick_userdata);

	if (git_odb_read(&object, graph->odb, &graph->commits[number].oid) < 0) {
		graph->commits[number].flags |= GRAPH_MISSING;
		return 0;
	}
	r = load_object(graph, number, object);
	git_odb_object_free(object);
	return r;
}

int graph_add(struct graph *graph, const git_oid *oid, uint32_t *ret_number)
{
	uint32_t number;

	if (graph_number(graph, oid, &number) < 0 || graph_load(graph, number) < 0)
		return -ENOMEM;
	*ret_number = number;
	return 0;
}

void graph_list_done(struct graph_list *list)
{
	free(list->numbers);
	*list = (struct graph_list){ 0 };
}

int graph_list_add(struct graph_list *list, uint32_t number)
{
	if (list->count == list->allocated) {
		size_t want = list->allocated ? list->allocated * 2 : 64;
		uint32_t *grown = reallocarray(list->numbers, want, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		list->numbers = grown;
		list->allocated = want;
	}
	list->numbers[list->count++] = number;
	return 0;
}

static bool newer(const struct graph *graph, uint32_t a, uint32_t b)
{
	return graph->commits[a].time > graph->commits[b].time;
}

int graph_heap_put(const struct graph *graph, struct graph_list *heap, uint32_t number)
{
	size_t i = heap->count;

	if (graph_list_add(heap, number) < 0)
		return -ENOMEM;
	for (; i > 0 && newer(graph, number, heap->numbers[(i - 1) / 2]); i = (i - 1) / 2)
		heap->numbers[i] = heap->numbers[(i - 1) / 2];
	heap->numbers[i] = number;
	return 0;
}

uint32_t graph_heap_take(const struct graph *graph, struct graph_list *heap)
{
	uint32_t top = heap->numbers[0], last = heap->numbers[--heap->count];
	size_t i = 0;

	for (;;) {
		size_t child = i * 2 + 1;

		if (child >= heap->count)
			break;
		if (child + 1 < heap->count &&
		    newer(graph, heap->numbers[child + 1], heap->numbers[child]))
			child++;
		if (!newer(graph, heap->numbers[child], last))
			break;
		heap->numbers[i] = heap->numbers[child];
		i = child;
	}
	heap->numbers[i] = last;
	return top;
}

/* Forget the walk before. */
static void clear_seen(struct graph *graph)
{
	for (uint32_t i = 0; i < graph->count; i++)
		graph->commits[i].flags &= ~(uint32_t)(GRAPH_SEEN | GRAPH_REACHES);
}

/* Load, and append unless this walk has seen it already. */
static int walk_to(struct graph *graph, struct graph_list *list, uint32_t number)
{
	if (graph->commits[number].flags & GRAPH_SEEN)
		return 0;
	graph->commits[number].flags |= GRAPH_SEEN;
	if (graph_load(graph, number) < 0)
		return -ENOMEM;
	return graph_list_add(list, number);
}

/* Pass GRAPH_REACHES on from parents to a commit all of whose parents have been looked at. */
static void gather_reaches(struct graph *graph, uint32_t number)
{
	for (uint32_t i = 0; i < graph->commits[number].parent_count; i++)
		if (graph->commits[graph_parent(graph, number, i)].flags & GRAPH_REACHES)
			graph->commits[number].flags |= GRAPH_REACHES;
}

/*
 * Look at the commit on top of the stack: push its parents, or, the second time, when they have all been
 * looked at, take it off. It is marked when its parents go on the stack, not when it is put there itself:
 * a commit may lie on the stack more than once, and whoever is above the lower one needs its answer.
 */
static int reach_step(struct graph *graph, struct graph_list *stack,
		      struct graph_list *open, int64_t oldest)
{
	uint32_t number = stack->numbers[stack->count - 1];

	if (open->count > 0 && open->numbers[open->count - 1] == number) {
		gather_reaches(graph, number);
		open->count--;
		stack->count--;
		return 0;
	}
	if (graph->commits[number].flags & GRAPH_SEEN) {
		stack->count--;
		return 0;
	}
	graph->commits[number].flags |= GRAPH_SEEN;
	if (graph_load(graph, number) < 0)
		return -ENOMEM;
	if (graph->commits[number].flags & GRAPH_HAVE)
		graph->commits[number].flags |= GRAPH_REACHES;
	if ((graph->commits[number].flags & GRAPH_HAVE) ||
	    graph->commits[number].time < oldest) {
		stack->count--;
		return 0;
	}
	if (graph_list_add(open, number) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < graph->commits[number].parent_count; i++) {
		uint32_t parent = graph_parent(graph, number, i);

		if (!(graph->commits[parent].flags & GRAPH_SEEN) &&
		    graph_list_add(stack, parent) < 0)
			return -ENOMEM;
	}
	return 0;
}

int graph_all_reach_have(struct graph *graph, const struct graph_list *tips,
			 int64_t oldest)
{
	_cleanup_graph_list_ struct graph_list stack = { 0 }, open = { 0 };

	/* one walk for all tips: there may be as many of them as commits */
	clear_seen(graph);
	for (size_t i = 0; i < tips->count; i++) {
		if (graph_list_add(&stack, tips->numbers[i]) < 0)
			return -ENOMEM;
		while (stack.count > 0)
			if (reach_step(graph, &stack, &open, oldest) < 0)
				return -ENOMEM;
		if (!(graph->commits[tips->numbers[i]].flags & GRAPH_REACHES))
			return 0;
	}
	return 1;
}

int graph_cut_at_depth(struct graph *graph, const struct graph_list *tips, uint32_t depth,
		       struct graph_list *ret_boundary)
{
	_cleanup_graph_list_ struct graph_list queue = { 0 };

	/* breadth first, so that the first way to a commit is the shortest */
	clear_seen(graph);
	for (size_t i = 0; i < tips->count; i++) {
		if (walk_to(graph, &queue, tips->numbers[i]) < 0)
			return -ENOMEM;
		graph->commits[tips->numbers[i]].depth = 1;
	}
	for (size_t at = 0; at < queue.count; at++) {
		uint32_t number = queue.numbers[at];
		uint32_t here = graph->commits[number].depth;

		if ((depth != GRAPH_DEPTH_INFINITE && here >= depth) ||
		    (graph->commits[number].flags & GRAPH_ROOT)) {
			graph->commits[number].flags |= GRAPH_SHALLOW;
			if (graph_list_add(ret_boundary, number) < 0)
				return -ENOMEM;
			continue;
		}
		graph->commits[number].flags |= GRAPH_NOT_SHALLOW;
		for (uint32_t i = 0; i < graph->commits[number].parent_count; i++) {
			uint32_t parent = graph_parent(graph, number, i);
			bool first = !(graph->commits[parent].flags & GRAPH_SEEN);

			if (walk_to(graph, &queue, parent) < 0)
				return -ENOMEM;
			if (first)
				graph->commits[parent].depth = here + 1;
		}
	}
	return 0;
}

/* Put GRAPH_SEEN on all that the list reaches, so that the next walk does not go there. */
static int hide(struct graph *graph, const struct graph_list *hidden)
{
	_cleanup_graph_list_ struct graph_list stack = { 0 };

	for (size_t i = 0; i < hidden->count; i++)
		if (walk_to(graph, &stack, hidden->numbers[i]) < 0)
			return -ENOMEM;
	while (stack.count > 0) {
		uint32_t number = stack.numbers[--stack.count];

		for (uint32_t i = 0; i < graph->commits[number].parent_count; i++)
			if (walk_to(graph, &stack, graph_parent(graph, number, i)) < 0)
				return -ENOMEM;
	}
	return 0;
}

/* walk_to() for commits that are new enough; they get GRAPH_NOT_SHALLOW. */
static int take_if_new(struct graph *graph, struct graph_list *list, uint32_t number,
		       int64_t since)
{
	size_t before = list->count;

	if (walk_to(graph, list, number) < 0)
		return -ENOMEM;
	if (list->count == before)
		return 0;
	if (graph->commits[number].time < since)
		list->count--;
	else
		graph->commits[number].flags |= GRAPH_NOT_SHALLOW;
	return 0;
}

static bool has_parent_left_out(const struct graph *graph, uint32_t number)
{
	for (uint32_t i = 0; i < graph->commits[number].parent_count; i++)
		if (!(graph->commits[graph_parent(graph, number, i)].flags &
		      GRAPH_NOT_SHALLOW))
			return true;
	return (graph->commits[number].flags & GRAPH_ROOT) != 0;
}

int64_t graph_cut_by_rule(struct graph *graph, const struct graph_list *tips,
			  int64_t since, const struct graph_list *hidden,
			  struct graph_list *ret_boundary)
{
	_cleanup_graph_list_ struct graph_list selected = { 0 };
	size_t first = ret_boundary->count;

	clear_seen(graph);
	if (hide(graph, hidden) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < tips->count; i++)
		if (take_if_new(graph, &selected, tips->numbers[i], since) < 0)
			return -ENOMEM;
	for (size_t at = 0; at < selected.count; at++) {
		uint32_t number = selected.numbers[at];

		for (uint32_t i = 0; i < graph->commits[number].parent_count; i++)
			if (take_if_new(graph, &selected, graph_parent(graph, number, i),
					since) < 0)
				return -ENOMEM;
	}

	for (size_t i = 0; i < selected.count; i++)
		if (has_parent_left_out(graph, selected.numbers[i]) &&
		    graph_list_add(ret_boundary, selected.numbers[i]) < 0)
			return -ENOMEM;
	/* only now: a commit's children ask for its flag */
	for (size_t i = first; i < ret_boundary->count; i++) {
		uint32_t *flags = &graph->commits[ret_boundary->numbers[i]].flags;

		*flags = (*flags & ~(uint32_t)GRAPH_NOT_SHALLOW) | GRAPH_SHALLOW;
	}
	return (int64_t)selected.count;
}

/* Give it the flag, once, and a turn in the heap. */
static int select_put(struct graph *graph, struct graph_list *heap, uint32_t number,
		      uint32_t flag)
{
	if (graph->commits[number].flags & (flag | GRAPH_EXCLUDED))
		return 0;
	graph->commits[number].flags |= flag;
	if (graph_load(graph, number) < 0)
		return -ENOMEM;
	return graph_heap_put(graph, heap, number);
}

static int select_parents(struct graph *graph, struct graph_list *heap, uint32_t number,
			  uint32_t flag)
{
	if (graph->commits[number].flags & GRAPH_CUT)
		return 0;
	for (uint32_t i = 0; i < graph->commits[number].parent_count; i++)
		if (select_put(graph, heap, graph_parent(graph, number, i), flag) < 0)
			return -ENOMEM;
	return 0;
}

/* Is the turn of the excluded ones, so that they are ahead of what they exclude? */
static bool excluded_first(const struct graph *graph, const struct graph_list *wanted,
			   const struct graph_list *excluded)
{
	return excluded->count > 0 &&
	       (wanted->count == 0 ||
		!newer(graph, wanted->numbers[0], excluded->numbers[0]));
}

static int select_walk(struct graph *graph, struct graph_list *wanted,
		       struct graph_list *excluded, struct graph_list *ret_commits)
{
	int slop = SELECT_SLOP;

	while (wanted->count > 0 || (excluded->count > 0 && slop > 0)) {
		uint32_t number;
		int r;

		slop = wanted->count > 0 ? SELECT_SLOP : slop - 1;
		if (excluded_first(graph, wanted, excluded)) {
			number = graph_heap_take(graph, excluded);
			r = select_parents(graph, excluded, number, GRAPH_EXCLUDED);
		} else {
			number = graph_heap_take(graph, wanted);
			if (graph->commits[number].flags & GRAPH_EXCLUDED)
				continue;
			r = graph_list_add(ret_commits, number);
			if (r >= 0)
				r = select_parents(graph, wanted, number, GRAPH_WANTED);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

int graph_select(struct graph *graph, const struct graph_list *wants,
		 const struct graph_list *haves, struct graph_list *ret_commits)
{
	_cleanup_graph_list_ struct graph_list wanted = { 0 }, excluded = { 0 };
	size_t kept = 0;

	for (size_t i = 0; i < haves->count; i++)
		if (select_put(graph, &excluded, haves->numbers[i], GRAPH_EXCLUDED) < 0)
			return -ENOMEM;
	for (size_t i = 0; i < wants->count; i++)
		if (select_put(graph, &wanted, wants->numbers[i], GRAPH_WANTED) < 0)
			return -ENOMEM;
	if (select_walk(graph, &wanted, &excluded, ret_commits) < 0)
		return -ENOMEM;

	/* some were found to be excluded after they had been taken */
	for (size_t i = 0; i < ret_commits->count; i++) {
		uint32_t number = ret_commits->numbers[i];

		if (!(graph->commits[number].flags & GRAPH_EXCLUDED))
			ret_commits->numbers[kept++] = number;
	}
	ret_commits->count = kept;
	return 0;
}
