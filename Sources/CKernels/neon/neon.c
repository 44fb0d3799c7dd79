/* aarch64 with dot products of signed bytes; 16-bit products are widened, and their pairs added once a group. */
#pragma STDC FP_CONTRACT OFF

#if defined(__aarch64__)

#include <arm_neon.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "../table.h"

#define K_LANES 4

#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#include "../lanes/lanes.h"

/* out[c], lane r = dword c of the 16 bytes at row[r] + offset. */
K_INLINE void load_lanes(words out[4], const uint8_t *const row[K_LANES], size_t offset) {
    words v[4];
#pragma clang loop unroll(full)
    for (int r = 0; r < 4; r++) v[r] = load_words(row[r] + offset);
    words low01 = __builtin_shufflevector(v[0], v[1], 0, 4, 1, 5), high01 = __builtin_shufflevector(v[0], v[1], 2, 6, 3, 7);
    words low23 = __builtin_shufflevector(v[2], v[3], 0, 4, 1, 5), high23 = __builtin_shufflevector(v[2], v[3], 2, 6, 3, 7);
    out[0] = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
    out[1] = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
    out[2] = __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
    out[3] = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
}

K_INLINE floats load_some(const float *from, size_t count) {
    floats v = 0;
    memcpy(&v, from, count * sizeof(float));
    return v;
}

K_INLINE void store_some(float *to, floats v, size_t count) { memcpy(to, &v, count * sizeof(float)); }

enum { TOKENS = 3 };

/* Bytes use `low` alone; 16-bit products of outputs 0 and 1 are in `low`, of outputs 2 and 3 in `high`. */
typedef struct { int32x4_t low, high; } partial;

K_INLINE int most_words(k_format format) { return 8; }
K_INLINE int zero_point(k_format format, k_integers kind) { return 0; }

K_INLINE void add_word(partial *sum, words w, words x, k_integers kind, size_t run) {
    if (kind == K_INT8) {
        sum->low = vdotq_s32(sum->low, (int8x16_t)w, (int8x16_t)x);
    } else {
        const int16x8_t v = (int16x8_t)w, q = (int16x8_t)x;
        sum->low = vmlal_s16(sum->low, vget_low_s16(v), vget_low_s16(q));
        sum->high = vmlal_high_s16(sum->high, v, q);
    }
}

K_INLINE integral total(partial sum, k_integers kind, size_t run) {
    return (integral)(kind == K_INT8 ? sum.low : vpaddq_s32(sum.low, sum.high));
}

#define PEAK_INT16(sum, a, b) (words)vmlal_high_s16((int32x4_t)(sum), (int16x8_t)(a), (int16x8_t)(b))
#define PEAK_INT8(sum, a, b) (words)vdotq_s32((int32x4_t)(sum), (int8x16_t)(a), (int8x16_t)(b))
enum { PEAK_INT16_PRODUCTS = 1, PEAK_INT8_PRODUCTS = 4 };

#include "../lanes/table.h"
#pragma clang attribute pop

const k_table k_neon_dotprod = K_LANES_TABLE("neon_dotprod");

#endif
