/* Products of weights and activations held as integers: a panel of 32 outputs and a chunk of K is expanded once and
 * meets the tokens in tiles of 16 outputs by up to TOKENS tokens.
 *
 * Dot products are taken over runs of words. The machine's part, with `run` a constant for the compiler:
 *   partial                              the sums of a run, for K_LANES outputs
 *   add_word(&partial, w, x, kind, run)  adds the products of two 16-bit integers, or of four bytes, in every dword; exact
 *   total(partial, kind, run)            the sum of the run in every dword
 *   most_words(format)                   how many words of bytes a run may have: 1, 2, 4 or 8
 *   zero_point(format, kind)             what is added to every weight in the panel; 0 in int16
 *   TOKENS                               at most 4 */
#include "expand.h"

enum { ROWS = 512 }; /* tokens whose sums are kept beside a panel */

/* Word `word` of one token's activations in every lane. */
K_INLINE words broadcast_word(const void *q, size_t word) {
    uint32_t value;
    memcpy(&value, (const char *)q + 4 * word, sizeof value);
    return value;
}

/* sums [tokens, K_PANEL] += 16 outputs of the panel times the tokens, group by group; a group has `count` words. */
K_INLINE void tile(float *sums, const panel *w, size_t at, const k_activations *x, size_t n, k_format format,
                   k_integers kind, size_t count, size_t run, size_t tokens) {
    const size_t group = count * (kind == K_INT16 ? 2 : 4);
    const int zero = zero_point(format, kind);
    const bool minimum = has_minimum(format);
    for (size_t g = 0; g < n / group; g++) {
        integral sum[TOKENS][PARTS];
#pragma clang loop unroll(full)
        for (size_t t = 0; t < tokens; t++) {
            const int32_t *of_x = x[t].total + g * group / 16;
            for (size_t h = 0; h < PARTS; h++) sum[t][h] = -zero * (group == 16 ? of_x[0] : of_x[0] + of_x[1]);
        }
#pragma clang loop unroll(disable) /* or else the compiler keeps all words in registers, which it has not */
        for (size_t first = 0; first < count; first += run) {
            partial part[TOKENS][PARTS] = {0};
#pragma clang loop unroll_count(2)
            for (size_t i = g * count + first, last = i + run; i < last; i++) {
#pragma clang loop unroll(full)
                for (size_t t = 0; t < tokens; t++) {
                    const words v = broadcast_word(x[t].q, i);
#pragma clang loop unroll(full)
                    for (size_t h = 0; h < PARTS; h++)
                        add_word(&part[t][h], load_words(w->words[i] + at + h * K_LANES), v, kind, run);
                }
            }
#pragma clang loop unroll(full)
            for (size_t t = 0; t < tokens; t++)
                for (size_t h = 0; h < PARTS; h++) sum[t][h] += total(part[t][h], kind, run);
        }
#pragma clang loop unroll(full)
        for (size_t t = 0; t < tokens; t++) {
            const size_t block = g * group / K_ACT_BLOCK;
            const float scale = x[t].scale[block];
            const float of_x = group == 16 ? (float)x[t].total[g] * scale : x[t].sum[block];
            for (size_t h = 0; h < PARTS; h++) {
                const size_t lane = at + h * K_LANES;
                float *to = sums + t * K_PANEL + lane;
                floats acc = __builtin_elementwise_fma(__builtin_convertvector(sum[t][h], floats),
                                                       load_floats(w->scale[g] + lane) * scale, load_floats(to));
                if (minimum) acc = __builtin_elementwise_fma((floats)of_x, load_floats(w->minimum[g] + lane), acc);
                store_floats(to, acc);
            }
        }
    }
}

/* ---- Tiles of tokens ---- */

/* A chunk of one panel for all tokens of `x`, of which the first is row `begin` of the product. */
typedef void multiply_panel(float *sums, const panel *w, const k_product *p, size_t begin, size_t end, size_t first,
                            size_t n);

