/* k_outer with the tiles of multiply.h, whose rows are columns of a here. */

static void outer(float *out, size_t out_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
                  size_t m, size_t n, size_t tokens, float scale) {
    for (size_t j = 0; j < n; j += TILE) {
        const size_t width = n - j < TILE ? n - j : TILE;
        for (size_t r = 0; r < m; r += MOST_ROWS) {
            const size_t rows = m - r < MOST_ROWS ? m - r : MOST_ROWS;
            float sums[MOST_ROWS * TILE];
            tile_of_rows(sums, TILE, a + r, 1, a_stride, b + j, b_stride, tokens, false, width, rows);
            for (size_t i = 0; i < rows; i++)
                for (size_t c = 0; c < width; c++) {
                    float *to = out + (r + i) * out_stride + j + c;
                    *to = fmaf(scale, sums[i * TILE + c], *to);
                }
        }
    }
}
