/* Keys and values in the formats of pages; `CKernels.h` says how they lie. Every table compiles this file for its own
 * processor, after a file with `halves` and `floats_of_halves`. */
#include "../table.h"

#include <math.h>

/* A block of 32 with one scale, by the rules of k_quantize_rows: q[i * q_stride], x is about scale * q, q in ±127. */
static void bytes_of_block(int8_t *q, size_t q_stride, float *scale, const float *x) {
    const float round = 0x1.8p23f; /* adding it rounds to the nearest integer, ties to even */
    uint32_t largest = 0;
    for (size_t i = 0; i < K_ACT_BLOCK; i++) {
        uint32_t magnitude = k_bits_of_float(x[i]) & 0x7fffffff;
        largest = magnitude > largest ? magnitude : largest;
    }
    const float amax = k_float_of_bits(largest);
    const bool finite = largest < 0x7f800000, flat = amax < 1e-30f;
    const float factor = flat || !finite ? 0 : 127 / amax;
    for (size_t i = 0; i < K_ACT_BLOCK; i++) {
        float value = finite ? x[i] : 0;
        q[i * q_stride] = (int8_t)(k_bits_of_float(value * factor + round) - k_bits_of_float(round));
    }
    *scale = !finite ? NAN : flat ? 0 : amax / 127;
}

static void write_page(uint8_t *keys, uint8_t *values, size_t slot, const float *k, const float *v, k_format format,
                       size_t E) {
    const size_t blocks = E / K_ACT_BLOCK;
    if (format == K_F32) {
        float *key = (float *)keys + slot;
        for (size_t e = 0; e < E; e++) key[e * K_PAGE] = k[e];
        memcpy((float *)values + slot * E, v, E * sizeof(float));
    } else if (format == K_F16) {
        uint16_t row[K_MAX_HEAD_DIM], *key = (uint16_t *)keys + slot;
        halves(row, k, E);
        for (size_t e = 0; e < E; e++) key[e * K_PAGE] = row[e];
        halves((uint16_t *)values + slot * E, v, E);
    } else {
        int8_t *key = (int8_t *)keys + slot, *value = (int8_t *)values + slot * E;
        float *key_scale = (float *)(keys + E * K_PAGE) + slot;
        float *value_scale = (float *)(values + E * K_PAGE) + slot * blocks;
        for (size_t b = 0; b < blocks; b++) {
            bytes_of_block(key + b * K_ACT_BLOCK * K_PAGE, K_PAGE, key_scale + b * K_PAGE, k + b * K_ACT_BLOCK);
            bytes_of_block(value + b * K_ACT_BLOCK, 1, value_scale + b, v + b * K_ACT_BLOCK);
        }
    }
}

static void read_keys(float *restrict out, const uint8_t *restrict keys, k_format format, size_t E) {
    if (format == K_F16) {
        floats_of_halves(out, (const uint16_t *)keys, E * K_PAGE);
        return;
    }
    const int8_t *q = (const int8_t *)keys;
    const float *scale = (const float *)(keys + E * K_PAGE);
    for (size_t e = 0; e < E; e++)
        for (size_t j = 0; j < K_PAGE; j++)
            out[e * K_PAGE + j] = (float)q[e * K_PAGE + j] * scale[e / K_ACT_BLOCK * K_PAGE + j];
}

static void read_values(float *restrict out, const uint8_t *restrict values, k_format format, size_t E) {
    if (format == K_F16) {
        floats_of_halves(out, (const uint16_t *)values, E * K_PAGE);
        return;
    }
    const int8_t *q = (const int8_t *)values;
    const float *scale = (const float *)(values + E * K_PAGE); /* rows are whole blocks, so blocks simply follow */
    for (size_t b = 0; b < E * K_PAGE / K_ACT_BLOCK; b++)
        for (size_t i = 0; i < K_ACT_BLOCK; i++)
            out[b * K_ACT_BLOCK + i] = (float)q[b * K_ACT_BLOCK + i] * scale[b];
}

/* The slots that rows.h and this file fill in every table. */
#define K_SHARED_SLOTS                                                       \
    .rms_norm = rms_norm,                                                    \
    .rms_norm_backward = rms_norm_backward,                                  \
    .rope = rope,                                                            \
    .swiglu = swiglu,                                                        \
    .swiglu_backward = swiglu_backward,                                      \
    .axpy = axpy,                                                            \
    .scale = scale,                                                          \
    .dot = dot,                                                              \
    .exp = exponential,                                                      \
    .log = logarithm,                                                        \
    .softmax = softmax,                                                      \
    .log_sum_exp = log_sum_exp,                                              \
    .softmax_backward = softmax_backward,                                    \
    .log_prob_backward = log_prob_backward,                                  \
    .write_page = write_page,                                                \
    .read_keys = read_keys,                                                  \
    .read_values = read_values
