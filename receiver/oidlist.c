#include "receiver/oidlist.h"

void oid_list_done(struct oid_list *list)
{
	free(list->oids);
	*list = (struct oid_list){ 0 };
}

int oid_list_add(struct oid_list *list, const git_oid *oid)
{
	if (list->count == list->allocated) {
		size_t want = list->allocated ? list->allocated * 2 : 64;
		git_oid *grown = reallocarray(list->oids, want, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		list->oids = grown;
		list->allocated = want;
	}
	list->oids[list->count++] = *oid;
	return 0;
}
