/* Rows of IEEE halves, to and fro: k_half_of and k_half. */
#include "../blocks.h"

#include <stddef.h>

static void halves(uint16_t *out, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = k_half_of(x[i]);
}

static void floats_of_halves(float *out, const uint16_t *h, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = k_half(h[i]);
}
