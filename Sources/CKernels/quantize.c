/* Rows of floats to blocks: each group by itself, without a search for better scales. The same bytes on every machine, for
 * floats are only compared, added, multiplied and divided one by one. What is written is what formats/ reads. */
#pragma STDC FP_CONTRACT OFF

#include "blocks.h"

#include <math.h>

/* x / step to the nearest integer within low...high, ties to even; 0 where the step is, low where x / step is not a number. */
static int steps_of(float x, float step, int low, int high) {
    const float round = 0x1.8p23f; /* adding it rounds to the nearest integer, ties to even */
    float q = step == 0 ? 0 : x / step;
    q = q > (float)low ? q : (float)low;
    q = q < (float)high ? q : (float)high;
    return (int)(k_bits_of_float(q + round) - k_bits_of_float(round));
}

/* The value of greatest magnitude, with its sign. */
static float largest_of(const float *x, size_t n) {
    float largest = 0;
    for (size_t i = 0; i < n; i++) largest = fabsf(x[i]) > fabsf(largest) ? x[i] : largest;
    return largest;
}

/* A half of the block, and the float that it holds. */
static float put_half(uint16_t *half, float x) {
    *half = k_half_of(x);
    return k_half(*half);
}

/* Bits [from, from + width) of 256 numbers: each 32 bytes take 8 / width runs of 32, the first in the lowest bits. */
static void put_bits(uint8_t *to, const uint8_t *q, int from, int width) {
    const int runs = 8 / width;
    for (int r = 0; r < 8; r++)
        for (int j = 0; j < 32; j++)
            to[r / runs * 32 + j] |= (uint8_t)((q[32 * r + j] >> from & ((1 << width) - 1)) << r % runs * width);
}

static void write_q4_0(k_block_q4_0 *b, const float *x) {
    const float d = put_half(&b->d, largest_of(x, 32) / -8);
    for (int j = 0; j < 16; j++)
        b->qs[j] = (uint8_t)((steps_of(x[j], d, -8, 7) + 8) | (steps_of(x[j + 16], d, -8, 7) + 8) << 4);
}

static void write_q8_0(k_block_q8_0 *b, const float *x) {
    const float d = put_half(&b->d, fabsf(largest_of(x, 32)) / 127);
    for (int j = 0; j < 32; j++) b->qs[j] = (int8_t)steps_of(x[j], d, -127, 127);
}

/* Q3_K and Q6_K: 16 groups of 16 with q in low...-low - 1 (in `q` without a sign) and scales, integers in ±most times d. */
static void quantize_signed(const float *x, int low, int most, uint16_t *half, int *scales, uint8_t *q) {
    float scale[16];
    for (int g = 0; g < 16; g++) scale[g] = largest_of(x + 16 * g, 16) / (float)low;
    const float d = put_half(half, fabsf(largest_of(scale, 16)) / (float)most);
    for (int g = 0; g < 16; g++) {
        scales[g] = steps_of(scale[g], d, -most, most);
        const float step = d * (float)scales[g];
        for (int i = 16 * g; i < 16 * g + 16; i++) q[i] = (uint8_t)(steps_of(x[i], step, low, -low - 1) - low);
    }
}

/* Q2_K, Q4_K and Q5_K: groups with q in 0...high, and scales and minima, integers in 0...most times d and dmin. */
static void quantize_with_minima(const float *x, int group, int high, int most, uint16_t halves[2], uint8_t *scales,
                                 uint8_t *minima, uint8_t *q) {
    const int groups = 256 / group;
    float scale[16], minimum[16];
    for (int g = 0; g < groups; g++) {
        float low = 0, top = 0; /* so that 0 is always within */
        for (int i = group * g; i < group * (g + 1); i++) {
            low = x[i] < low ? x[i] : low;
            top = x[i] > top ? x[i] : top;
        }
        scale[g] = (top - low) / (float)high;
        minimum[g] = -low;
    }
    const float d = put_half(&halves[0], largest_of(scale, (size_t)groups) / (float)most);
    const float dmin = put_half(&halves[1], largest_of(minimum, (size_t)groups) / (float)most);
    for (int g = 0; g < groups; g++) {
        scales[g] = (uint8_t)steps_of(scale[g], d, 0, most);
        minima[g] = (uint8_t)steps_of(minimum[g], dmin, 0, most);
        const float step = d * (float)scales[g], added = dmin * (float)minima[g];
        for (int i = group * g; i < group * (g + 1); i++) q[i] = (uint8_t)steps_of(x[i] + added, step, 0, high);
    }
}

