/* The products of integers.h and multiply.h on registers alone. The machine's file has defined PEAK_INT16 and PEAK_INT8 with
 * their counts of products: see ../peaks.h. */
typedef floats peak_floats;
typedef words peak_words;
#define PEAK_FP32(sum, a, b) __builtin_elementwise_fma(a, b, sum)
#include "../peaks.h"
