/* A panel of columns times rows of dy, in tiles of 16 columns by up to TOKENS rows: the dot products of integers.h without
 * minima, and the ends of rows of multiply.h. */

/* dx [rows, TILE] += groups of 32 outputs; `count` columns exist. */
K_INLINE void gradient_tile(float *dx, size_t dx_stride, size_t count, const columns *w, size_t at, const k_activations *dy,
                            size_t groups, size_t rows) {
    const size_t group_words = K_ACT_BLOCK / 2;
    floats acc[TOKENS][PARTS];
#pragma clang loop unroll(full)
    for (size_t t = 0; t < rows; t++)
        for (size_t h = 0; h < PARTS; h++) acc[t][h] = load_columns(dx + t * dx_stride, count, h);
    for (size_t g = 0; g < groups; g++) {
        partial part[TOKENS][PARTS] = {0};
#pragma clang loop unroll_count(2)
        for (size_t i = g * group_words; i < (g + 1) * group_words; i++) {
#pragma clang loop unroll(full)
            for (size_t t = 0; t < rows; t++) {
                const words v = broadcast_word(dy[t].q, i);
#pragma clang loop unroll(full)
                for (size_t h = 0; h < PARTS; h++)
                    add_word(&part[t][h], load_words(w->words[i] + at + h * K_LANES), v, K_INT16, group_words);
            }
        }
#pragma clang loop unroll(full)
        for (size_t t = 0; t < rows; t++)
            for (size_t h = 0; h < PARTS; h++) {
                const floats sum = __builtin_convertvector(total(part[t][h], K_INT16, group_words), floats);
                const floats scale = load_floats(w->scale[g] + at + h * K_LANES) * dy[t].scale[g];
                acc[t][h] = __builtin_elementwise_fma(sum, scale, acc[t][h]);
            }
    }
#pragma clang loop unroll(full)
    for (size_t t = 0; t < rows; t++)
        for (size_t h = 0; h < PARTS; h++) store_columns(dx + t * dx_stride, acc[t][h], count, h);
}

static void add_columns(float *dx, size_t dx_stride, size_t count, const columns *w, k_activations dy, size_t first,
                        size_t groups, size_t begin, size_t end) {
    for (size_t t = begin; t < end; t += TOKENS) {
        const size_t rows = end - t < TOKENS ? end - t : TOKENS;
        k_activations q[TOKENS];
        for (size_t r = 0; r < rows; r++) q[r] = k_activations_at(dy, t + r, first);
        for (size_t at = 0; at < count; at += TILE) {
            float *to = dx + t * dx_stride + at;
            const size_t width = count - at < TILE ? count - at : TILE;
#define TILE_OF(rows) case rows: gradient_tile(to, dx_stride, width, w, at, q, groups, rows); break
            switch (rows) {
                TILE_OF(1); TILE_OF(2); TILE_OF(3); TILE_OF(4);
            }
#undef TILE_OF
        }
    }
}
