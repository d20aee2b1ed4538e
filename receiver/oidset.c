/* Open addressing with linear probing, at most two thirds full. */
#include "receiver/oidset.h"

#include "base/macro.h"

void oidset_done(struct oidset *set)
{
	free(set->slots);
	*set = (struct oidset){ 0 };
}

static size_t slot_of(const struct oidset *set, const git_oid *oid)
{
	size_t i = (size_t)oidhash(&set->key, oid) & (set->allocated - 1);

	while (set->slots[i].used && !git_oid_equal(&set->slots[i].oid, oid))
		i = (i + 1) & (set->allocated - 1);
	return i;
}

static int grow(struct oidset *set)
{
	struct oidset bigger = { .allocated = set->allocated ? set->allocated * 2 : 64,
				 .count = set->count,
				 .key = oidhash_key() };

	bigger.slots = calloc(bigger.allocated, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < set->allocated; i++)
		if (set->slots[i].used)
			bigger.slots[slot_of(&bigger, &set->slots[i].oid)] =
				set->slots[i];
	free(set->slots);
	*set = bigger;
	return 0;
}

uint8_t *oidset_put(struct oidset *set, const git_oid *oid, bool *ret_new)
{
	struct oidset_slot *slot;
	bool is_new;

	if (set->count * 3 >= set->allocated * 2 && grow(set) < 0)
		return NULL;

	slot = &set->slots[slot_of(set, oid)];
	is_new = !slot->used;
	if (is_new) {
		*slot = (struct oidset_slot){ .oid = *oid, .used = 1 };
		set->count++;
	}
	if (ret_new)
		*ret_new = is_new;
	return &slot->value;
}

const uint8_t *oidset_get(const struct oidset *set, const git_oid *oid)
{
	const struct oidset_slot *slot;

	if (set->count == 0)
		return NULL;
	slot = &set->slots[slot_of(set, oid)];
	return slot->used ? &slot->value : NULL;
}

const struct oidset_slot *oidset_next(const struct oidset *set, size_t *at)
{
	while (*at < set->allocated) {
		const struct oidset_slot *slot = &set->slots[(*at)++];

		if (slot->used)
			return slot;
	}
	return NULL;
}
