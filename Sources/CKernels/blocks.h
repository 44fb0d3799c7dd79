/* The blocks of the quantised formats as they lie in a file, and the floats inside them. */
#ifndef PARLEY_BLOCKS_H
#define PARLEY_BLOCKS_H

#include <stdint.h>
#include <string.h>

typedef struct { uint16_t d; uint8_t qs[16]; } k_block_q4_0;    /* x = d * (q - 8) */
typedef struct { uint16_t d, m; uint8_t qs[16]; } k_block_q4_1; /* x = d * q + m */
typedef struct { uint16_t d; int8_t qs[32]; } k_block_q8_0;     /* x = d * q */

/* 8 groups of 32: x = d * scale * q - dmin * minimum; scales and minima are 6 bits in `scales`. */
typedef struct { uint16_t d, dmin; uint8_t scales[12]; uint8_t qs[128]; } k_block_q4_k;

/* 16 groups of 16: x = d * scale * (q - 32); q has 4 bits in ql and 2 in qh. */
typedef struct { uint8_t ql[128], qh[64]; int8_t scales[16]; uint16_t d; } k_block_q6_k;

_Static_assert(sizeof(k_block_q4_0) == 18, "Q4_0 must match the file layout");
_Static_assert(sizeof(k_block_q4_1) == 20, "Q4_1 must match the file layout");
_Static_assert(sizeof(k_block_q8_0) == 34, "Q8_0 must match the file layout");
_Static_assert(sizeof(k_block_q4_k) == 144, "Q4_K must match the file layout");
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

/* Scale and minimum of group j (0...7) of a Q4_K block. */
static inline void k_q4_k_scale(const k_block_q4_k *b, int j, uint8_t *scale, uint8_t *minimum) {
    const uint8_t *s = b->scales;
    if (j < 4) {
        *scale = s[j] & 63;
        *minimum = s[j + 4] & 63;
    } else {
        *scale = (uint8_t)((s[j + 4] & 15) | (s[j - 4] >> 6) << 4);
        *minimum = (uint8_t)((s[j + 4] >> 4) | (s[j] >> 6) << 4);
    }
}

#endif
