/* Vectors of K_LANES dwords, in the compiler's own words: AND, shifts and conversions look the same on every machine.
 * Whoever includes this folder defines K_LANES (16 is a multiple of it) first; what only the machine can say well comes
 * between this file and table.h:
 *
 *   load_lanes                                          see expand.h
 *   partial, add_word, total, most_words, zero_point    see integers.h
 *   load_some, store_some                               see multiply.h
 *   PEAK_INT16, PEAK_INT8                               see peaks.h */
#include "../scalar/dequantize.h"
#include "../scalar/integers.h"
#include "../scalar/widen.h"

#define K_INLINE static inline __attribute__((always_inline))

enum { TILE = 16, PARTS = TILE / K_LANES }; /* outputs that are multiplied together, and the registers they fill */

typedef uint32_t words __attribute__((ext_vector_type(K_LANES)));
typedef int32_t integral __attribute__((ext_vector_type(K_LANES)));
typedef float floats __attribute__((ext_vector_type(K_LANES)));
typedef uint16_t shorts __attribute__((ext_vector_type(2 * K_LANES)));
typedef uint8_t bytes __attribute__((ext_vector_type(4 * K_LANES)));

K_INLINE words load_words(const void *from) {
    words v;
    memcpy(&v, from, sizeof v);
    return v;
}

K_INLINE floats load_floats(const float *from) {
    floats v;
    memcpy(&v, from, sizeof v);
    return v;
}

K_INLINE void store_words(void *to, words v) { memcpy(to, &v, sizeof v); }
K_INLINE void store_floats(float *to, floats v) { memcpy(to, &v, sizeof v); }

/* k_half of the low half of every dword. */
K_INLINE floats low_halves(words v) {
    words magnitude = (words)((floats)((v & 0x7fff) << 13) * 0x1p112f);
    words special = (words)((v & 0x7c00) == 0x7c00) & 0x7f800000u;
    return (floats)(magnitude | special | (v & 0x8000) << 16);
}
