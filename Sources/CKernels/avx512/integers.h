/* Products of weights and activations held as integers. Few tokens are multiplied as the weights are expanded, in
 * registers; for more, a panel of 32 outputs and a chunk of K is expanded once and meets the tokens in tiles of up to 6.
 *
 * Whoever includes this defines DOT_INT16(sum, w, x) and DOT_INT8(sum, w, x): for every 32-bit lane, sum plus the products
 * of its two 16-bit integers; of its four bytes, w without and x with a sign. Both exact. */
#include "panel.h"

enum {
    TOKENS = 6, /* of a tile */
    DIRECT = 2, /* tokens that need no panel */
    FEW = 64,   /* up to so many, nobody waits for arithmetic while the first panel comes from memory */
    ROWS = 512  /* tokens whose sums are kept at a time */
};

static void quantize_avx512(k_activations to, const float *x, size_t n) {
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
    const float limit = k_limit(to.kind);
    int16_t *q16 = to.q;
    int8_t *q8 = to.q;
    for (size_t b = 0; b < n / K_ACT_BLOCK; b++, x += K_ACT_BLOCK) {
        __m512 x0 = _mm512_loadu_ps(x), x1 = _mm512_loadu_ps(x + 16);
        uint32_t largest = _mm512_reduce_max_epu32(_mm512_max_epu32(_mm512_and_si512(_mm512_castps_si512(x0), magnitude),
                                                                    _mm512_and_si512(_mm512_castps_si512(x1), magnitude)));
        float amax = k_float_of_bits(largest);
        bool finite = largest < 0x7f800000, flat = amax < 1e-30f;
        __mmask16 some = finite ? 0xffff : 0;
        __m512 factor = _mm512_set1_ps(flat || !finite ? 0 : limit / amax);
        __m512i q0 = _mm512_cvtps_epi32(_mm512_maskz_mul_ps(some, x0, factor));
        __m512i q1 = _mm512_cvtps_epi32(_mm512_maskz_mul_ps(some, x1, factor));
        if (to.kind != K_INT8) { /* in every four the middle two change places */
            __m512i turned0 = _mm512_shuffle_epi32(q0, _MM_PERM_DBCA), turned1 = _mm512_shuffle_epi32(q1, _MM_PERM_DBCA);
            _mm256_storeu_si256((void *)(q16 + b * K_ACT_BLOCK), _mm512_cvtepi32_epi16(turned0));
            _mm256_storeu_si256((void *)(q16 + b * K_ACT_BLOCK + 16), _mm512_cvtepi32_epi16(turned1));
        } else {
            _mm_storeu_si128((void *)(q8 + b * K_ACT_BLOCK), _mm512_cvtepi32_epi8(q0));
            _mm_storeu_si128((void *)(q8 + b * K_ACT_BLOCK + 16), _mm512_cvtepi32_epi8(q1));
        }
        int32_t total0 = _mm512_reduce_add_epi32(q0), total1 = _mm512_reduce_add_epi32(q1);
        to.scale[b] = !finite ? NAN : flat ? 0 : amax / limit;
        to.sum[b] = (float)(total0 + total1) * to.scale[b];
        to.total[2 * b] = total0;
        to.total[2 * b + 1] = total1;
    }
}

/* Word `word` of one token's activations in every lane. */
K_INLINE __m512i broadcast_word(const void *q, int word) {
    int32_t value;
    memcpy(&value, (const char *)q + 4 * (size_t)word, sizeof value);
    return _mm512_set1_epi32(value);
}

/* sum plus four weights times word `word` of the activations of token t, which in int16 is two words of pairs: their order is that
 * in which a mask and a shift leave the weights. Bytes have a sign in int16 panels of formats with a zero point. */
