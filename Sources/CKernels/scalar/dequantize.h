/* Values of a row of blocks, as ggml defines them: one multiplication, then one addition, each rounded. */
#include "../blocks.h"
#include "../table.h"

static void dequantize_q4_0(float *out, const uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n; i += 32, bytes += sizeof(k_block_q4_0)) {
        const k_block_q4_0 *b = (const void *)bytes;
        float d = k_half(b->d);
        for (int j = 0; j < 16; j++) {
            out[i + j] = d * (float)((b->qs[j] & 15) - 8);
            out[i + j + 16] = d * (float)((b->qs[j] >> 4) - 8);
        }
    }
}

static void dequantize_q4_1(float *out, const uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n; i += 32, bytes += sizeof(k_block_q4_1)) {
        const k_block_q4_1 *b = (const void *)bytes;
        float d = k_half(b->d), m = k_half(b->m);
        for (int j = 0; j < 16; j++) {
            out[i + j] = d * (float)(b->qs[j] & 15) + m;
            out[i + j + 16] = d * (float)(b->qs[j] >> 4) + m;
        }
    }
}

/* Value j (0...31) of a Q5_0 or Q5_1 block, without a sign. */
static inline int five_bits(const uint8_t *qs, const uint8_t *qh, size_t j) {
    return (qs[j % 16] >> j / 16 * 4 & 15) | (qh[j / 8] >> j % 8 & 1) << 4;
}

static void dequantize_q5_0(float *out, const uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n; i += 32, bytes += sizeof(k_block_q5_0)) {
        const k_block_q5_0 *b = (const void *)bytes;
        float d = k_half(b->d);
        for (size_t j = 0; j < 32; j++) out[i + j] = d * (float)(five_bits(b->qs, b->qh, j) - 16);
    }
}

static void dequantize_q5_1(float *out, const uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n; i += 32, bytes += sizeof(k_block_q5_1)) {
        const k_block_q5_1 *b = (const void *)bytes;
        float d = k_half(b->d), m = k_half(b->m);
        for (size_t j = 0; j < 32; j++) out[i + j] = d * (float)five_bits(b->qs, b->qh, j) + m;
    }
}

static void dequantize_q8_0(float *out, const uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n; i += 32, bytes += sizeof(k_block_q8_0)) {
        const k_block_q8_0 *b = (const void *)bytes;
        float d = k_half(b->d);
        for (int j = 0; j < 32; j++) out[i + j] = d * (float)b->qs[j];
    }
}

/* Value i of 0...255: in each half, group g of 32 takes bit pair g of 32 bytes. */
static inline int q2_k_value(const k_block_q2_k *b, int i) { return b->qs[i / 128 * 32 + i % 32] >> i / 32 % 4 * 2 & 3; }

static void dequantize_q2_k(float *out, const uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n; i += 256, bytes += sizeof(k_block_q2_k)) {
        const k_block_q2_k *b = (const void *)bytes;
        float d = k_half(b->d), dmin = k_half(b->dmin);
        for (int g = 0; g < 16; g++) {
            float w = d * (float)(b->scales[g] & 15), m = dmin * (float)(b->scales[g] >> 4);
            for (int j = 0; j < 16; j++) out[i + 16 * g + j] = w * (float)q2_k_value(b, 16 * g + j) - m;
        }
    }
}

/* q - 4 of value i in 0...255: the low bits as in Q2_K, the third is bit i / 32 of 32 bytes. */
static inline int q3_k_value(const k_block_q3_k *b, int i) {
    int low = b->qs[i / 128 * 32 + i % 32] >> i / 32 % 4 * 2 & 3;
    return (low | (b->qh[i % 32] >> i / 32 & 1) << 2) - 4;
}

/* The scale of group g, without its 32: low nibbles in 8 bytes, the upper pairs of bits in 4 more. */
static inline int q3_k_scale(const k_block_q3_k *b, int g) {
    return ((b->scales[g % 8] >> g / 8 * 4 & 15) | (b->scales[8 + g % 4] >> g / 4 * 2 & 3) << 4) - 32;
}

