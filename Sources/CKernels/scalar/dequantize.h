/* Values of a row of blocks, as ggml defines them: one multiplication, then one addition, each rounded. */
#include "../blocks.h"
#include "../table.h"

static inline __attribute__((always_inline)) void floats_of_group(float *out, const int8_t *w, size_t group, float scale,
                                                                  float minimum, bool has_minimum) {
#pragma clang loop unroll(disable) /* or else the compiler forgets vectors for groups of 16 */
    for (size_t j = 0; j < group; j++) {
        const float x = scale * (float)w[j];
        out[j] = has_minimum ? x + minimum : x;
    }
}

#define X(id, suffix, name, type, values, bytes, group, bits, has_minimum)                                             \
    static void dequantize_##suffix(float *out, const uint8_t *blocks, size_t n) {                                     \
        int8_t w[values];                                                                                              \
        float scale[values / group], minimum[values / group];                                                          \
        for (; n > 0; n -= values, out += values, blocks += bytes) {                                                   \
            read_##suffix((const void *)blocks, w, scale, minimum);                                                    \
            for (size_t g = 0; g < values / group; g++)                                                                \
                floats_of_group(out + g * group, w + g * group, group, scale[g], has_minimum ? minimum[g] : 0, has_minimum); \
        }                                                                                                              \
    }
K_BLOCK_FORMATS(X)
#undef X

static void dequantize(float *out, const uint8_t *blocks, k_format format, size_t n) {
    const uint16_t *halves = (const void *)blocks;
    switch (format) {
    case K_F32: memcpy(out, blocks, n * sizeof(float)); break;
    case K_F16: for (size_t i = 0; i < n; i++) out[i] = k_half(halves[i]); break;
    case K_BF16: for (size_t i = 0; i < n; i++) out[i] = k_bfloat(halves[i]); break;
#define X(id, suffix, ...) case id: dequantize_##suffix(out, blocks, n); break;
        K_BLOCK_FORMATS(X)
#undef X
    case K_FORMAT_COUNT: break;
    }
}