K_INLINE __m512i add_word(__m512i sum, __m512i w, k_activations x, int t, int word, k_integers kind, bool sign) {
    const char *q = (const char *)x.q + t * K_CHUNK * (kind == K_INT16 ? 2 : 1);
    if (kind == K_INT8) return DOT_INT8(sum, w, broadcast_word(q, word));
    const __m512i even = sign ? _mm512_srai_epi16(_mm512_slli_epi16(w, 8), 8)
                              : _mm512_and_si512(w, _mm512_set1_epi32(0x00ff00ff));
    const __m512i odd = sign ? _mm512_srai_epi16(w, 8) : _mm512_srli_epi16(w, 8);
    return DOT_INT16(DOT_INT16(sum, even, broadcast_word(q, 2 * word)), odd, broadcast_word(q, 2 * word + 1));
}

/* What the zero point has added to the dot product of group g (of the chunk). */
K_INLINE __m512i excess(k_activations x, int t, int g, k_format format) {
    const int32_t *total = x.total + t * (K_CHUNK / 16);
    int32_t sum = group_values(format) == 16 ? total[g] : total[2 * g] + total[2 * g + 1];
    return _mm512_set1_epi32(sum * zero_point(format));
}

/* acc after group g of the chunk. */
K_INLINE __m512 add_group(__m512 acc, __m512i sum, __m512 scale, __m512 minimum, k_activations x, int t, int g,
                          k_format format, bool has_minimum) {
    const int block = t * (K_CHUNK / K_ACT_BLOCK) + g * group_values(format) / K_ACT_BLOCK;
    __m512 factor = _mm512_mul_ps(scale, _mm512_set1_ps(x.scale[block]));
    acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), factor, acc);
    if (!has_minimum) return acc;
    float x_sum = group_values(format) == 32 ? x.sum[block] : (float)x.total[t * (K_CHUNK / 16) + g] * x.scale[block];
    return _mm512_fmadd_ps(_mm512_set1_ps(x_sum), minimum, acc);
}

/* ---- Few tokens ---- */

/* 16 outputs from o on, of which `lanes` exist, for all `tokens` tokens: the whole of K. Meanwhile 16 rows from `next` on
 * are fetched. */
K_INLINE void direct_lanes(const k_product *p, const uint8_t *const start[16], const uint8_t *next, size_t o,
                           __mmask16 lanes, k_format format, k_integers kind, int tokens) {
    const k_format_info facts = k_format_facts(p->format);
    const int unit = unit_of(format), group = group_values(format), group_words = group / 4;
    const bool minimum = adds_minimum(p, format);
    integers widened[16];
    __m512 acc[DIRECT];
#pragma clang loop unroll(full)
    for (int i = 0; i < tokens; i++) acc[i] = _mm512_setzero_ps();
    for (size_t first = 0; first < p->n_in; first += K_CHUNK) {
        const size_t n = p->n_in - first < K_CHUNK ? p->n_in - first : K_CHUNK;
        const size_t offset = first / facts.block_values * facts.block_bytes;
        const size_t unit_bytes = (size_t)unit * facts.block_bytes / facts.block_values;
        const uint8_t *row[16];
        for (size_t r = 0; r < 16; r++) row[r] = start[r] + offset;
        if (!expands(format)) widen_rows(widened, row, p->format, n);
        const k_activations x = k_activations_at(p->x, 0, first);
        unit_scales scales;
        load_scales(&scales, row, format, n);
        for (size_t u = 0; u < n / (size_t)unit; u++) {
            __m512i words[32];
            prefetch(next, 16 * (offset + u * unit_bytes), 16 * (offset + (u + 1) * unit_bytes));
            expand_unit((word_sink){words, 1, 0}, row, u, format);
#pragma clang loop unroll(full)
            for (int g = 0; g < unit / group; g++) {
                const int in_chunk = (int)u * (unit / group) + g;
#pragma clang loop unroll(full)
                for (int i = 0; i < tokens; i++) {
                    __m512i sum = _mm512_setzero_si512();
#pragma clang loop unroll(full)
                    for (int w = 0; w < group_words; w++)
                        sum = add_word(sum, words[g * group_words + w], x, i, in_chunk * group_words + w, kind, false);
                    if (zero_point(format)) sum = _mm512_sub_epi32(sum, excess(x, i, in_chunk, format));
                    acc[i] = add_group(acc[i], sum, scales.scale[in_chunk], scales.minimum[in_chunk], x, i, in_chunk, format,
                                       minimum);
                }
            }
        }
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < tokens; i++) _mm512_mask_storeu_ps(p->y + (size_t)i * p->y_stride + o, lanes, acc[i]);
}