static void dequantize_q3_k(float *out, const uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n; i += 256, bytes += sizeof(k_block_q3_k)) {
        const k_block_q3_k *b = (const void *)bytes;
        float d = k_half(b->d);
        for (int g = 0; g < 16; g++) {
            float w = d * (float)q3_k_scale(b, g);
            for (int j = 0; j < 16; j++) out[i + 16 * g + j] = w * (float)q3_k_value(b, 16 * g + j);
        }
    }
}

static void dequantize_q4_k(float *out, const uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n; i += 256, bytes += sizeof(k_block_q4_k)) {
        const k_block_q4_k *b = (const void *)bytes;
        float d = k_half(b->d), dmin = k_half(b->dmin);
        for (int g = 0; g < 8; g++) { /* groups 2c and 2c + 1 are the low and high nibbles of 32 bytes */
            uint8_t scale, minimum;
            k_q4_k_scale(b->scales, g, &scale, &minimum);
            float w = d * (float)scale, m = dmin * (float)minimum;
            for (int j = 0; j < 32; j++)
                out[i + 32 * g + j] = w * (float)(b->qs[32 * (g / 2) + j] >> 4 * (g % 2) & 15) - m;
        }
    }
}

/* Value i of 0...255: a nibble as in Q4_K, and bit i / 32 of 32 bytes. */
static inline int q5_k_value(const k_block_q5_k *b, int i) {
    int low = b->qs[i / 64 * 32 + i % 32] >> i / 32 % 2 * 4 & 15;
    return low | (b->qh[i % 32] >> i / 32 & 1) << 4;
}

static void dequantize_q5_k(float *out, const uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n; i += 256, bytes += sizeof(k_block_q5_k)) {
        const k_block_q5_k *b = (const void *)bytes;
        float d = k_half(b->d), dmin = k_half(b->dmin);
        for (int g = 0; g < 8; g++) {
            uint8_t scale, minimum;
            k_q4_k_scale(b->scales, g, &scale, &minimum);
            float w = d * (float)scale, m = dmin * (float)minimum;
            for (int j = 0; j < 32; j++) out[i + 32 * g + j] = w * (float)q5_k_value(b, 32 * g + j) - m;
        }
    }
}

/* q - 32 of value i in 0...255. In each half, group g of 32 takes nibble g / 2 of ql and bit pair g of qh. */
static inline int q6_k_value(const k_block_q6_k *b, int i) {
    int half = i / 128, g = i / 32 % 4, j = i % 32;
    int low = b->ql[64 * half + 32 * (g % 2) + j] >> 4 * (g / 2) & 15;
    int high = b->qh[32 * half + j] >> 2 * g & 3;
    return (low | high << 4) - 32;
}

static void dequantize_q6_k(float *out, const uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n; i += 256, bytes += sizeof(k_block_q6_k)) {
        const k_block_q6_k *b = (const void *)bytes;
        float d = k_half(b->d);
        for (int g = 0; g < 16; g++) {
            float w = d * (float)b->scales[g];
            for (int j = 0; j < 16; j++) out[i + 16 * g + j] = w * (float)q6_k_value(b, 16 * g + j);
        }
    }
}

static void dequantize(float *out, const uint8_t *blocks, k_format format, size_t n) {
    const uint16_t *halves = (const void *)blocks;
    switch (format) {
    case K_F32: memcpy(out, blocks, n * sizeof(float)); break;
    case K_F16: for (size_t i = 0; i < n; i++) out[i] = k_half(halves[i]); break;
    case K_BF16: for (size_t i = 0; i < n; i++) out[i] = k_bfloat(halves[i]); break;
    case K_Q4_0: dequantize_q4_0(out, blocks, n); break;
    case K_Q4_1: dequantize_q4_1(out, blocks, n); break;
    case K_Q5_0: dequantize_q5_0(out, blocks, n); break;
    case K_Q5_1: dequantize_q5_1(out, blocks, n); break;
    case K_Q8_0: dequantize_q8_0(out, blocks, n); break;
    case K_Q2_K: dequantize_q2_k(out, blocks, n); break;
    case K_Q3_K: dequantize_q3_k(out, blocks, n); break;
    case K_Q4_K: dequantize_q4_k(out, blocks, n); break;
    case K_Q5_K: dequantize_q5_k(out, blocks, n); break;
    case K_Q6_K: dequantize_q6_k(out, blocks, n); break;
    case K_FORMAT_COUNT: break;
    }
}
