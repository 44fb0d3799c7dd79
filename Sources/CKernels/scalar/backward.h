/* dx += dy W in integers: k_linear_backward_integers for one thread. Lanes are columns of W, so its rows are dequantised as
 * they lie, then 32 outputs of a column become integers with one scale. Every table compiles this file for its own
 * processor, after `dequantize` and
 *   add_columns    see below */
#include "../blocks.h"
#include "../table.h"

#include <math.h>

/* K_PANEL columns of up to K_CHUNK outputs. A word is two outputs of a column in the order of dy's integers: (4c, 4c + 2) or
 * (4c + 1, 4c + 3). */
typedef struct {
    _Alignas(64) int32_t words[K_CHUNK / 2][K_PANEL];
    float scale[K_CHUNK / K_ACT_BLOCK][K_PANEL];
} columns;

/* dx [rows begin to end, `count` columns] += the integers of dy in `groups` groups of 32 outputs, from `first` on, times w;
 * dx points at row 0. */
static void add_columns(float *dx, size_t dx_stride, size_t count, const columns *w, k_activations dy, size_t first,
                        size_t groups, size_t begin, size_t end);

/* 32 outputs of K_PANEL columns: values[o * K_CHUNK + i] of output o, column i. */
static void integer_columns(int32_t words[][K_PANEL], float *scale, const float *values) {
    const float round = 0x1.8p23f, limit = k_limit(K_INT14); /* adding `round` leaves the nearest integer in the low bits */
    uint32_t largest[K_PANEL] = {0}, finite[K_PANEL];
    float factor[K_PANEL];
    for (size_t o = 0; o < K_ACT_BLOCK; o++)
        for (size_t i = 0; i < K_PANEL; i++) {
            uint32_t magnitude = k_bits_of_float(values[o * K_CHUNK + i]) & 0x7fffffff;
            largest[i] = magnitude > largest[i] ? magnitude : largest[i];
        }
    for (size_t i = 0; i < K_PANEL; i++) {
        const float amax = k_float_of_bits(largest[i]);
        const bool is_finite = largest[i] < 0x7f800000, flat = amax < 1e-30f;
        finite[i] = is_finite ? ~0u : 0;
        factor[i] = flat || !is_finite ? 0 : limit / amax;
        scale[i] = !is_finite ? NAN : flat ? 0 : amax / limit;
    }
    for (size_t word = 0; word < K_ACT_BLOCK / 2; word++) {
        const float *low = values + (word / 2 * 4 + word % 2) * K_CHUNK, *high = low + 2 * K_CHUNK;
        for (size_t i = 0; i < K_PANEL; i++) {
            uint32_t q0 = k_bits_of_float(fmaf(k_float_of_bits(k_bits_of_float(low[i]) & finite[i]), factor[i], round));
            uint32_t q1 = k_bits_of_float(fmaf(k_float_of_bits(k_bits_of_float(high[i]) & finite[i]), factor[i], round));
            words[word][i] = (int32_t)((q0 & 0xffff) | q1 << 16);
        }
    }
}

/* `outputs` rows of w from `o` on, their columns [first, first + n): a panel for each 32 columns. */
static void expand_columns(columns *to, const k_gradient *p, size_t o, size_t outputs, size_t first, size_t n) {
    const k_format_info facts = k_format_facts(p->format);
    const size_t row_bytes = p->n_in / facts.block_values * facts.block_bytes;
    const uint8_t *w = p->w + first / facts.block_values * facts.block_bytes;
    _Alignas(64) float values[K_ACT_BLOCK * K_CHUNK] = {0}; /* what does not exist stays zero */
    for (size_t at = 0; at < outputs; at += K_ACT_BLOCK) {
        for (size_t r = 0; r < K_ACT_BLOCK; r++)
            if (at + r < outputs)
                dequantize(values + r * K_CHUNK, w + (o + at + r) * row_bytes, p->format, n);
            else
                memset(values + r * K_CHUNK, 0, n * sizeof(float));
        for (size_t i = 0; i < n; i += K_PANEL)
            integer_columns(to[i / K_PANEL].words + at / 2, to[i / K_PANEL].scale[at / K_ACT_BLOCK], values + i);
    }
}

/* Asks for what will be expanded next: the next K_CHUNK outputs, or the first ones of the next columns. Of these, the rows that
 * panel i of n / K_PANEL has to fetch. */
static void fetch_next(const k_gradient *p, size_t o, size_t first, size_t n, size_t i) {
    const k_format_info facts = k_format_facts(p->format);
    const size_t row_bytes = p->n_in / facts.block_values * facts.block_bytes;
    o += K_CHUNK;
    if (o >= p->n_out) {
        o = 0;
        first += n;
        n = p->n_in - first < n ? p->n_in - first : n;
        if (n == 0) return;
    }
    const size_t begin = first / facts.block_values * facts.block_bytes, bytes = n / facts.block_values * facts.block_bytes;
    for (size_t r = o + i * K_CHUNK / n; r < o + (i + K_PANEL) * K_CHUNK / n && r < p->n_out; r++)
        for (size_t at = begin / 64 * 64; at < begin + bytes; at += 64) __builtin_prefetch(p->w + r * row_bytes + at, 0, 2);
}

static void backward_integers(const k_gradient *p, size_t first, size_t n, size_t begin, size_t end) {
    columns w[K_CHUNK / K_PANEL];
    for (size_t o = 0; o < p->n_out; o += K_CHUNK) {
        const size_t outputs = p->n_out - o < K_CHUNK ? p->n_out - o : K_CHUNK;
        expand_columns(w, p, o, outputs, first, n);
        for (size_t i = 0; i < n; i += K_PANEL) {
            fetch_next(p, o, first, n, i);
            add_columns(p->dx + first + i, p->dx_stride, n - i < K_PANEL ? n - i : K_PANEL, &w[i / K_PANEL], p->dy, o,
                        (outputs + K_ACT_BLOCK - 1) / K_ACT_BLOCK, begin, end);
        }
    }
}