/* ---- Panels ---- */

/* sums [tokens][32] += n values of the panel times the tokens. */
K_INLINE void tile(float *sums, const panel *w, k_activations x, size_t n, bool start, fetch *ahead, k_format format,
                   bool minimum, k_integers kind, int tokens) {
    const int group = group_values(format), words = group / 4, zero = zero_point(format);
    __m512 acc[TOKENS][2];
#pragma clang loop unroll(full)
    for (int t = 0; t < tokens; t++)
        for (int h = 0; h < 2; h++)
            acc[t][h] = start ? _mm512_setzero_ps() : _mm512_loadu_ps(sums + t * K_PANEL + 16 * h);
    for (int g = 0; g < (int)n / group; g++) {
        __m512i sum[TOKENS][2];
        fetch_lines(ahead);
#pragma clang loop unroll(full)
        for (int t = 0; t < tokens; t++) sum[t][0] = sum[t][1] = _mm512_setzero_si512();
#pragma clang loop unroll(full)
        for (int i = 0; i < words; i++) {
            const __m512i w0 = w->words[g * words + i][0], w1 = w->words[g * words + i][1];
#pragma clang loop unroll(full)
            for (int t = 0; t < tokens; t++) {
                sum[t][0] = add_word(sum[t][0], w0, x, t, g * words + i, kind, zero != 0);
                sum[t][1] = add_word(sum[t][1], w1, x, t, g * words + i, kind, zero != 0);
            }
        }
#pragma clang loop unroll(full)
        for (int t = 0; t < tokens; t++) {
            const __m512i more = kind == K_INT8 && zero ? excess(x, t, g, format) : _mm512_setzero_si512();
            for (int h = 0; h < 2; h++) {
                sum[t][h] = _mm512_sub_epi32(sum[t][h], more);
                acc[t][h] = add_group(acc[t][h], sum[t][h], w->scales[h].scale[g], w->scales[h].minimum[g], x, t, g,
                                      format, minimum);
            }
        }
    }
#pragma clang loop unroll(full)
    for (int t = 0; t < tokens; t++)
        for (int h = 0; h < 2; h++) _mm512_storeu_ps(sums + t * K_PANEL + 16 * h, acc[t][h]);
}

/* Tokens [begin, end), at most ROWS, with `sums [ROWS, K_PANEL]` of the panel's outputs. */
K_INLINE void panel_tokens(const k_product *p, const panel *w, float *sums, size_t begin, size_t end, size_t first,
                           size_t n, fetch ahead, k_format format, k_integers kind) {
    const size_t tiles = (end - begin + TOKENS - 1) / TOKENS, groups = n / (size_t)group_values(format);
    const bool minimum = adds_minimum(p, format);
    ahead.step = 1 + (size_t)(ahead.end - ahead.at) / 64 / (tiles * groups);
    for (size_t i = 0; i < tiles; i++) { /* tiles of about the same size */
        const size_t t = begin + (end - begin) * i / tiles, tokens = begin + (end - begin) * (i + 1) / tiles - t;
        const k_activations x = k_activations_at(p->x, t, first);
        float *to = sums + (t - begin) * K_PANEL;
#define TILE(tokens) case tokens: tile(to, w, x, n, first == 0, &ahead, format, minimum, kind, tokens); break
        switch (tokens) {
            TILE(1); TILE(2); TILE(3); TILE(4); TILE(5); TILE(6);
        }
#undef TILE
    }
}

/* ---- All of it ---- */

/* Outputs of panels [begin, end). While one panel is multiplied, the next is fetched in the order in which it lies; few
 * tokens wait for the first, for they would be slower than memory without that. */
