/* Products of integers with AMX. An activation of 16 bits is 256 times a byte with a sign plus one without, so that two products of
 * bytes make its dot product: (sum of high * w) * 256 + sum of low * w, in integers and exact. One or few tokens are left to VNNI.
 */
#pragma STDC FP_CONTRACT OFF

#if defined(__x86_64__)

#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "amx.h"

#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512vbmi,amx-tile,amx-int8,fma,tune=znver4"), \
                   min_vector_width(512))), apply_to = function)
#include "../scalar/widen.h"
#include "tiles.h"
#include "../avx512/panel.h"
#include "products.h"
#include "peak.h"
#pragma clang attribute pop

#endif
