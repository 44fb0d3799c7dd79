/* The products of integers.h and multiply.h on registers alone. */
typedef __m512 peak_floats;
typedef __m512i peak_words;
#define PEAK_FP32(sum, a, b) _mm512_fmadd_ps(a, b, sum)
#define PEAK_INT16 DOT_INT16
#define PEAK_INT8 DOT_INT8
enum { PEAK_INT16_PRODUCTS = 2, PEAK_INT8_PRODUCTS = 4 };
#include "../peaks.h"
