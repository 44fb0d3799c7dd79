/* The scalar table again, for x86 processors with AVX2 and FMA: the same source, so the same bits, without a call of
 * libm for every fmaf. */
#pragma STDC FP_CONTRACT OFF

#if defined(__x86_64__)

#include <math.h>
#include <string.h>

#define K_TABLE k_scalar_fma
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#include "scalar.c"
#pragma clang attribute pop

#endif