static void write_q2_k(k_block_q2_k *b, const float *x) {
    uint8_t scales[16], minima[16], q[256];
    uint16_t halves[2];
    quantize_with_minima(x, 16, 3, 15, halves, scales, minima, q);
    b->d = halves[0], b->dmin = halves[1];
    for (int g = 0; g < 16; g++) b->scales[g] = (uint8_t)(scales[g] | minima[g] << 4);
    put_bits(b->qs, q, 0, 2);
}

static void write_q3_k(k_block_q3_k *b, const float *x) {
    int scales[16];
    uint8_t q[256];
    quantize_signed(x, -4, 31, &b->d, scales, q);
    for (int g = 0; g < 16; g++) {
        const int six = scales[g] + 32;
        b->scales[g % 8] |= (uint8_t)((six & 15) << g / 8 * 4);
        b->scales[8 + g % 4] |= (uint8_t)(six >> 4 << g / 4 * 2);
    }
    put_bits(b->qs, q, 0, 2);
    put_bits(b->qh, q, 2, 1);
}

/* Scales and minima of the 8 groups of Q4_K or Q5_K; see read_six_bits. */
static void write_six_bits(uint8_t s[12], const uint8_t *scales, const uint8_t *minima) {
    for (int g = 0; g < 4; g++) {
        s[g] = (uint8_t)(scales[g] | scales[g + 4] >> 4 << 6);
        s[g + 4] = (uint8_t)(minima[g] | minima[g + 4] >> 4 << 6);
        s[g + 8] = (uint8_t)((scales[g + 4] & 15) | (minima[g + 4] & 15) << 4);
    }
}

static void write_q4_k(k_block_q4_k *b, const float *x) {
    uint8_t scales[8], minima[8], q[256];
    uint16_t halves[2];
    quantize_with_minima(x, 32, 15, 63, halves, scales, minima, q);
    b->d = halves[0], b->dmin = halves[1];
    write_six_bits(b->scales, scales, minima);
    put_bits(b->qs, q, 0, 4);
}

static void write_q5_k(k_block_q5_k *b, const float *x) {
    uint8_t scales[8], minima[8], q[256];
    uint16_t halves[2];
    quantize_with_minima(x, 32, 31, 63, halves, scales, minima, q);
    b->d = halves[0], b->dmin = halves[1];
    write_six_bits(b->scales, scales, minima);
    put_bits(b->qs, q, 0, 4);
    put_bits(b->qh, q, 4, 1);
}

static void write_q6_k(k_block_q6_k *b, const float *x) {
    int scales[16];
    uint8_t q[256];
    quantize_signed(x, -32, 127, &b->d, scales, q);
    for (int g = 0; g < 16; g++) b->scales[g] = (int8_t)scales[g];
    for (int i = 0; i < 256; i++) { /* in each half of the block, runs of 32: two to low nibbles, two to high ones */
        const int run = i / 32 % 4;
        b->ql[i / 128 * 64 + run % 2 * 32 + i % 32] |= (uint8_t)((q[i] & 15) << run / 2 * 4);
    }
    put_bits(b->qh, q, 4, 2);
}

bool k_quantizes(k_format format) {
    switch (format) {
    case K_Q4_0: case K_Q8_0: return true;
    case K_Q2_K: case K_Q3_K: case K_Q4_K: case K_Q5_K: case K_Q6_K: return true;
    default: return false;
    }
}

void k_quantize_row(void *blocks, const float *x, k_format format, size_t n) {
    const k_format_info facts = k_format_facts(format);
    memset(blocks, 0, n / facts.block_values * facts.block_bytes);
    for (size_t i = 0; i < n; i += facts.block_values, x += facts.block_values) {
        void *block = (uint8_t *)blocks + i / facts.block_values * facts.block_bytes;
        switch (format) {
        case K_Q4_0: write_q4_0(block, x); break;
        case K_Q8_0: write_q8_0(block, x); break;
        case K_Q2_K: write_q2_k(block, x); break;
        case K_Q3_K: write_q3_k(block, x); break;
        case K_Q4_K: write_q4_k(block, x); break;
        case K_Q5_K: write_q5_k(block, x); break;
        case K_Q6_K: write_q6_k(block, x); break;
        default: break; /* see k_quantizes */
        }
    }
}
