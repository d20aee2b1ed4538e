/*
 * The second pass: from each object that is whole, depth first through the deltas that stand on it. Data of an
 * object is let go as soon as the last delta on it has been taken up, so a long chain costs two
 * objects of memory, not all of them.
 */
#include "receiver/pack_internal.h"

#include <sys/mman.h>

/* git never makes deeper ones (pack.depth is at most 4095). */
#define DEPTH_MAX 4096
#define TICK_EVERY 1024
#define TICK_EVERY_BYTES ((uint64_t)64 << 20)

/* One object on the way down, and which of the deltas on it are still to do. */
struct frame {
	uint8_t *data;
	size_t size;
	uint32_t entry; /* PACK_NO_INDEX: borrowed */
	uint32_t next_ofs, end_ofs;
	uint32_t next_ref, end_ref;
};

static int by_base_offset(const void *a, const void *b)
{
	const struct ofs_delta *x = a, *y = b;

	if (x->base_offset != y->base_offset)
		return x->base_offset < y->base_offset ? -1 : 1;
	return x->entry < y->entry ? -1 : x->entry > y->entry;
}

static int by_base_oid(const void *a, const void *b)
{
	const struct ref_delta *x = a, *y = b;
	int r = git_oid_cmp(&x->base, &y->base);

	return r != 0 ? r : x->entry < y->entry ? -1 : x->entry > y->entry;
}

static void find_children(const struct pack *pack, const git_oid *oid, uint64_t offset,
			  struct frame *frame)
{
	uint32_t low = 0, high = pack->ofs_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (pack->ofs[middle].base_offset < offset)
			low = middle + 1;
		else
			high = middle;
	}
	frame->next_ofs = frame->end_ofs = low;
	while (frame->end_ofs < pack->ofs_count &&
	       pack->ofs[frame->end_ofs].base_offset == offset)
		frame->end_ofs++;

	low = 0;
	high = pack->ref_count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (git_oid_cmp(&pack->refs[middle].base, oid) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	frame->next_ref = frame->end_ref = low;
	while (frame->end_ref < pack->ref_count &&
	       git_oid_equal(&pack->refs[frame->end_ref].base, oid))
		frame->end_ref++;
}

/* The next delta on this object that has not been resolved through a twin of it; or PACK_NO_INDEX. */
static uint32_t next_child(const struct pack *pack, struct frame *frame)
{
	while (frame->next_ofs < frame->end_ofs) {
		uint32_t entry = pack->ofs[frame->next_ofs++].entry;

		if (pack->entries[entry].type == 0)
			return entry;
	}
	while (frame->next_ref < frame->end_ref) {
		uint32_t entry = pack->refs[frame->next_ref++].entry;

		if (pack->entries[entry].type == 0)
			return entry;
	}
	return PACK_NO_INDEX;
}

static bool read_varint(const uint8_t **p, const uint8_t *end, uint64_t *ret)
{
	uint64_t value = 0;
	unsigned shift = 0;
	uint8_t c;

	do {
		if (*p == end || shift > 57)
			return false;
		c = *(*p)++;
		value |= (uint64_t)(c & 0x7f) << shift;
		shift += 7;
	} while (c & 0x80);
	*ret = value;
	return true;
}

/* Offset and size of a copy instruction: a byte for each bit that is set. */
static bool read_copy(const uint8_t **p, const uint8_t *end, uint8_t op, size_t *ret_from,
		      size_t *ret_size)
{
	size_t from = 0, size = 0;

	for (unsigned i = 0; i < 7; i++) {
		if (!(op & (1u << i)))
			continue;
		if (*p == end)
			return false;
		if (i < 4)
			from |= (size_t) * (*p)++ << (8 * i);
		else
			size |= (size_t) * (*p)++ << (8 * (i - 4));
	}
	*ret_from = from;
	*ret_size = size ? size : 0x10000;
	return true;
}

