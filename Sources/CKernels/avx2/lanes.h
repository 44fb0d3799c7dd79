/* What AVX2 says in its own words, with and without VNNI: eight rows to lanes, and the ends of rows of floats. */
#define K_LANES 8

#include "../lanes/lanes.h"

K_INLINE __m256i two_rows(const uint8_t *low, const uint8_t *high) {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const void *)low)),
                                   _mm_loadu_si128((const void *)high), 1);
}

/* out[c], lane r = dword c of the 16 bytes at row[r] + offset: a 4 x 4 transpose in each half. */
K_INLINE void load_lanes(words out[4], const uint8_t *const row[K_LANES], size_t offset) {
    __m256i v[4];
#pragma clang loop unroll(full)
    for (int i = 0; i < 4; i++) v[i] = two_rows(row[i] + offset, row[i + 4] + offset);
    __m256i low01 = _mm256_unpacklo_epi32(v[0], v[1]), high01 = _mm256_unpackhi_epi32(v[0], v[1]);
    __m256i low23 = _mm256_unpacklo_epi32(v[2], v[3]), high23 = _mm256_unpackhi_epi32(v[2], v[3]);
    out[0] = (words)_mm256_unpacklo_epi64(low01, low23);
    out[1] = (words)_mm256_unpackhi_epi64(low01, low23);
    out[2] = (words)_mm256_unpacklo_epi64(high01, high23);
    out[3] = (words)_mm256_unpackhi_epi64(high01, high23);
}

K_INLINE __m256i first_lanes(size_t count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

K_INLINE floats load_some(const float *from, size_t count) { return (floats)_mm256_maskload_ps(from, first_lanes(count)); }

K_INLINE void store_some(float *to, floats v, size_t count) { _mm256_maskstore_ps(to, first_lanes(count), (__m256)v); }
