/* AVX-512 without VNNI: products of 16-bit pairs, then an addition. */
#pragma STDC FP_CONTRACT OFF

#if defined(__x86_64__)

#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "../table.h"

#define DOT_INT16(sum, w, x) _mm512_add_epi32(sum, _mm512_madd_epi16(w, x))
#define DOT_INT8(sum, w, x) dot_bytes(sum, w, x)

#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma"), min_vector_width(512))), apply_to = function)

/* Even and odd bytes apart: pairs of bytes times bytes would saturate. */
static inline __m512i dot_bytes(__m512i sum, __m512i w, __m512i x) {
    const __m512i low = _mm512_set1_epi16(255);
    __m512i even = _mm512_madd_epi16(_mm512_and_si512(w, low), _mm512_srai_epi16(_mm512_slli_epi16(x, 8), 8));
    __m512i odd = _mm512_madd_epi16(_mm512_srli_epi16(w, 8), _mm512_srai_epi16(x, 8));
    return _mm512_add_epi32(sum, _mm512_add_epi32(even, odd));
}

#include "table.h"
#pragma clang attribute pop

const k_table k_avx512 = K_AVX512_TABLE("avx512", quantize_avx512, linear_int16, linear_int8, peak);

#endif