/* Do what the delta says. Every byte of the result must be made, and every byte of the delta used. */
static bool apply(const uint8_t *p, const uint8_t *end, const uint8_t *base,
		  size_t base_size, uint8_t *out, size_t out_size)
{
	while (p < end) {
		uint8_t op = *p++;
		size_t from = 0, size = op;

		if (op == 0)
			return false;
		if (op & 0x80) {
			if (!read_copy(&p, end, op, &from, &size) || from > base_size ||
			    size > base_size - from || size > out_size)
				return false;
			memcpy(out, base + from, size);
		} else {
			if (size > (size_t)(end - p) || size > out_size)
				return false;
			memcpy(out, p, size);
			p += size;
		}
		out += size;
		out_size -= size;
	}
	return out_size == 0;
}

bool pack_delta_size(const uint8_t *delta, size_t delta_size, uint64_t *ret_size)
{
	const uint8_t *p = delta, *end = delta + delta_size;
	uint64_t base_size;

	return read_varint(&p, end, &base_size) && read_varint(&p, end, ret_size);
}

/* How large the result is was counted when the delta came in. */
static int apply_delta(const uint8_t *delta, size_t delta_size, const struct frame *base,
		       struct frame *ret, struct error *err)
{
	const uint8_t *p = delta, *end = delta + delta_size;
	uint64_t base_size = 0, size = 0;
	uint8_t *data;

	if (!read_varint(&p, end, &base_size) || !read_varint(&p, end, &size) ||
	    base_size != base->size)
		return pack_bad(err, "failed to apply delta");
	data = malloc(size + 1);
	if (!data)
		return -ENOMEM;
	if (!apply(p, end, base->data, base->size, data, size)) {
		free(data);
		return pack_bad(err, "failed to apply delta");
	}
	data[size] = '\0';
	*ret = (struct frame){ .data = data, .size = size };
	return 0;
}

/* Many small objects or a few large ones since the last time? */
static int tick(struct pack *pack, struct error *err)
{
	const struct pack_plan *plan = pack->plan;
	int r;

	if (!plan->tick ||
	    (pack->resolved % TICK_EVERY != 0 && pack->made_bytes < TICK_EVERY_BYTES))
		return 0;
	pack->made_bytes = 0;
	r = plan->tick(plan->userdata, pack->resolved, pack->ofs_count + pack->ref_count);
	return r < 0 ? error_internal(err, r, "the client is gone") : 0;
}

/* Make the object of delta `index` from its base. */
static int make_child(struct pack *pack, uint32_t index, const struct frame *base,
		      git_object_t type, struct frame *ret, struct error *err)
{
	struct pack_entry *entry = &pack->entries[index];
	uint8_t *delta = entry->data;
	int r = 0;

	if (!delta)
		r = pack_inflate(pack, entry, &delta, err);
	if (r < 0)
		return r;
	if (entry->data)
		pack->kept_bytes -= entry->size;
	entry->data = NULL;
	r = apply_delta(delta, entry->size, base, ret, err);
	free(delta);
	if (r < 0)
		return r;
	ret->entry = index;
	r = pack_object_known(pack, index, type, ret->data, ret->size, err);
	if (r < 0) {
		free(ret->data);
		return r;
	}
	find_children(pack, &entry->oid, entry->offset, ret);
	pack->resolved++;
	pack->made_bytes += ret->size;
	r = tick(pack, err);
	if (r < 0)
		free(ret->data);
	return r;
}

static bool frame_is_over(const struct frame *frame)
{
	return frame->next_ofs == frame->end_ofs && frame->next_ref == frame->end_ref;
}

/* Resolve everything that stands on root, whose data this takes. */
static int resolve_from(struct pack *pack, struct frame *root, git_object_t type,
			struct frame *stack, struct error *err)
{
	size_t depth = 1;
	int r = 0;

