/* The specification: plain loops, whose order every other table keeps. */
#pragma STDC FP_CONTRACT OFF

#ifndef K_TABLE
#define K_TABLE k_scalar
#endif

#include "dequantize.h"
#include "backward.h"
#include "halves.h"
#include "matmul.h"
#include "pages.h"
#include "rows.h"

const k_table K_TABLE = {
    .name = "scalar",
    .quantize = quantize,
    .linear = {[K_INT16] = linear_integers, [K_INT8] = linear_integers},
    .backward = backward_integers,
    .multiply = multiply,
    .outer = outer,
    .panel = panel,
    .dequantize = dequantize,
    K_SHARED_SLOTS,
};
