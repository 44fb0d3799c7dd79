/* The blocks of the quantised formats as they lie in a file, and the floats inside them. A file of formats/ has a block and
 *
 *   read_NAME(block, w, scale, minimum)    its weights: scale * w, plus the minimum if the format has one; w in the order of the
 *                                          row, scales and minima of its groups
 *
 * Products take these integers; dequantising multiplies and adds, each rounded, which gives ggml's floats. */
#ifndef PARLEY_BLOCKS_H
#define PARLEY_BLOCKS_H

#include "CKernels.h"
#include <string.h>

static inline float k_float_of_bits(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t k_bits_of_float(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* IEEE half to float, exact: the exponent is moved by a multiplication, which also normalises denormals. */
static inline float k_half(uint16_t h) {
    float magnitude = k_float_of_bits((uint32_t)(h & 0x7fff) << 13) * 0x1p112f;
    uint32_t special = (h & 0x7c00) == 0x7c00 ? 0x7f800000u : 0; /* infinity, NaN */
    return k_float_of_bits(k_bits_of_float(magnitude) | special | (uint32_t)(h & 0x8000) << 16);
}

/* The other way: to nearest even; too large becomes infinity, NaN stays NaN (quiet). */
static inline uint16_t k_half_of(float f) {
    const uint32_t bits = k_bits_of_float(f), magnitude = bits & 0x7fffffff;
    const uint32_t shifted = magnitude - (112u << 23); /* with the exponent of a half */
    uint32_t normal = (shifted + 0xfff + (shifted >> 13 & 1)) >> 13;
    normal = normal < 0x7c00 ? normal : 0x7c00;
    /* Added to 1/2, whose last bit is worth one denormal. */
    uint32_t tiny = k_bits_of_float(k_float_of_bits(magnitude) + 0.5f) - k_bits_of_float(0.5f);
    uint32_t h = magnitude < (113u << 23) ? tiny : normal;
    h = magnitude > 0x7f800000 ? 0x7e00 | (magnitude >> 13 & 0x3ff) : h;
    return (uint16_t)(h | (bits >> 16 & 0x8000));
}

static inline float k_bfloat(uint16_t b) { return k_float_of_bits((uint32_t)b << 16); }

#include "formats/grids.h"
#include "formats/q4_0.h"
#include "formats/q4_1.h"
#include "formats/q5_0.h"
#include "formats/q5_1.h"
#include "formats/q8_0.h"
#include "formats/q2_k.h"
#include "formats/q3_k.h"
#include "formats/q4_k.h"
#include "formats/q5_k.h"
#include "formats/q6_k.h"
#include "formats/iq2_xxs.h"
#include "formats/iq2_xs.h"
#include "formats/iq3_xxs.h"
#include "formats/iq1_s.h"
#include "formats/iq4_nl.h"
#include "formats/iq3_s.h"
#include "formats/iq2_s.h"
#include "formats/iq4_xs.h"
#include "formats/iq1_m.h"
#include "formats/tq1_0.h"
#include "formats/tq2_0.h"
#include "formats/mxfp4.h"
#include "formats/nvfp4.h"
#include "formats/q1_0.h"
#include "formats/q2_0.h"

#define X(id, suffix, name, type, values, bytes, ...) \
    _Static_assert(sizeof(k_block_##suffix) == bytes, name " must match the file layout");
K_BLOCK_FORMATS(X)
#undef X

/* Weights that share a scale; bits of a weight as an integer; whether a minimum is added. For a format that the compiler knows,
 * constants. */
#define FACT_OF(type_of_fact, function, fact)                                                             \
    static inline type_of_fact function(k_format format) {                                                \
        switch (format) {                                                                                 \
            K_BLOCK_FORMATS(fact)                                                                         \
        default: return 0; /* floats have none */                                                         \
        }                                                                                                 \
    }
#define GROUP(id, suffix, name, type, values, bytes, group, bits, minimum) case id: return group;
#define BITS(id, suffix, name, type, values, bytes, group, bits, minimum) case id: return bits;
#define MINIMUM(id, suffix, name, type, values, bytes, group, bits, minimum) case id: return minimum;
FACT_OF(size_t, group_of, GROUP)
FACT_OF(int, bits_of, BITS)
FACT_OF(bool, has_minimum, MINIMUM)
#undef FACT_OF
#undef GROUP
#undef BITS
#undef MINIMUM

#endif
