/* Products. One accumulator per output element, K ascending. */
#include "../blocks.h"
#include "../table.h"
#include <math.h>

/* ---- Activations and weights as 16-bit integers ---- */

static void quantize(int16_t *q, float *scale, float *sum, const float *x, size_t n) {
    const float round = 0x1.8p23f; /* adding it rounds to the nearest integer, ties to even */
    for (size_t b = 0; b < n / K_ACT_BLOCK; b++, x += K_ACT_BLOCK, q += K_ACT_BLOCK) {
        uint32_t largest = 0; /* magnitudes compare as integers, and what is not finite is above all others */
        for (int i = 0; i < K_ACT_BLOCK; i++) {
            uint32_t magnitude = k_bits_of_float(x[i]) & 0x7fffffff;
            largest = magnitude > largest ? magnitude : largest;
        }
        float amax = k_float_of_bits(largest);
        bool finite = largest < 0x7f800000, flat = amax < 1e-30f;
        float factor = flat || !finite ? 0 : 32767 / amax;
        int32_t total = 0;
        for (int i = 0; i < K_ACT_BLOCK; i++) {
            float value = finite ? x[i] : 0;
            int16_t rounded = (int16_t)(k_bits_of_float(value * factor + round) - k_bits_of_float(round));
            q[(i & ~3) | (i & 1) << 1 | (i & 2) >> 1] = rounded; /* 0 1 2 3 go to 0 2 1 3 */
            total += rounded;
        }
        scale[b] = !finite ? NAN : flat ? 0 : amax / 32767;
        sum[b] = (float)total * scale[b];
    }
}

/* At most K_CHUNK weights of one row as integers in the order of the activations, with a scale for each group of 32
 * (Q6_K: 16) and, where the format has one, a minimum for each 32. */
typedef struct {
    int16_t w[K_CHUNK];
    float scale[K_CHUNK / 16], minimum[K_CHUNK / 32];
} integers;

static inline void put(integers *to, size_t i, int value) {
    to->w[(i & ~(size_t)3) | (i & 1) << 1 | (i & 2) >> 1] = (int16_t)value;
}

static void widen(integers *to, const uint8_t *bytes, k_format format, size_t n) {
    const k_block_q4_0 *q4_0 = (const void *)bytes;
    const k_block_q4_1 *q4_1 = (const void *)bytes;
    const k_block_q8_0 *q8_0 = (const void *)bytes;
    const k_block_q4_k *q4_k = (const void *)bytes;
    const k_block_q6_k *q6_k = (const void *)bytes;
    for (size_t g = 0; g < n / 32; g++) {
        switch (format) {
        case K_Q4_0:
            to->scale[g] = k_half(q4_0[g].d);
            for (size_t j = 0; j < 32; j++) put(to, 32 * g + j, (q4_0[g].qs[j % 16] >> j / 16 * 4 & 15) - 8);
            break;
        case K_Q4_1:
            to->scale[g] = k_half(q4_1[g].d);
            to->minimum[g] = k_half(q4_1[g].m);
            for (size_t j = 0; j < 32; j++) put(to, 32 * g + j, q4_1[g].qs[j % 16] >> j / 16 * 4 & 15);
            break;
        case K_Q8_0:
            to->scale[g] = k_half(q8_0[g].d);
            for (size_t j = 0; j < 32; j++) put(to, 32 * g + j, q8_0[g].qs[j]);
            break;
        case K_Q4_K: {
            uint8_t scale, minimum;
            k_q4_k_scale(q4_k, (int)g, &scale, &minimum);
            to->scale[g] = k_half(q4_k->d) * (float)scale;
            to->minimum[g] = -(k_half(q4_k->dmin) * (float)minimum);
            for (size_t j = 0; j < 32; j++) put(to, 32 * g + j, q4_k->qs[g / 2 * 32 + j] >> g % 2 * 4 & 15);
            break;
        }
        case K_Q6_K:
            for (size_t h = 2 * g; h < 2 * g + 2; h++)
                to->scale[h] = k_half(q6_k->d) * (float)q6_k->scales[h];
            for (size_t j = 0; j < 32; j++) put(to, 32 * g + j, q6_k_value(q6_k, (int)(32 * g + j)));
            break;
        default: break; /* floats have no integers */
        }
    }
}

static inline int32_t integer_dot(const int16_t *a, const int16_t *b, size_t n) {
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static void linear_int16(const k_int16_product *p, size_t begin, size_t end) {
    k_format_info facts = k_format_facts(p->format);
    const size_t blocks = p->n_in / K_ACT_BLOCK, group = p->format == K_Q6_K ? 16 : 32;
    const bool has_minimum = p->format == K_Q4_1 || p->format == K_Q4_K;
    const size_t last = end * K_PANEL < p->n_out ? end * K_PANEL : p->n_out;
    integers w;
    for (size_t o = begin * K_PANEL; o < last; o++) {
        for (size_t first = 0; first < p->n_in; first += K_CHUNK) {
            size_t n = p->n_in - first < K_CHUNK ? p->n_in - first : K_CHUNK;
            widen(&w, p->w + (o * p->n_in + first) / facts.block_values * facts.block_bytes, p->format, n);
            for (size_t t = 0; t < p->rows; t++) {
                const int16_t *q = p->q + t * p->n_in + first;
                const float *scale = p->scale + t * blocks + first / K_ACT_BLOCK;
                const float *sum = p->sum + t * blocks + first / K_ACT_BLOCK;
                float acc = first == 0 ? 0 : p->y[t * p->y_stride + o];
                for (size_t i = 0; i < n; i += group) {
                    int32_t dot = group == 32 ? integer_dot(w.w + i, q + i, 32) : integer_dot(w.w + i, q + i, 16);
                    acc = fmaf((float)dot, w.scale[i / group] * scale[i / 32], acc);
                    if (has_minimum) acc = fmaf(sum[i / 32], w.minimum[i / 32], acc);
                }
                p->y[t * p->y_stride + o] = acc;
            }
        }
    }
}

/* ---- Floats ---- */

/* 32 (or, for the tail, fewer) columns of one row at a time, so that the accumulators stay in registers. */
static void multiply(float *out, size_t out_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
                     size_t m, size_t n, size_t k, bool accumulate) {
    for (size_t j = 0; j < n; j += 32) {
        size_t width = n - j < 32 ? n - j : 32;
        for (size_t t = 0; t < m; t++) {
            float acc[32] = {0};
            float *y = out + t * out_stride + j;
            if (accumulate) memcpy(acc, y, width * sizeof(float));
            for (size_t i = 0; i < k; i++) {
                const float x = a[t * a_stride + i], *w = b + i * b_stride + j;
                if (width == 32)
                    for (size_t l = 0; l < 32; l++) acc[l] = fmaf(x, w[l], acc[l]);
                else
                    for (size_t l = 0; l < width; l++) acc[l] = fmaf(x, w[l], acc[l]);
            }
            memcpy(y, acc, width * sizeof(float));
        }
    }
}

static void panel(float *panel, const uint8_t *w, size_t row_bytes, k_format format, size_t rows, size_t n) {
    float values[K_CHUNK];
    for (size_t r = 0; r < K_PANEL; r++) {
        dequantize(values, w + (r < rows ? r : rows - 1) * row_bytes, format, n);
        for (size_t i = 0; i < n; i++) panel[i * K_PANEL + r] = values[i];
    }
}
