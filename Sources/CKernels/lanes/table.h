/* The table of a machine with vectors of K_LANES dwords: matmuls by hand; the rest is the scalar source, whose loops over
 * 16 stripes become registers here. */
#include "../scalar/halves.h"
#include "../scalar/pages.h"
#include "../scalar/rows.h"
#include "../scalar/backward.h"
#include "integers.h"
#include "multiply.h"
#include "outer.h"
#include "backward.h"
#include "peaks.h"

#define K_LANES_TABLE(title)                                                 \
    {                                                                        \
        .name = title,                                                       \
        .expands = expands,                                                  \
        .quantize = quantize,                                                \
        .linear = {[K_INT16] = linear_int16, [K_INT8] = linear_int8},        \
        .backward = backward_integers,                                       \
        .multiply = multiply,                                                \
        .outer = outer,                                                      \
        .panel = panel_of_floats,                                            \
        .dequantize = dequantize,                                            \
        K_SHARED_SLOTS,                                                      \
        .peak = peak,                                                        \
    }
