/*
 * SipHash (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012) with one round for each word and
 * three at the end, as the tables of Python and Rust have it. Multiplying by random numbers would be
 * quicker, but with names that can be chosen freely, differences in high bits only meet in few slots
 * whatever the numbers are.
 */
#include "receiver/oidhash.h"

#include <string.h>
#include <sys/auxv.h>

#include "base/macro.h"

struct state {
	uint64_t v0, v1, v2, v3;
};

struct oidhash_key oidhash_key(void)
{
	const void *random = (const void *)getauxval(AT_RANDOM);
	struct oidhash_key key = { .a = 0x9e3779b97f4a7c15, .b = 0xd1b54a32d192ed03 };

	/* getauxval(3): sixteen bytes; Linux has always given them */
	if (random)
		memcpy(&key, random, sizeof(key));
	return key;
}

static uint64_t turn(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static void round_once(struct state *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = turn(s->v1, 13) ^ s->v0;
	s->v3 = turn(s->v3, 16) ^ s->v2;
	s->v0 = turn(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = turn(s->v1, 17) ^ s->v2;
	s->v3 = turn(s->v3, 21) ^ s->v0;
	s->v2 = turn(s->v2, 32);
}

static void add(struct state *s, uint64_t word)
{
	s->v3 ^= word;
	round_once(s);
	s->v0 ^= word;
}

uint64_t oidhash(const struct oidhash_key *key, const git_oid *oid)
{
	struct state s = { .v0 = key->a ^ 0x736f6d6570736575,
			   .v1 = key->b ^ 0x646f72616e646f6d,
			   .v2 = key->a ^ 0x6c7967656e657261,
			   .v3 = key->b ^ 0x7465646279746573 };
	uint64_t word;
	uint32_t rest;

	for (size_t i = 0; i < 16; i += sizeof(word)) {
		memcpy(&word, oid->id + i, sizeof(word));
		add(&s, word);
	}
	memcpy(&rest, oid->id + 16, sizeof(rest));
	add(&s, (uint64_t)GIT_OID_RAWSZ << 56 | rest);
	s.v2 ^= 0xff;
	for (int i = 0; i < 3; i++)
		round_once(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
