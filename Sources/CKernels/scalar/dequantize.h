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

static void dequantize_q8_0(float *out, const uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n; i += 32, bytes += sizeof(k_block_q8_0)) {
        const k_block_q8_0 *b = (const void *)bytes;
        float d = k_half(b->d);
        for (int j = 0; j < 32; j++) out[i + j] = d * (float)b->qs[j];
    }
}

static void dequantize_q4_k(float *out, const uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n; i += 256, bytes += sizeof(k_block_q4_k)) {
        const k_block_q4_k *b = (const void *)bytes;
        float d = k_half(b->d), dmin = k_half(b->dmin);
        for (int g = 0; g < 8; g++) { /* groups 2c and 2c + 1 are the low and high nibbles of 32 bytes */
            uint8_t scale, minimum;
            k_q4_k_scale(b, g, &scale, &minimum);
            float w = d * (float)scale, m = dmin * (float)minimum;
            for (int j = 0; j < 32; j++)
                out[i + 32 * g + j] = w * (float)(b->qs[32 * (g / 2) + j] >> 4 * (g % 2) & 15) - m;
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
    case K_Q8_0: dequantize_q8_0(out, blocks, n); break;
    case K_Q4_K: dequantize_q4_k(out, blocks, n); break;
    case K_Q6_K: dequantize_q6_k(out, blocks, n); break;
    case K_FORMAT_COUNT: break;
    }
}