K_INLINE void linear_format(const k_product *p, size_t begin, size_t end, k_format format, k_integers kind) {
    const k_format_info facts = k_format_facts(p->format);
    const size_t row_bytes = p->n_in / facts.block_values * facts.block_bytes;
    const uint8_t *row[K_PANEL];
    panel w;
    _Alignas(64) float sums[ROWS * K_PANEL];
    if (p->x.rows <= FEW) prefetch(p->w, begin * K_PANEL * row_bytes, (begin + 1) * K_PANEL * row_bytes);
    for (size_t o = begin * K_PANEL; o < end * K_PANEL && o < p->n_out; o += K_PANEL) {
        const size_t outputs = p->n_out - o < K_PANEL ? p->n_out - o : K_PANEL;
        const uint32_t real = outputs == K_PANEL ? ~0u : (1u << outputs) - 1;
        const __mmask16 lanes[2] = {(__mmask16)real, (__mmask16)(real >> 16)};
        const uint8_t *next = p->w + (o + K_PANEL) * row_bytes;
        if (p->x.rows <= DIRECT) {
            row_pointers(row, p->w + o * row_bytes, row_bytes, outputs);
            for (size_t h = 0; h < 2; h++) {
                const uint8_t *ahead = next + 16 * h * row_bytes;
                if (p->x.rows == 1) direct_lanes(p, row + 16 * h, ahead, o + 16 * h, lanes[h], format, kind, 1);
                if (p->x.rows == 2) direct_lanes(p, row + 16 * h, ahead, o + 16 * h, lanes[h], format, kind, 2);
            }
            continue;
        }
        for (size_t t = 0; t < p->x.rows; t += ROWS) {
            const size_t last = t + ROWS < p->x.rows ? t + ROWS : p->x.rows;
            for (size_t first = 0; first < p->n_in; first += K_CHUNK) {
                const size_t n = p->n_in - first < K_CHUNK ? p->n_in - first : K_CHUNK;
                const size_t offset = first / facts.block_values * facts.block_bytes;
                const size_t bytes = n / facts.block_values * facts.block_bytes;
                const fetch ahead = {next + K_PANEL * offset, next + K_PANEL * (offset + bytes), 0};
                row_pointers(row, p->w + o * row_bytes + offset, row_bytes, outputs);
                expand(&w, p, row, n, format, kind == K_INT16);
                panel_tokens(p, &w, sums, t, last, first, n, ahead, format, kind);
            }
            for (size_t i = t; i < last; i++)
                for (size_t h = 0; h < 2; h++)
                    _mm512_mask_storeu_ps(p->y + i * p->y_stride + o + 16 * h, lanes[h],
                                          _mm512_load_ps(sums + (i - t) * K_PANEL + 16 * h));
        }
    }
}

/* One function for each kind and way to expand, so that the compiler sees both. */
#define X(id)                                                                                                        \
    static void int16_##id(const k_product *p, size_t begin, size_t end) { linear_format(p, begin, end, id, K_INT16); } \
    static void int8_##id(const k_product *p, size_t begin, size_t end) { linear_format(p, begin, end, id, K_INT8); }
EXPANDED(X) X(WIDENED_16) X(WIDENED_32)
#undef X

static void linear_int16(const k_product *p, size_t begin, size_t end) {
    switch (p->format) {
#define X(id) case id: int16_##id(p, begin, end); break;
        EXPANDED(X)
#undef X
    default: group_of(p->format) == 16 ? int16_WIDENED_16(p, begin, end) : int16_WIDENED_32(p, begin, end);
    }
}

static void linear_int8(const k_product *p, size_t begin, size_t end) {
    switch (p->format) {
#define X(id) case id: int8_##id(p, begin, end); break;
        EXPANDED(X)
#undef X
    default: group_of(p->format) == 16 ? int8_WIDENED_16(p, begin, end) : int8_WIDENED_32(p, begin, end);
    }
}
