/* The table of x86 processors with AVX-512 and VNNI: matmuls by hand; the rest is the scalar source, whose loops over
 * 16 stripes become registers here. */
#pragma STDC FP_CONTRACT OFF

#if defined(__x86_64__)

#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "../table.h"

#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,fma"), min_vector_width(512))), \
    apply_to = function)

#include "../scalar/dequantize.h"
#include "../scalar/rows.h"
#include "expand.h"
#include "halves.h"
#include "int16.h"
#include "multiply.h"
#include "../scalar/pages.h" /* after halves.h */

#pragma clang attribute pop

const k_table k_avx512_vnni = {
    .name = "avx512_vnni",
    .quantize = quantize_vnni,
    .linear_int16 = linear_int16_vnni,
    .multiply = multiply_avx512,
    .panel = panel_avx512,
    .dequantize = dequantize,
    .rms_norm = rms_norm,
    .rms_norm_backward = rms_norm_backward,
    .rope = rope,
    .swiglu = swiglu,
    .swiglu_backward = swiglu_backward,
    .axpy = axpy,
    .scale = scale,
    .dot = dot,
    .exp = exponential,
    .log = logarithm,
    .softmax = softmax,
    .log_sum_exp = log_sum_exp,
    .softmax_backward = softmax_backward,
    .log_prob_backward = log_prob_backward,
    .write_page = write_page,
    .read_keys = read_keys,
    .read_values = read_values,
};

#endif
