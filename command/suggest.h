#pragma once

/* "Did you mean": the nearest of some known words. */

#include <stddef.h>

/*
 * The distance of two words: how many letters to insert, remove, replace or swap with their neighbour.
 * Words of more than 64 bytes are further from everything than anything else is (SIZE_MAX).
 */
size_t suggest_distance(const char *a, const char *b);

struct suggest {
	const char *word; /* what was typed */
	const char *best; /* NULL: nothing is near */
	size_t distance;
};

/* Offer a candidate (kept by reference); only a third of the letters, and at most 2, may be wrong. */
void suggest_offer(struct suggest *s, const char *candidate);
