/* The specification: plain loops, whose order every other table keeps. */
#pragma STDC FP_CONTRACT OFF

#ifndef K_TABLE
#define K_TABLE k_scalar
#endif

#include "dequantize.h"
#include "halves.h"
#include "matmul.h"
#include "pages.h"
#include "rows.h"

const k_table K_TABLE = {
    .name = "scalar",
    .quantize = quantize,
    .linear = {[K_INT16] = linear_integers, [K_INT8] = linear_integers},
    .multiply = multiply,
    .panel = panel,
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
