/* Float products: 32 columns times 6 rows in registers; where 16 columns are enough, 16 times 12. */

enum { MOST_ROWS = 16 };

/* out [rows, 16 * registers] (+)= a [rows, k] b [k, 16 * registers]; `last` are the columns of the last register. From row to
 * row of a there are a_stride floats, along k a_step. */
K_INLINE void float_tile(float *out, size_t out_stride, const float *a, size_t a_stride, size_t a_step, const float *b,
                         size_t b_stride, size_t k, bool accumulate, __mmask16 last, int registers, int rows) {
    __m512 acc[MOST_ROWS][2];
    const __mmask16 columns[2] = {registers == 1 ? last : 0xffff, last};
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < registers; c++)
            acc[r][c] = _mm512_maskz_loadu_ps(accumulate ? columns[c] : 0, out + (size_t)r * out_stride + 16 * c);
    for (size_t i = 0; i < k; i++) {
        __m512 w[2];
#pragma clang loop unroll(full)
        for (int c = 0; c < registers; c++) w[c] = _mm512_maskz_loadu_ps(columns[c], b + i * b_stride + 16 * c);
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; r++) {
            __m512 x = _mm512_set1_ps(a[(size_t)r * a_stride + i * a_step]);
#pragma clang loop unroll(full)
            for (int c = 0; c < registers; c++) acc[r][c] = _mm512_fmadd_ps(x, w[c], acc[r][c]);
        }
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < registers; c++)
            _mm512_mask_storeu_ps(out + (size_t)r * out_stride + 16 * c, columns[c], acc[r][c]);
}

/* The same for `rows` up to 6 and two registers: a constant for the compiler. */
K_INLINE void tile_of_32(float *out, size_t out_stride, const float *a, size_t a_stride, const float *b,
                         size_t b_stride, size_t k, bool accumulate, __mmask16 last, size_t rows) {
#define TILE(rows) float_tile(out, out_stride, a, a_stride, 1, b, b_stride, k, accumulate, last, 2, rows)
    switch (rows) {
    case 1: TILE(1); break;
    case 2: TILE(2); break;
    case 3: TILE(3); break;
    case 4: TILE(4); break;
    case 5: TILE(5); break;
    default: TILE(6); break;
    }
#undef TILE
}

static void tiles_of_16(float *out, size_t out_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
                        size_t m, size_t k, bool accumulate, __mmask16 last) {
    size_t t = 0;
#define TILE(rows) \
    float_tile(out + t * out_stride, out_stride, a + t * a_stride, a_stride, 1, b, b_stride, k, accumulate, last, 1, rows)
    for (; t + 12 <= m; t += 12) TILE(12);
    for (; t + 4 <= m; t += 4) TILE(4);
    for (; t < m; t++) TILE(1);
#undef TILE
}

static void multiply_avx512(float *out, size_t out_stride, const float *a, size_t a_stride, const float *b,
                            size_t b_stride, size_t m, size_t n, size_t k, bool accumulate) {
    const size_t rest = n % 32, wide = rest > 0 && rest <= 16 ? n - rest : n;
    /* As many columns as keep 32 KB of b in the first cache while all rows pass: long runs of out for a short k. */
    const size_t run = k < 256 ? 8192 / (k + 1) / 32 * 32 + 32 : 32;
    for (size_t first = 0; first < wide; first += run)
        for (size_t t = 0; t < m; t += 6)
            for (size_t j = first; j < wide && j < first + run; j += 32) {
                __mmask16 last = wide - j < 32 ? (__mmask16)((1u << (wide - j - 16)) - 1) : 0xffff;
                tile_of_32(out + t * out_stride + j, out_stride, a + t * a_stride, a_stride, b + j, b_stride, k,
                           accumulate, last, m - t);
            }
    if (wide < n)
        tiles_of_16(out + wide, out_stride, a, a_stride, b + wide, b_stride, m, k, accumulate,
                    (__mmask16)((1u << rest) - 1));
}

/* ---- Panels of floats ---- */

/* Columns [0, n) of float rows; the last columns may be fewer than a load holds. */
K_INLINE void panel_of_floats(float *panel, const uint8_t *const row[K_PANEL], k_format format, size_t n) {
    const size_t size = format == K_F32 ? 4 : 2, step = 16 / size;
    size_t i = 0;
    for (; i + step <= n; i += step)
        for (size_t h = 0; h < 2; h++) {
            __m512i v[4];
            load_lanes(v, row + 16 * h, i * size);
            float *to = panel + i * K_PANEL + 16 * h;
            for (size_t c = 0; c < 4; c++) {
                if (format == K_F32) {
                    _mm512_storeu_si512(to + c * K_PANEL, v[c]);
                } else if (format == K_F16) {
                    _mm512_storeu_ps(to + 2 * c * K_PANEL, low_halves(v[c]));
                    _mm512_storeu_ps(to + (2 * c + 1) * K_PANEL, high_halves(v[c]));
                } else {
                    _mm512_storeu_si512(to + 2 * c * K_PANEL, _mm512_slli_epi32(v[c], 16));
                    _mm512_storeu_si512(to + (2 * c + 1) * K_PANEL,
                                        _mm512_and_si512(v[c], _mm512_set1_epi32((int)0xffff0000)));
                }
            }
        }
    for (; i < n; i++)
        for (size_t r = 0; r < K_PANEL; r++) dequantize(panel + i * K_PANEL + r, row[r] + i * size, format, 1);
}

static void panel_avx512(float *panel, const uint8_t *w, size_t row_bytes, k_format format, size_t rows, size_t n) {
    _Alignas(64) float values[K_PANEL][K_CHUNK];
    const uint8_t *row[K_PANEL];
    row_pointers(row, w, row_bytes, rows);
    switch (format) {
    case K_F32: panel_of_floats(panel, row, K_F32, n); break;
    case K_F16: panel_of_floats(panel, row, K_F16, n); break;
    case K_BF16: panel_of_floats(panel, row, K_BF16, n); break;
    default:
        for (size_t r = 0; r < rows; r++) dequantize(values[r], row[r], format, n);
        row_pointers(row, (const uint8_t *)values, sizeof values[0], rows);
        panel_of_floats(panel, row, K_F32, n);
    }
}
