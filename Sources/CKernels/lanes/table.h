/* The table of a machine with vectors of K_LANES dwords: matmuls by hand; the rest is the scalar source, whose loops over
 * 16 stripes become registers here. */
#include "../scalar/halves.h"
#include "../scalar/pages.h"
#include "../scalar/rows.h"
#include "integers.h"
#include "multiply.h"
#include "peaks.h"

#define K_LANES_TABLE(title)                                                 \
    {                                                                        \
        .name = title,                                                       \
        .expands = expands,                                                  \
        .quantize = quantize,                                                \
        .linear = {[K_INT16] = linear_int16, [K_INT8] = linear_int8},        \
        .multiply = multiply,                                                \
        .panel = panel_of_floats,                                            \
        .dequantize = dequantize,                                            \
        .rms_norm = rms_norm,                                                \
        .rms_norm_backward = rms_norm_backward,                              \
        .rope = rope,                                                        \
        .swiglu = swiglu,                                                    \
        .swiglu_backward = swiglu_backward,                                  \
        .axpy = axpy,                                                        \
        .scale = scale,                                                      \
        .dot = dot,                                                          \
        .exp = exponential,                                                  \
        .log = logarithm,                                                    \
        .softmax = softmax,                                                  \
        .log_sum_exp = log_sum_exp,                                          \
        .softmax_backward = softmax_backward,                                \
        .log_prob_backward = log_prob_backward,                              \
        .write_page = write_page,                                            \
        .read_keys = read_keys,                                              \
        .read_values = read_values,                                          \
        .peak = peak,                                                        \
    }
