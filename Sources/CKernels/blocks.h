/* The blocks of the quantised formats as they lie in a file, and the floats inside them. */
#ifndef PARLEY_BLOCKS_H
#define PARLEY_BLOCKS_H

#include "CKernels.h"
#include <string.h>

typedef struct { uint16_t d; uint8_t qs[16]; } k_block_q4_0;    /* x = d * (q - 8) */
typedef struct { uint16_t d, m; uint8_t qs[16]; } k_block_q4_1; /* x = d * q + m */
typedef struct { uint16_t d; int8_t qs[32]; } k_block_q8_0;     /* x = d * q */

/* As Q4_0 and Q4_1, with a fifth bit in qh: x = d * (q - 16), x = d * q + m. */
typedef struct { uint16_t d; uint8_t qh[4], qs[16]; } k_block_q5_0;
typedef struct { uint16_t d, m; uint8_t qh[4], qs[16]; } k_block_q5_1;

/* 16 groups of 16: x = d * scale * q - dmin * minimum; scales and minima are the nibbles of `scales`. */
typedef struct { uint8_t scales[16], qs[64]; uint16_t d, dmin; } k_block_q2_k;

/* 16 groups of 16: x = d * (scale - 32) * (q - 4); q has 2 bits in qs and its third in qh; scales are 6 bits. */
typedef struct { uint8_t qh[32], qs[64], scales[12]; uint16_t d; } k_block_q3_k;

/* 8 groups of 32: x = d * scale * q - dmin * minimum; scales and minima are 6 bits in `scales`. */
typedef struct { uint16_t d, dmin; uint8_t scales[12], qs[128]; } k_block_q4_k;
typedef struct { uint16_t d, dmin; uint8_t scales[12], qh[32], qs[128]; } k_block_q5_k; /* a fifth bit of q in qh */

/* 16 groups of 16: x = d * scale * (q - 32); q has 4 bits in ql and 2 in qh. */
typedef struct { uint8_t ql[128], qh[64]; int8_t scales[16]; uint16_t d; } k_block_q6_k;

_Static_assert(sizeof(k_block_q4_0) == 18, "Q4_0 must match the file layout");
_Static_assert(sizeof(k_block_q4_1) == 20, "Q4_1 must match the file layout");
_Static_assert(sizeof(k_block_q5_0) == 22, "Q5_0 must match the file layout");
_Static_assert(sizeof(k_block_q5_1) == 24, "Q5_1 must match the file layout");
_Static_assert(sizeof(k_block_q8_0) == 34, "Q8_0 must match the file layout");
_Static_assert(sizeof(k_block_q2_k) == 84, "Q2_K must match the file layout");
_Static_assert(sizeof(k_block_q3_k) == 110, "Q3_K must match the file layout");
_Static_assert(sizeof(k_block_q4_k) == 144, "Q4_K must match the file layout");
_Static_assert(sizeof(k_block_q5_k) == 176, "Q5_K must match the file layout");
_Static_assert(sizeof(k_block_q6_k) == 210, "Q6_K must match the file layout");

static inline float k_float_of_bits(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t k_bits_of_float(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* IEEE half to float, exact: the exponent is moved by a multiplication, which also normalises denormals. */
static inline float k_half(uint16_t h) {
    float magnitude = k_float_of_bits((uint32_t)(h & 0x7fff) << 13) * 0x1p112f;
    uint32_t special = (h & 0x7c00) == 0x7c00 ? 0x7f800000u : 0; /* infinity, NaN */
    return k_float_of_bits(k_bits_of_float(magnitude) | special | (uint32_t)(h & 0x8000) << 16);
}

static inline float k_bfloat(uint16_t b) { return k_float_of_bits((uint32_t)b << 16); }

/* Scale and minimum of group j (0...7) of a Q4_K or Q5_K block. */
static inline void k_q4_k_scale(const uint8_t s[12], int j, uint8_t *scale, uint8_t *minimum) {
    if (j < 4) {
        *scale = s[j] & 63;
        *minimum = s[j + 4] & 63;
    } else {
        *scale = (uint8_t)((s[j + 4] & 15) | (s[j - 4] >> 6) << 4);
        *minimum = (uint8_t)((s[j + 4] >> 4) | (s[j] >> 6) << 4);
    }
}

/* Weights that share a scale. */
static inline size_t group_of(k_format format) {
    return format == K_Q2_K || format == K_Q3_K || format == K_Q6_K ? 16 : 32;
}

static inline bool has_minimum(k_format format) {
    return format == K_Q4_1 || format == K_Q5_1 || format == K_Q2_K || format == K_Q4_K || format == K_Q5_K;
}

#endif
