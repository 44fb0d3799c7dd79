/* Values that formats store eight (or four) at a time: as an index of a table of grid points, and signs apart. Eight bytes are
 * worked on in one 64-bit word; its lowest byte is the first value. */

/* Grid points in grids.c: 8 values of 2 bits each, or 4 of 3 bits in nibbles, the first in the lowest bits. */
extern const uint16_t k_iq2_xxs_grid[256], k_iq2_xs_grid[512], k_iq2_s_grid[1024], k_iq1_grid[2048];
extern const uint16_t k_iq3_xxs_grid[256], k_iq3_s_grid[512];

static const uint64_t k_ones_8 = 0x0101010101010101;

static inline void k_put_8(int8_t *w, uint64_t values) { memcpy(w, &values, sizeof values); }

/* Eight values above 0, of which those whose bit is set in `signs` become negative. */
static inline uint64_t k_negated_8(uint64_t values, uint8_t signs) {
    const uint64_t bits = signs * k_ones_8 & 0x8040201008040201;           /* in each byte its own bit */
    const uint64_t ones = (bits + 0x7f * k_ones_8) >> 7 & k_ones_8;         /* 1 where that is set */
    return (values ^ ones * 0xff) + ones;
}

/* Seven signs, and an eighth that makes their count even. */
static inline uint8_t k_eighth_sign(uint32_t seven) {
    return (uint8_t)((seven & 127) | (uint32_t)__builtin_parity(seven & 127) << 7);
}

/* Eight digits of 2 bits, one a byte; four nibbles, one a byte. */
static inline uint64_t k_spread_8(uint64_t x) {
    x = (x | x << 24) & 0x000000ff000000ff;
    x = (x | x << 12) & 0x000f000f000f000f;
    return (x | x << 6) & 0x0303030303030303;
}

static inline uint32_t k_spread_4(uint32_t x) {
    x = (x | x << 8) & 0x00ff00ff;
    return (x | x << 4) & 0x0f0f0f0f;
}

/* IQ2: digits 0, 1, 2 are the values 8, 25, 43. */
static inline uint64_t k_iq2_values(uint16_t point) {
    const uint64_t digits = k_spread_8(point);
    return digits * 17 + 8 * k_ones_8 + (digits >> 1 & k_ones_8);
}

/* Scales of 16 groups: nibbles. */
static inline void k_iq2_scales(float d, const uint8_t scales[8], float *scale) {
    for (int g = 0; g < 16; g++) scale[g] = d * (0.5f + (float)(scales[g / 2] >> g % 2 * 4 & 15)) * 0.25f;
}

/* IQ1: digits 0, 1, 2 are -8, 0, 8, plus 1 or, if `minus`, less 1: eighths. Above 128 first, for there is no sign in a sum. */
static inline uint64_t k_iq1_values(int index, int minus) {
    const uint64_t above = k_spread_8(k_iq1_grid[index]) * 8 + (uint64_t)(128 - 8 + (minus ? -1 : 1)) * k_ones_8;
    return above ^ 128 * k_ones_8;
}
