/* x86 with AVX2 and FMA: products of 16-bit pairs, then an addition; bytes go through 16-bit sums of products. */
#pragma STDC FP_CONTRACT OFF

#if defined(__x86_64__)

#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "../table.h"

#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#include "lanes.h"

enum { TOKENS = 4 };

typedef __m256i partial;

/* A word adds two products to each 16-bit sum, the activation being at most 127: 16 * 15 * 127, 8 * 31 * 127, 4 * 63 * 127
 * and 2 * 128 * 127 are below 2^15. */
K_INLINE int most_words(k_format format) {
    const int bits = bits_of(format);
    return bits <= 4 ? 8 : bits == 5 ? 4 : bits == 6 ? 2 : 1;
}

/* Bytes are multiplied without a sign, so weights of few bits are held without one. */
K_INLINE int zero_point(k_format format, k_integers kind) {
    const int bits = bits_of(format);
    return kind == K_INT16 || bits > 6 || has_minimum(format) ? 0 : 1 << (bits - 1);
}

/* A run of one word has weights with a sign, which moves to the activation. */
K_INLINE void add_word(partial *sum, words w, words x, k_integers kind, size_t run) {
    const __m256i v = (__m256i)w, q = (__m256i)x;
    if (kind == K_INT16)
        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(v, q));
    else if (run == 1)
        *sum = _mm256_maddubs_epi16(_mm256_abs_epi8(v), _mm256_sign_epi8(q, v));
    else
        *sum = _mm256_add_epi16(*sum, _mm256_maddubs_epi16(v, q));
}

K_INLINE integral total(partial sum, k_integers kind, size_t run) {
    return (integral)(kind == K_INT16 ? sum : _mm256_madd_epi16(sum, _mm256_set1_epi16(1)));
}

#define PEAK_INT16(sum, a, b) (words)_mm256_add_epi32((__m256i)(sum), _mm256_madd_epi16((__m256i)(a), (__m256i)(b)))
#define PEAK_INT8(sum, a, b) (words)_mm256_add_epi16((__m256i)(sum), _mm256_maddubs_epi16((__m256i)(a), (__m256i)(b)))
enum { PEAK_INT16_PRODUCTS = 2, PEAK_INT8_PRODUCTS = 4 };

#include "../lanes/table.h"
#pragma clang attribute pop

const k_table k_avx2 = K_LANES_TABLE("avx2");

#endif
