/* The table of x86 processors with AVX-512: matmuls by hand; the rest is the scalar source, whose loops over 16 stripes
 * become registers here. Included once for each set of dot products: see integers.h. */
#include "../scalar/dequantize.h"
#include "../scalar/rows.h"
#include "../scalar/widen.h"
#include "integers.h"
#include "../scalar/backward.h"
#include "backward.h"
#include "halves.h"
#include "multiply.h"
#include "outer.h"
#include "peaks.h"
#include "../scalar/pages.h" /* after halves.h */

#define K_AVX512_TABLE(title, quantize_slot, int16_slot, int8_slot, peak_slot) \
    {                                                                          \
        .name = title,                                                         \
        .expands = expands,                                                    \
        .quantize = quantize_slot,                                             \
        .linear = {[K_INT16] = int16_slot, [K_INT8] = int8_slot},              \
        .backward = backward_integers,                                         \
        .multiply = multiply_avx512,                                           \
        .outer = outer_avx512,                                                 \
        .panel = panel_avx512,                                                 \
        .dequantize = dequantize,                                              \
        K_SHARED_SLOTS,                                                        \
        .peak = peak_slot,                                                     \
    }