	stack[0] = *root;
	while (r == 0 && depth > 0) {
		struct frame *top = &stack[depth - 1], child = { 0 };
		uint32_t index = next_child(pack, top);

		if (index == PACK_NO_INDEX) {
			free(top->data);
			depth--;
			continue;
		}
		if (depth == DEPTH_MAX) {
			r = pack_bad(err, "a chain of more than %d deltas", DEPTH_MAX);
			break;
		}
		r = make_child(pack, index, top, type, &child, err);
		if (r < 0)
			break;
		if (frame_is_over(top)) {
			free(top->data);
			top->data = NULL;
		}
		if (frame_is_over(&child))
			free(child.data);
		else
			stack[depth++] = child;
	}
	while (depth > 0)
		free(stack[--depth].data);
	return r;
}

static int resolve_entry(struct pack *pack, uint32_t index, struct frame *stack,
			 struct error *err)
{
	struct pack_entry *entry = &pack->entries[index];
	struct frame root = { .entry = index, .size = entry->size, .data = entry->data };
	int r;

	find_children(pack, &entry->oid, entry->offset, &root);
	if (frame_is_over(&root))
		return 0;
	if (root.data)
		pack->kept_bytes -= entry->size;
	entry->data = NULL;
	if (!root.data) {
		r = pack_inflate(pack, entry, &root.data, err);
		if (r < 0)
			return r;
	}
	return resolve_from(pack, &root, (git_object_t)entry->type, stack, err);
}

/* A thin pack leaves out bases that both sides have: take them from the repository. */
static int borrow(struct pack *pack, const git_oid *oid, struct frame *stack,
		  struct error *err)
{
	struct frame root = { .entry = PACK_NO_INDEX };
	git_odb_object *object = NULL;
	git_object_t type;
	int r = 0;

	/* looks again on disk: a pack may have replaced what was there at the start */
	if (git_odb_read(&object, pack->plan->odb, oid) < 0)
		return 0;
	type = git_odb_object_type(object);
	root.size = git_odb_object_size(object);
	root.data = malloc(root.size + 1);
	if (root.data)
		memcpy(root.data, git_odb_object_data(object), root.size);
	else
		r = -ENOMEM;
	git_odb_object_free(object);
	if (r == 0 && !pack->unpack)
		r = pack_append(pack, oid, type, root.data, root.size, err);
	if (r < 0) {
		free(root.data);
		return r;
	}
	pack->result.borrowed++;
	/* no entry begins at offset 0: the header stands there */
	find_children(pack, oid, 0, &root);
	return resolve_from(pack, &root, type, stack, err);
}

static int borrow_missing(struct pack *pack, struct frame *stack, struct error *err)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < pack->ref_count; i++) {
		if (i > 0 && git_oid_equal(&pack->refs[i].base, &pack->refs[i - 1].base))
			continue;
		if (pack->entries[pack->refs[i].entry].type == 0)
			r = borrow(pack, &pack->refs[i].base, stack, err);
	}
	return r;
}

int pack_resolve(struct pack *pack, struct error *err)
{
	_cleanup_free_ struct frame *stack = calloc(DEPTH_MAX, sizeof(*stack));
	uint32_t deltas = pack->ofs_count + pack->ref_count, entries = pack->count;
	int r = 0;

	pack->result.deltas = deltas;
	if (deltas == 0)
		return 0;
	if (!stack)
		return -ENOMEM;
	if (pack->ofs_count > 0)
		qsort(pack->ofs, pack->ofs_count, sizeof(*pack->ofs), by_base_offset);
	if (pack->ref_count > 0)
		qsort(pack->refs, pack->ref_count, sizeof(*pack->refs), by_base_oid);

	for (uint32_t i = 0; r == 0 && i < entries; i++)
		if (pack->entries[i].stored_type < PACK_OFS_DELTA)
			r = resolve_entry(pack, i, stack, err);
	if (r == 0 && pack->resolved < deltas)
		r = borrow_missing(pack, stack, err);
	if (r == 0 && pack->resolved < deltas)
		return pack_bad(err,
				deltas - pack->resolved == 1
					? "pack has %u unresolved delta"
					: "pack has %u unresolved deltas",
				deltas - pack->resolved);
	return r;
}
