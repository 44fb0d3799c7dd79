/* From rows to lanes: 16 bytes of each of 16 rows become four registers whose lanes are the rows. */
#include <immintrin.h>

#define K_INLINE static inline __attribute__((always_inline))

K_INLINE __m128i load_16_bytes(const uint8_t *row, size_t offset) { return _mm_loadu_si128((const void *)(row + offset)); }

/* A 4 x 4 transpose in every 128 bits. */
K_INLINE void transpose_4x4(__m512i out[4], const __m512i v[4]) {
    __m512i low01 = _mm512_unpacklo_epi32(v[0], v[1]), high01 = _mm512_unpackhi_epi32(v[0], v[1]);
    __m512i low23 = _mm512_unpacklo_epi32(v[2], v[3]), high23 = _mm512_unpackhi_epi32(v[2], v[3]);
    out[0] = _mm512_unpacklo_epi64(low01, low23);
    out[1] = _mm512_unpackhi_epi64(low01, low23);
    out[2] = _mm512_unpacklo_epi64(high01, high23);
    out[3] = _mm512_unpackhi_epi64(high01, high23);
}

/* out[c], lane r = dword c of the 16 bytes at row[r] + offset. */
K_INLINE void load_lanes(__m512i out[4], const uint8_t *const row[16], size_t offset) {
    __m512i v[4]; /* v[i] = rows i, i + 4, i + 8, i + 12 */
#pragma clang loop unroll(full)
    for (int i = 0; i < 4; i++) {
        v[i] = _mm512_castsi128_si512(load_16_bytes(row[i], offset));
        v[i] = _mm512_inserti32x4(v[i], load_16_bytes(row[i + 4], offset), 1);
        v[i] = _mm512_inserti32x4(v[i], load_16_bytes(row[i + 8], offset), 2);
        v[i] = _mm512_inserti32x4(v[i], load_16_bytes(row[i + 12], offset), 3);
    }
    transpose_4x4(out, v);
}

/* The same for 32 bytes of each row: out[c], lane r = dword c. */
K_INLINE void load_wide_lanes(__m512i out[8], const uint8_t *const row[16], size_t offset) {
    __m512i turned[2][4]; /* of rows 8h to 8h + 7: dwords c and c + 4 of the first four, the same of the last four */
#pragma clang loop unroll(full)
    for (int h = 0; h < 2; h++) {
        __m512i v[4];
#pragma clang loop unroll(full)
        for (int i = 0; i < 4; i++) {
            const uint8_t *first = row[8 * h + i] + offset, *last = row[8 * h + i + 4] + offset;
            v[i] = _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256((const void *)first)),
                                      _mm256_loadu_si256((const void *)last), 1);
        }
        transpose_4x4(turned[h], v);
    }
#pragma clang loop unroll(full)
    for (int c = 0; c < 4; c++) {
        out[c] = _mm512_shuffle_i32x4(turned[0][c], turned[1][c], _MM_SHUFFLE(2, 0, 2, 0));
        out[c + 4] = _mm512_shuffle_i32x4(turned[0][c], turned[1][c], _MM_SHUFFLE(3, 1, 3, 1));
    }
}

/* The low halves of 16 dwords as floats; the high halves. */
K_INLINE __m512 low_halves(__m512i v) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v)); }
K_INLINE __m512 high_halves(__m512i v) { return low_halves(_mm512_srli_epi32(v, 16)); }

/* Where K_PANEL rows start; rows that do not exist repeat the last one, and their lanes are never stored. */
K_INLINE void row_pointers(const uint8_t *row[K_PANEL], const uint8_t *w, size_t row_bytes, size_t rows) {
    for (size_t r = 0; r < K_PANEL; r++) row[r] = w + (r < rows ? r : rows - 1) * row_bytes;
}

/* Asks for bytes [begin, end) after w, in the order in which they lie in memory. */
K_INLINE void prefetch(const uint8_t *w, size_t begin, size_t end) {
    for (size_t byte = begin; byte < end; byte += 64) _mm_prefetch((const char *)w + byte, _MM_HINT_T1);
}
