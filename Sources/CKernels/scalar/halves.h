/* IEEE halves, to and fro. Rounds to nearest even; too large becomes infinity, NaN stays NaN (quiet). */
#include "../blocks.h"

#include <stddef.h>

static inline uint16_t half_of(float f) {
    const uint32_t bits = k_bits_of_float(f), magnitude = bits & 0x7fffffff;
    const uint32_t shifted = magnitude - (112u << 23); /* with the exponent of a half */
    uint32_t normal = (shifted + 0xfff + (shifted >> 13 & 1)) >> 13;
    normal = normal < 0x7c00 ? normal : 0x7c00;
    /* Added to 1/2, whose last bit is worth one denormal. */
    uint32_t tiny = k_bits_of_float(k_float_of_bits(magnitude) + 0.5f) - k_bits_of_float(0.5f);
    uint32_t h = magnitude < (113u << 23) ? tiny : normal;
    h = magnitude > 0x7f800000 ? 0x7e00 | (magnitude >> 13 & 0x3ff) : h;
    return (uint16_t)(h | (bits >> 16 & 0x8000));
}

static void halves(uint16_t *out, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = half_of(x[i]);
}

static void floats_of_halves(float *out, const uint16_t *h, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = k_half(h[i]);
}
