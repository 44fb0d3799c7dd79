/* A panel of columns times rows of dy, in tiles of up to 6 rows: the dot products of integers.h without minima. */

enum { GRADIENT_ROWS = 6 };

/* dx [rows, 32] += groups of 32 outputs; `lanes` are the columns of each register that exist. */
K_INLINE void gradient_tile(float *dx, size_t dx_stride, const __mmask16 lanes[2], const columns *w, const k_activations *dy,
                            size_t groups, int rows) {
    __m512 acc[GRADIENT_ROWS][2];
#pragma clang loop unroll(full)
    for (int t = 0; t < rows; t++)
        for (int h = 0; h < 2; h++) acc[t][h] = _mm512_maskz_loadu_ps(lanes[h], dx + (size_t)t * dx_stride + 16 * h);
    for (size_t g = 0; g < groups; g++) {
        __m512i sum[GRADIENT_ROWS][2];
#pragma clang loop unroll(full)
        for (int t = 0; t < rows; t++) sum[t][0] = sum[t][1] = _mm512_setzero_si512();
#pragma clang loop unroll(full)
        for (int i = 0; i < K_ACT_BLOCK / 2; i++) {
            const int32_t *word = w->words[g * (K_ACT_BLOCK / 2) + (size_t)i];
            const __m512i w0 = _mm512_load_si512(word), w1 = _mm512_load_si512(word + 16);
#pragma clang loop unroll(full)
            for (int t = 0; t < rows; t++) {
                const __m512i v = broadcast_word(dy[t].q, (int)g * (K_ACT_BLOCK / 2) + i);
                sum[t][0] = DOT_INT16(sum[t][0], w0, v);
                sum[t][1] = DOT_INT16(sum[t][1], w1, v);
            }
        }
#pragma clang loop unroll(full)
        for (int t = 0; t < rows; t++) {
            const __m512 scale = _mm512_set1_ps(dy[t].scale[g]);
            for (int h = 0; h < 2; h++)
                acc[t][h] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[t][h]),
                                            _mm512_mul_ps(_mm512_load_ps(w->scale[g] + 16 * h), scale), acc[t][h]);
        }
    }
#pragma clang loop unroll(full)
    for (int t = 0; t < rows; t++)
        for (int h = 0; h < 2; h++) _mm512_mask_storeu_ps(dx + (size_t)t * dx_stride + 16 * h, lanes[h], acc[t][h]);
}

static void add_columns(float *dx, size_t dx_stride, size_t count, const columns *w, k_activations dy, size_t first,
                        size_t groups, size_t begin, size_t end) {
    const uint32_t real = count == K_PANEL ? ~0u : (1u << count) - 1;
    const __mmask16 lanes[2] = {(__mmask16)real, (__mmask16)(real >> 16)};
    for (size_t t = begin; t < end; t += GRADIENT_ROWS) {
        const size_t rows = end - t < GRADIENT_ROWS ? end - t : GRADIENT_ROWS;
        k_activations q[GRADIENT_ROWS];
        for (size_t r = 0; r < rows; r++) q[r] = k_activations_at(dy, t + r, first);
        float *to = dx + t * dx_stride;
        for (size_t r = GRADIENT_ROWS; r < 2 * GRADIENT_ROWS && t + r < end; r++) { /* what the next tile adds to */
            _mm_prefetch((const char *)(to + r * dx_stride), _MM_HINT_T0);
            _mm_prefetch((const char *)(to + r * dx_stride + 16), _MM_HINT_T0);
        }
#define TILE(rows) case rows: gradient_tile(to, dx_stride, lanes, w, q, groups, rows); break
        switch (rows) {
            TILE(1); TILE(2); TILE(3); TILE(4); TILE(5); TILE(6);
        }
#undef TILE
    }
}
