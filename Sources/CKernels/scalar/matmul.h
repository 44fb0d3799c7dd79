/* Products. One accumulator per output element, K ascending. */
#include "integers.h"
#include "widen.h"

/* ---- Integers ---- */

static inline int32_t dot_int16(const int8_t *w, const int16_t *q, size_t n) {
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += w[i] * q[i];
    return sum;
}

static inline int32_t dot_int8(const int8_t *w, const int8_t *q, size_t n) {
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += w[i] * q[i];
    return sum;
}

/* The weights in the order of int16 activations. */
static inline void to_int16_order(integers *w, size_t n) {
    for (size_t i = 0; i < n; i += 4) {
        int8_t second = w->w[i + 1];
        w->w[i + 1] = w->w[i + 2];
        w->w[i + 2] = second;
    }
}

/* acc + n weights of one row times n activations. */
static float add_product(float acc, const integers *w, k_activations x, k_format format, size_t n) {
    const size_t group = group_of(format);
    for (size_t i = 0; i < n; i += group) {
        const size_t block = i / K_ACT_BLOCK;
        int32_t dot = x.kind == K_INT16 ? dot_int16(w->w + i, (const int16_t *)x.q + i, group)
                                        : dot_int8(w->w + i, (const int8_t *)x.q + i, group);
        acc = fmaf((float)dot, w->scale[i / group] * x.scale[block], acc);
        if (!has_minimum(format)) continue;
        float sum = group == 32 ? x.sum[block] : (float)x.total[i / 16] * x.scale[block];
        acc = fmaf(sum, w->minimum[i / group], acc);
    }
    return acc;
}

static void linear_integers(const k_product *p, size_t begin, size_t end) {
    k_format_info facts = k_format_facts(p->format);
    const size_t last = end * K_PANEL < p->n_out ? end * K_PANEL : p->n_out;
    integers w;
    for (size_t o = begin * K_PANEL; o < last; o++) {
        for (size_t first = 0; first < p->n_in; first += K_CHUNK) {
            size_t n = p->n_in - first < K_CHUNK ? p->n_in - first : K_CHUNK;
            widen(&w, p->w + (o * p->n_in + first) / facts.block_values * facts.block_bytes, p->format, n);
            if (p->x.kind == K_INT16) to_int16_order(&w, n);
            for (size_t t = 0; t < p->x.rows; t++) {
                float *y = p->y + t * p->y_stride + o;
                *y = add_product(first == 0 ? 0 : *y, &w, k_activations_at(p->x, t, first), p->format, n);
            }
        }
    }
}

static void add_columns(float *dx, size_t dx_stride, size_t count, const columns *w, k_activations dy, size_t first,
                        size_t groups, size_t begin, size_t end) {
    for (size_t t = begin; t < end; t++) {
        const k_activations q = k_activations_at(dy, t, first);
        const int16_t *integers = q.q;
        for (size_t g = 0; g < groups; g++)
            for (size_t i = 0; i < count; i++) {
                int32_t sum = 0;
                for (size_t o = g * K_ACT_BLOCK; o < (g + 1) * K_ACT_BLOCK; o += 2) {
                    const int32_t word = w->words[o / 2][i];
                    sum += (int16_t)word * integers[o] + (word >> 16) * integers[o + 1];
                }
                float *to = dx + t * dx_stride + i;
                *to = fmaf((float)sum, w->scale[g][i] * q.scale[g], *to);
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

static void outer(float *out, size_t out_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
                  size_t m, size_t n, size_t tokens, float scale) {
    for (size_t r = 0; r < m; r++)
        for (size_t j = 0; j < n; j += 32) {
            const size_t width = n - j < 32 ? n - j : 32;
            float acc[32] = {0};
            for (size_t t = 0; t < tokens; t++)
                for (size_t l = 0; l < width; l++) acc[l] = fmaf(a[t * a_stride + r], b[t * b_stride + j + l], acc[l]);
            for (size_t l = 0; l < width; l++) out[r * out_stride + j + l] = fmaf(scale, acc[l], out[r * out_stride + j + l]);
        }
}

static void panel(float *panel, const uint8_t *w, size_t row_bytes, k_format format, size_t rows, size_t n) {
    float values[K_CHUNK];
    for (size_t r = 0; r < K_PANEL; r++) {
        dequantize(values, w + (r < rows ? r : rows - 1) * row_bytes, format, n);
        for (size_t i = 0; i < n; i++) panel[i * K_PANEL + r] = values[i];
    }
}
