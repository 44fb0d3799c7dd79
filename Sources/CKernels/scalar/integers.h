/* Activations and weights as integers: what every table's integer products must agree with. */
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

/* At most K_CHUNK weights of one row as integers, with a scale for each group and, where the format has one, a minimum. */
typedef struct {
    int16_t w[K_CHUNK];
    float scale[K_CHUNK / 16], minimum[K_CHUNK / 16];
} integers;

static void widen(integers *to, const uint8_t *bytes, k_format format, size_t n) {
    const k_block_q4_0 *q4_0 = (const void *)bytes;
    const k_block_q4_1 *q4_1 = (const void *)bytes;
    const k_block_q5_0 *q5_0 = (const void *)bytes;
    const k_block_q5_1 *q5_1 = (const void *)bytes;
    const k_block_q8_0 *q8_0 = (const void *)bytes;
    const k_block_q2_k *q2_k = (const void *)bytes;
    const k_block_q3_k *q3_k = (const void *)bytes;
    const k_block_q4_k *q4_k = (const void *)bytes;
    const k_block_q5_k *q5_k = (const void *)bytes;
    const k_block_q6_k *q6_k = (const void *)bytes;
    for (size_t g = 0; g < n / 32; g++) {
        int16_t *w = to->w + 32 * g;
        const int first = 32 * (int)g;
        uint8_t scale, minimum;
        switch (format) {
        case K_Q4_0:
            to->scale[g] = k_half(q4_0[g].d);
            for (size_t j = 0; j < 32; j++) w[j] = (int16_t)((q4_0[g].qs[j % 16] >> j / 16 * 4 & 15) - 8);
            break;
        case K_Q4_1:
            to->scale[g] = k_half(q4_1[g].d);
            to->minimum[g] = k_half(q4_1[g].m);
            for (size_t j = 0; j < 32; j++) w[j] = q4_1[g].qs[j % 16] >> j / 16 * 4 & 15;
            break;
        case K_Q5_0:
            to->scale[g] = k_half(q5_0[g].d);
            for (size_t j = 0; j < 32; j++) w[j] = (int16_t)(five_bits(q5_0[g].qs, q5_0[g].qh, j) - 16);
            break;
        case K_Q5_1:
            to->scale[g] = k_half(q5_1[g].d);
            to->minimum[g] = k_half(q5_1[g].m);
            for (size_t j = 0; j < 32; j++) w[j] = (int16_t)five_bits(q5_1[g].qs, q5_1[g].qh, j);
            break;
        case K_Q8_0:
            to->scale[g] = k_half(q8_0[g].d);
            for (size_t j = 0; j < 32; j++) w[j] = q8_0[g].qs[j];
            break;
        case K_Q2_K:
            for (size_t h = 2 * g; h < 2 * g + 2; h++) {
                to->scale[h] = k_half(q2_k->d) * (float)(q2_k->scales[h] & 15);
                to->minimum[h] = -(k_half(q2_k->dmin) * (float)(q2_k->scales[h] >> 4));
            }
            for (int j = 0; j < 32; j++) w[j] = (int16_t)q2_k_value(q2_k, first + j);
            break;
        case K_Q3_K:
            for (size_t h = 2 * g; h < 2 * g + 2; h++)
                to->scale[h] = k_half(q3_k->d) * (float)q3_k_scale(q3_k, (int)h);
            for (int j = 0; j < 32; j++) w[j] = (int16_t)q3_k_value(q3_k, first + j);
            break;
        case K_Q4_K:
            k_q4_k_scale(q4_k->scales, (int)g, &scale, &minimum);
            to->scale[g] = k_half(q4_k->d) * (float)scale;
            to->minimum[g] = -(k_half(q4_k->dmin) * (float)minimum);
            for (size_t j = 0; j < 32; j++) w[j] = q4_k->qs[g / 2 * 32 + j] >> g % 2 * 4 & 15;
            break;
        case K_Q5_K:
            k_q4_k_scale(q5_k->scales, (int)g, &scale, &minimum);
            to->scale[g] = k_half(q5_k->d) * (float)scale;
            to->minimum[g] = -(k_half(q5_k->dmin) * (float)minimum);
            for (int j = 0; j < 32; j++) w[j] = (int16_t)q5_k_value(q5_k, first + j);
            break;
        case K_Q6_K:
            for (size_t h = 2 * g; h < 2 * g + 2; h++) to->scale[h] = k_half(q6_k->d) * (float)q6_k->scales[h];
            for (int j = 0; j < 32; j++) w[j] = (int16_t)q6_k_value(q6_k, first + j);
            break;
        case K_F32: case K_F16: case K_BF16: case K_FORMAT_COUNT: break; /* floats have no integers */
        }
    }
}

/* The weights in the order of int16 activations: in every four the middle two change places. */
static inline void to_int16_order(integers *to, size_t n) {
    for (size_t i = 0; i < n; i += 4) {
        int16_t second = to->w[i + 1];
        to->w[i + 1] = to->w[i + 2];
        to->w[i + 2] = second;
    }
}