K_INLINE void panel_tokens(float *sums, const panel *w, const k_product *p, size_t begin, size_t end, size_t first,
                           size_t n, k_integers kind, size_t count, size_t run) {
    for (size_t t = begin; t < end;) {
        /* As few tiles as can be, of about the same size. */
        const size_t rest = end - t, tiles = (rest + TOKENS - 1) / TOKENS, tokens = (rest + tiles - 1) / tiles;
        k_activations x[TOKENS];
        for (size_t i = 0; i < tokens; i++) x[i] = k_activations_at(p->x, t + i, first);
        float *to = sums + (t - begin) * K_PANEL;
        for (size_t at = 0; at < K_PANEL; at += TILE) {
#define TILE_OF(tokens) case tokens: tile(to, w, at, x, n, p->format, kind, count, run, tokens); break
            switch (tokens) {
                TILE_OF(1); TILE_OF(2); TILE_OF(3); TILE_OF(4);
            }
#undef TILE_OF
        }
        t += tokens;
    }
}

#define PANEL_TOKENS(name, kind, count, run)                                                                          \
    static void name(float *sums, const panel *w, const k_product *p, size_t begin, size_t end, size_t first, size_t n) { \
        panel_tokens(sums, w, p, begin, end, first, n, kind, count, run);                                             \
    }

/* Named by the words of a group and of a run. */
PANEL_TOKENS(pairs_16, K_INT16, 16, 16)
PANEL_TOKENS(pairs_8, K_INT16, 8, 8)
PANEL_TOKENS(bytes_8_8, K_INT8, 8, 8)
PANEL_TOKENS(bytes_8_4, K_INT8, 8, 4)
PANEL_TOKENS(bytes_8_2, K_INT8, 8, 2)
PANEL_TOKENS(bytes_8_1, K_INT8, 8, 1)
PANEL_TOKENS(bytes_4_4, K_INT8, 4, 4)
PANEL_TOKENS(bytes_4_2, K_INT8, 4, 2)
PANEL_TOKENS(bytes_4_1, K_INT8, 4, 1)

K_INLINE multiply_panel *panel_product(k_format format, k_integers kind) {
    const bool small = group_of(format) == 16;
    if (kind == K_INT16) return small ? pairs_8 : pairs_16;
    switch (most_words(format)) {
    case 1: return small ? bytes_4_1 : bytes_8_1;
    case 2: return small ? bytes_4_2 : bytes_8_2;
    case 4: return small ? bytes_4_4 : bytes_8_4;
    default: return small ? bytes_4_4 : bytes_8_8;
    }
}

/* ---- All of it ---- */

/* Outputs of panels [begin, end). */
K_INLINE void linear_of_kind(const k_product *p, size_t begin, size_t end, k_integers kind) {
    const k_format_info facts = k_format_facts(p->format);
    const size_t row_bytes = p->n_in / facts.block_values * facts.block_bytes;
    multiply_panel *const product = panel_product(p->format, kind);
    const uint8_t *row[K_PANEL];
    panel w;
    _Alignas(64) float sums[ROWS * K_PANEL];
    for (size_t o = begin * K_PANEL; o < end * K_PANEL && o < p->n_out; o += K_PANEL) {
        const size_t outputs = p->n_out - o < K_PANEL ? p->n_out - o : K_PANEL;
        for (size_t t = 0; t < p->x.rows; t += ROWS) {
            const size_t last = t + ROWS < p->x.rows ? t + ROWS : p->x.rows;
            memset(sums, 0, (last - t) * K_PANEL * sizeof(float));
            for (size_t first = 0; first < p->n_in; first += K_CHUNK) {
                const size_t n = p->n_in - first < K_CHUNK ? p->n_in - first : K_CHUNK;
                const size_t offset = first / facts.block_values * facts.block_bytes;
                row_pointers(row, p->w + o * row_bytes + offset, row_bytes, outputs);
                expand(&w, row, n, p->format, kind);
                product(sums, &w, p, t, last, first, n);
            }
            for (size_t i = t; i < last; i++)
                memcpy(p->y + i * p->y_stride + o, sums + (i - t) * K_PANEL, outputs * sizeof(float));
        }
    }
}

static void linear_int16(const k_product *p, size_t begin, size_t end) { linear_of_kind(p, begin, end, K_INT16); }
static void linear_int8(const k_product *p, size_t begin, size_t end) { linear_of_kind(p, begin, end, K_INT8); }
