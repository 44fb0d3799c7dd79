/* Activations as integers: what every table must agree with. */
#include "../blocks.h"
#include "../table.h"
#include <math.h>

/* Where value i of a row lies in int16: in every four the middle two change places. */
static inline size_t int16_slot(size_t i) { return (i & ~(size_t)3) | (i & 1) << 1 | (i & 2) >> 1; }

static void quantize(k_activations to, const float *x, size_t n) {
    const float round = 0x1.8p23f; /* adding it rounds to the nearest integer, ties to even */
    const float limit = k_limit(to.kind);
    int16_t *q16 = to.q;
    int8_t *q8 = to.q;
    for (size_t b = 0; b < n / K_ACT_BLOCK; b++, x += K_ACT_BLOCK) {
        uint32_t largest = 0; /* magnitudes compare as integers, and what is not finite is above all others */
        for (int i = 0; i < K_ACT_BLOCK; i++) {
            uint32_t magnitude = k_bits_of_float(x[i]) & 0x7fffffff;
            largest = magnitude > largest ? magnitude : largest;
        }
        float amax = k_float_of_bits(largest);
        bool finite = largest < 0x7f800000, flat = amax < 1e-30f;
        float factor = flat || !finite ? 0 : limit / amax;
        int32_t total[2] = {0, 0};
        for (size_t i = 0; i < K_ACT_BLOCK; i++) {
            float value = finite ? x[i] : 0;
            int16_t rounded = (int16_t)(k_bits_of_float(value * factor + round) - k_bits_of_float(round));
            if (to.kind == K_INT8)
                q8[b * K_ACT_BLOCK + i] = (int8_t)rounded;
            else
                q16[b * K_ACT_BLOCK + int16_slot(i)] = rounded;
            total[i / 16] += rounded;
        }
        to.scale[b] = !finite ? NAN : flat ? 0 : amax / limit;
        to.sum[b] = (float)(total[0] + total[1]) * to.scale[b];
        to.total[2 * b] = total[0];
        to.total[2 * b + 1] = total[1];
    }
}
