/* What AMX adds to the table of AVX-512 with VNNI. Its tiles are 16 rows of 64 bytes, and a product of two of them is 16 times 16
 * dot products of bytes, exact in 32 bits. */
#ifndef PARLEY_AMX_H
#define PARLEY_AMX_H

#include "../table.h"

/* Whether the processor has all that is used here and the system lets this process use tiles: it is asked once. */
bool amx_allowed(void);

/* Slots of the table: see table.h. */
void amx_quantize(k_activations to, const float *x, size_t n);
void amx_linear_int16(const k_product *p, size_t begin, size_t end);
void amx_linear_int8(const k_product *p, size_t begin, size_t end);
uint64_t amx_peak(k_peak what, uint64_t rounds);

#endif
