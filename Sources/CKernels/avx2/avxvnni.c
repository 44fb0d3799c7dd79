/* x86 with AVX2 and VNNI but without AVX-512: dot products in one instruction. */
#pragma STDC FP_CONTRACT OFF

#if defined(__x86_64__)

#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "../table.h"

#pragma clang attribute push(__attribute__((target("avx2,fma,avxvnni"))), apply_to = function)
#include "lanes.h"

enum { TOKENS = 4 };

typedef __m256i partial;

K_INLINE int most_words(k_format format) { return 8; }

/* Bytes of weights are multiplied without a sign. */
K_INLINE int zero_point(k_format format, k_integers kind) { return kind == K_INT16 || has_minimum(format) ? 0 : 128; }

K_INLINE void add_word(partial *sum, words w, words x, k_integers kind, size_t run) {
    *sum = kind == K_INT16 ? _mm256_dpwssd_avx_epi32(*sum, (__m256i)w, (__m256i)x)
                           : _mm256_dpbusd_avx_epi32(*sum, (__m256i)w, (__m256i)x);
}

K_INLINE integral total(partial sum, k_integers kind, size_t run) { return (integral)sum; }

#define PEAK_INT16(sum, a, b) (words)_mm256_dpwssd_avx_epi32((__m256i)(sum), (__m256i)(a), (__m256i)(b))
#define PEAK_INT8(sum, a, b) (words)_mm256_dpbusd_avx_epi32((__m256i)(sum), (__m256i)(a), (__m256i)(b))
enum { PEAK_INT16_PRODUCTS = 2, PEAK_INT8_PRODUCTS = 4 };

#include "../lanes/table.h"
#pragma clang attribute pop

const k_table k_avxvnni = K_LANES_TABLE("avxvnni");

#endif
