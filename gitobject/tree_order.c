#include "gitobject/tree_order.h"

#include <string.h>

static int compare_names(const struct tree_entry *a, const struct tree_entry *b)
{
	size_t n = a->name_size < b->name_size ? a->name_size : b->name_size;
	int r = memcmp(a->name, b->name, n);
	unsigned char c1, c2;

	if (r != 0)
		return r;
	c1 = (unsigned char)a->name[n];
	c2 = (unsigned char)b->name[n];
	if (c1 == '\0' && tree_mode_is_directory(a->mode))
		c1 = '/';
	if (c2 == '\0' && tree_mode_is_directory(b->mode))
		c2 = '/';
	return c1 < c2 ? -1 : c1 > c2;
}

static bool is_prefix(const struct tree_entry *shorter, const struct tree_entry *longer)
{
	return shorter->name_size <= longer->name_size &&
	       memcmp(shorter->name, longer->name, shorter->name_size) == 0;
}

static bool push_file(struct tree_order *order, const struct tree_entry *entry)
{
	if (order->count == order->allocated) {
		size_t n = order->allocated ? order->allocated * 2 : 16;
		struct tree_entry *files = reallocarray(order->files, n, sizeof(*files));

		if (!files)
			return false;
		order->files = files;
		order->allocated = n;
	}
	order->files[order->count++] = *entry;
	return true;
}

int tree_order_add(struct tree_order *order, const struct tree_entry *entry)
{
	int found = 0;

	if (order->begun) {
		if (order->last.name_size == entry->name_size &&
		    is_prefix(&order->last, entry))
			found |= TREE_ORDER_DUPLICATE;
		else if (compare_names(&order->last, entry) > 0)
			found |= TREE_ORDER_UNSORTED;
	}
	while (order->count > 0 && !is_prefix(&order->files[order->count - 1], entry))
		order->count--;
	/* the longest prefix of this name lies on top: no other can be as long */
	if (tree_mode_is_directory(entry->mode)) {
		if (order->count > 0 &&
		    order->files[order->count - 1].name_size == entry->name_size)
			found |= TREE_ORDER_DUPLICATE;
	} else if (!push_file(order, entry)) {
		return -ENOMEM;
	}
	order->last = *entry;
	order->begun = true;
	return found;
}

void tree_order_done(struct tree_order *order)
{
	free(order->files);
	*order = (struct tree_order){ 0 };
}
