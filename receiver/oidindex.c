/* Open addressing with linear probing, at most two thirds full, four bytes for each slot. */
#include "receiver/oidindex.h"

#include <stdbool.h>
#include <string.h>

#include "base/macro.h"

void oidindex_done(struct oidindex *index)
{
	free(index->slots);
	*index = (struct oidindex){ 0 };
}

static const git_oid *oid_at(const void *items, size_t stride, uint32_t position)
{
	return (const git_oid *)((const char *)items + stride * position);
}

static size_t slot_of(const struct oidindex *index, const void *items, size_t stride,
		      const git_oid *oid)
{
	size_t i = (size_t)oidhash(&index->key, oid) & (index->allocated - 1);

	while (index->slots[i] &&
	       memcmp(oid_at(items, stride, index->slots[i] - 1), oid, sizeof(*oid)) != 0)
		i = (i + 1) & (index->allocated - 1);
	return i;
}

uint32_t oidindex_find(const struct oidindex *index, const void *items, size_t stride,
		       const git_oid *oid)
{
	if (index->count == 0)
		return OIDINDEX_NONE;
	/* a free slot holds 0, which becomes OIDINDEX_NONE */
	return index->slots[slot_of(index, items, stride, oid)] - 1;
}

static int grow(struct oidindex *index, const void *items, size_t stride)
{
	struct oidindex bigger = { .allocated =
					   index->allocated ? index->allocated * 2 : 64,
				   .count = index->count,
				   .key = oidhash_key() };

	bigger.slots = calloc(bigger.allocated, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < index->allocated; i++) {
		uint32_t slot = index->slots[i];

		if (slot)
			bigger.slots[slot_of(&bigger, items, stride,
					     oid_at(items, stride, slot - 1))] = slot;
	}
	free(index->slots);
	*index = bigger;
	return 0;
}

int oidindex_add(struct oidindex *index, const void *items, size_t stride,
		 uint32_t position)
{
	if (position == OIDINDEX_NONE)
		return -ENOMEM;
	if (index->count * 3 >= index->allocated * 2 && grow(index, items, stride) < 0)
		return -ENOMEM;
	index->slots[slot_of(index, items, stride, oid_at(items, stride, position))] =
		position + 1;
	index->count++;
	return 0;
}
