#include "receiver/sha1.h"

#include <string.h>

void sha1_init(struct sha1 *sha1)
{
	*sha1 = (struct sha1){ .state = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476,
					  0xc3d2e1f0 } };
}

static inline uint32_t rotate(uint32_t x, int n)
{
	return x << n | x >> (32 - n);
}

static inline uint32_t big_endian(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The next word of the message schedule, in place: sixteen words are all that is ever needed. */
static inline uint32_t schedule(uint32_t w[16], int t)
{
	if (t >= 16)
		w[t & 15] = rotate(w[(t + 13) & 15] ^ w[(t + 8) & 15] ^ w[(t + 2) & 15] ^
					   w[t & 15],
				   1);
	return w[t & 15];
}

#define ROUND(a, b, c, d, e, f, k, t)                             \
	do {                                                      \
		e += rotate(a, 5) + (f) + (k) + schedule(w, (t)); \
		b = rotate(b, 30);                                \
	} while (0)

#define FIVE_ROUNDS(f, k, t)                                  \
	do {                                                  \
		ROUND(a, b, c, d, e, f(b, c, d), k, (t));     \
		ROUND(e, a, b, c, d, f(a, b, c), k, (t) + 1); \
		ROUND(d, e, a, b, c, f(e, a, b), k, (t) + 2); \
		ROUND(c, d, e, a, b, f(d, e, a), k, (t) + 3); \
		ROUND(b, c, d, e, a, f(c, d, e), k, (t) + 4); \
	} while (0)

#define CHOOSE(x, y, z) (((x) & ((y) ^ (z))) ^ (z))
#define PARITY(x, y, z) ((x) ^ (y) ^ (z))
#define MAJORITY(x, y, z) (((x) & (y)) | (((x) | (y)) & (z)))

static void add_block(uint32_t state[5], const uint8_t *block)
{
	uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
	uint32_t w[16];

	for (int t = 0; t < 16; t++)
		w[t] = big_endian(block + (size_t)t * 4);

	for (int t = 0; t < 20; t += 5)
		FIVE_ROUNDS(CHOOSE, 0x5a827999, t);
	for (int t = 20; t < 40; t += 5)
		FIVE_ROUNDS(PARITY, 0x6ed9eba1, t);
	for (int t = 40; t < 60; t += 5)
		FIVE_ROUNDS(MAJORITY, 0x8f1bbcdc, t);
	for (int t = 60; t < 80; t += 5)
		FIVE_ROUNDS(PARITY, 0xca62c1d6, t);

	state[0] += a;
	state[1] += b;
	state[2] += c;
	state[3] += d;
	state[4] += e;
}

void sha1_add(struct sha1 *sha1, const void *data, size_t size)
{
	const uint8_t *p = data;
	size_t have = (size_t)(sha1->size & 63);

	if (size == 0)
		return;
	sha1->size += size;
	if (have > 0) {
		size_t n = size < 64 - have ? size : 64 - have;

		memcpy(sha1->block + have, p, n);
		p += n;
		size -= n;
		if (have + n < 64)
			return;
		add_block(sha1->state, sha1->block);
	}
	for (; size >= 64; p += 64, size -= 64)
		add_block(sha1->state, p);
	memcpy(sha1->block, p, size);
}

void sha1_end(struct sha1 *sha1, uint8_t ret_digest[SHA1_SIZE])
{
	static const uint8_t padding[64] = { 0x80 };
	uint64_t bits = sha1->size * 8;
	uint8_t length[8];

	for (int i = 0; i < 8; i++)
		length[i] = (uint8_t)(bits >> (56 - 8 * i));
	sha1_add(sha1, padding, 1 + (119 - (size_t)(sha1->size & 63)) % 64);
	sha1_add(sha1, length, sizeof(length));
	for (int i = 0; i < SHA1_SIZE; i++)
		ret_digest[i] = (uint8_t)(sha1->state[i / 4] >> (24 - 8 * (i % 4)));
}
