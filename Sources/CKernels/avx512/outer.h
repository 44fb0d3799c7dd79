/* k_outer with the tiles of multiply.h, whose rows are columns of a here: 8 times 32 columns of b, or 16 times 16. */

/* out [rows, 16 * registers] += scale * a^T b, of the last register the columns `last`. */
K_INLINE void outer_tile(float *out, size_t out_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
                         size_t tokens, float scale, __mmask16 last, int registers, int rows) {
    _Alignas(64) float sums[MOST_ROWS * 16];
    const size_t stride = 16 * (size_t)registers;
    float_tile(sums, stride, a, 1, a_stride, b, b_stride, tokens, false, last, registers, rows);
    for (size_t r = 0; r < (size_t)rows; r++)
        for (size_t c = 0; c < stride; c += 16) {
            const __mmask16 columns = c + 16 < stride ? 0xffff : last;
            float *to = out + r * out_stride + c;
            const __m512 old = _mm512_maskz_loadu_ps(columns, to), sum = _mm512_load_ps(sums + r * stride + c);
            _mm512_mask_storeu_ps(to, columns, _mm512_fmadd_ps(_mm512_set1_ps(scale), sum, old));
        }
}

static void outer_avx512(float *out, size_t out_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
                         size_t m, size_t n, size_t tokens, float scale) {
    for (size_t j = 0; j < n; j += 32) {
        const size_t width = n - j < 32 ? n - j : 32;
        const __mmask16 last = (__mmask16)(0xffff >> (width > 16 ? 32 - width : 16 - width));
        size_t r = 0;
#define TILES(registers, rows)                                                                                       \
    for (; r + (rows) <= m; r += (rows))                                                                             \
        outer_tile(out + r * out_stride + j, out_stride, a + r, a_stride, b + j, b_stride, tokens, scale, last, registers, rows)
        if (width > 16) {
            TILES(2, 8);
            TILES(2, 4);
            TILES(2, 1);
        } else {
            TILES(1, 16);
            TILES(1, 4);
            TILES(1, 1);
        }
#undef TILES
    }
}
