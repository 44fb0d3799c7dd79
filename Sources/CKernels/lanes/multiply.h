/* Float products: 16 columns times 6 rows in registers. The machine's part, for the first `count` of K_LANES floats:
 *   load_some(from, count)       the others are not read, and anything
 *   store_some(to, v, count)     the others are not written */

enum { MOST_ROWS = 6 };

K_INLINE size_t columns_of_part(size_t columns, size_t part) {
    const size_t before = part * K_LANES;
    return columns <= before ? 0 : columns - before < K_LANES ? columns - before : K_LANES;
}

K_INLINE floats load_columns(const float *from, size_t columns, size_t part) {
    return columns == TILE ? load_floats(from + part * K_LANES)
                           : load_some(from + part * K_LANES, columns_of_part(columns, part));
}

K_INLINE void store_columns(float *to, floats v, size_t columns, size_t part) {
    if (columns == TILE)
        store_floats(to + part * K_LANES, v);
    else
        store_some(to + part * K_LANES, v, columns_of_part(columns, part));
}

/* out [rows, columns] (+)= a [rows, k] b [k, columns]. From row to row of a there are a_stride floats, along k a_step. */
K_INLINE void float_tile(float *out, size_t out_stride, const float *a, size_t a_stride, size_t a_step, const float *b,
                         size_t b_stride, size_t k, bool accumulate, size_t columns, size_t rows) {
    floats acc[MOST_ROWS][PARTS];
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < PARTS; c++)
            acc[r][c] = accumulate ? load_columns(out + r * out_stride, columns, c) : (floats)0;
    for (size_t i = 0; i < k; i++) {
        floats w[PARTS];
#pragma clang loop unroll(full)
        for (size_t c = 0; c < PARTS; c++) w[c] = load_columns(b + i * b_stride, columns, c);
#pragma clang loop unroll(full)
        for (size_t r = 0; r < rows; r++) {
            const floats x = a[r * a_stride + i * a_step];
#pragma clang loop unroll(full)
            for (size_t c = 0; c < PARTS; c++) acc[r][c] = __builtin_elementwise_fma(x, w[c], acc[r][c]);
        }
    }
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < PARTS; c++) store_columns(out + r * out_stride, acc[r][c], columns, c);
}

/* The same for `rows` up to 6: a constant for the compiler. */
K_INLINE void tile_of_rows(float *out, size_t out_stride, const float *a, size_t a_stride, size_t a_step, const float *b,
                           size_t b_stride, size_t k, bool accumulate, size_t columns, size_t rows) {
#define TILE_OF(rows) float_tile(out, out_stride, a, a_stride, a_step, b, b_stride, k, accumulate, columns, rows)
    switch (rows) {
    case 1: TILE_OF(1); break;
    case 2: TILE_OF(2); break;
    case 3: TILE_OF(3); break;
    case 4: TILE_OF(4); break;
    case 5: TILE_OF(5); break;
    default: TILE_OF(6); break;
    }
#undef TILE_OF
}

static void multiply(float *out, size_t out_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
                     size_t m, size_t n, size_t k, bool accumulate) {
    const size_t whole = n / TILE * TILE;
    /* As many columns as keep 16 KB of b in the first cache while all rows pass: long runs of out for a short k. */
    const size_t run = k < 256 ? 4096 / (k + 1) / TILE * TILE + TILE : TILE;
    for (size_t first = 0; first < n; first += run)
        for (size_t t = 0; t < m; t += MOST_ROWS) {
            const float *from = a + t * a_stride;
            float *to = out + t * out_stride;
            for (size_t j = first; j < whole && j < first + run; j += TILE)
                tile_of_rows(to + j, out_stride, from, a_stride, 1, b + j, b_stride, k, accumulate, TILE, m - t);
            if (whole < n && whole >= first && whole < first + run)
                tile_of_rows(to + whole, out_stride, from, a_stride, 1, b + whole, b_stride, k, accumulate, n - whole, m - t);
        }
}

/* Rows of floats, four columns at a time, to lanes. */
static void panel_of_floats(float *to, const uint8_t *w, size_t row_bytes, k_format format, size_t rows, size_t n) {
    float values[K_PANEL][K_CHUNK];
    const uint8_t *row[K_PANEL];
    if (format != K_F32) {
        for (size_t r = 0; r < rows; r++) dequantize(values[r], w + r * row_bytes, format, n);
        w = (const uint8_t *)values;
        row_bytes = sizeof values[0];
    }
    row_pointers(row, w, row_bytes, rows);
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t at = 0; at < K_PANEL; at += K_LANES) {
            words v[4];
            load_lanes(v, row + at, i * sizeof(float));
            for (size_t c = 0; c < 4; c++) store_words(to + (i + c) * K_PANEL + at, v[c]);
        }
    for (; i < n; i++)
        for (size_t r = 0; r < K_PANEL; r++) memcpy(to + i * K_PANEL + r, row[r] + i * sizeof(float), sizeof(float));
}
