/* AVX-512 with VNNI: dot products in one instruction. The tuning matters: with others the compiler takes VPDPWSSD apart
 * into a product and an addition. */
#pragma STDC FP_CONTRACT OFF

#if defined(__x86_64__)

#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "../amx/amx.h"
#include "../table.h"

#define DOT_INT16(sum, w, x) _mm512_dpwssd_epi32(sum, w, x)
#define DOT_INT8(sum, w, x) _mm512_dpbusd_epi32(sum, w, x)

#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,fma,tune=znver4"), min_vector_width(512))), \
    apply_to = function)
#include "table.h"
#pragma clang attribute pop

const k_table k_avx512_vnni = K_AVX512_TABLE("avx512_vnni", quantize_avx512, linear_int16, linear_int8, peak);

/* The same where AMX has nothing to give. */
const k_table k_amx_int8 = K_AVX512_TABLE("amx_int8", amx_quantize, amx_linear_int16, amx_linear_int8, amx_peak);

#endif
