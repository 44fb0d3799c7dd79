/* exp and log of one float, the same steps on every machine; written so that compilers can vectorise them. */
#ifndef PARLEY_MATHS_H
#define PARLEY_MATHS_H

#include "../blocks.h"
#include <math.h>
#include <stdbool.h>

#define K_LN2_HIGH 0x1.63p-1f       /* nine bits, so that n * K_LN2_HIGH is exact */
#define K_LN2_LOW -0x1.bd0106p-13f  /* ln 2 - K_LN2_HIGH */

/* x = n ln 2 + r with |r| <= ln 2 / 2; e^r = 1 + r + r^2 P(r), P by least maximum relative error (3e-9). */
static inline float k_exp1(float x) {
    x = -104.0f > x ? -104.0f : x; /* written so that NaN stays */
    x = 89.0f < x ? 89.0f : x;
    const float round = 0x1.8p23f; /* adding it leaves the nearest integer in the low bits */
    float t = fmaf(x, 0x1.715476p0f, round);
    float n = t - round;
    float r = fmaf(n, -K_LN2_LOW, fmaf(n, -K_LN2_HIGH, x));
    float p = 0x1.6a21acp-10f;
    p = fmaf(p, r, 0x1.123b6ap-7f);
    p = fmaf(p, r, 0x1.5558fap-5f);
    p = fmaf(p, r, 0x1.55549p-3f);
    p = fmaf(p, r, 0x1.fffffcp-2f);
    p = fmaf(p, r * r, r) + 1.0f;
    /* Times 2^n in two exact halves, of which only the last can round (denormals) or overflow. */
    int32_t e = (int32_t)(k_bits_of_float(t) - k_bits_of_float(round));
    int32_t half = e >> 1;
    return p * k_float_of_bits((uint32_t)(half + 127) << 23) * k_float_of_bits((uint32_t)(e - half + 127) << 23);
}

/* x = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt 2); log(1 + f) = f - f^2/2 + f^3 P(f), error of P 6e-9. */
static inline float k_log1(float x) {
    bool tiny = x < 0x1p-126f;
    uint32_t bits = k_bits_of_float(tiny ? x * 0x1p25f : x);
    uint32_t shifted = bits - 0x3f3504f3u; /* sqrt(1/2) */
    float e = (float)((int32_t)shifted >> 23) - (tiny ? 25.0f : 0.0f);
    float f = k_float_of_bits((shifted & 0x7fffffu) + 0x3f3504f3u) - 1.0f;
    float p = -0x1.392f42p-4f;
    p = fmaf(p, f, 0x1.05b766p-3f);
    p = fmaf(p, f, -0x1.0d9a4p-3f);
    p = fmaf(p, f, 0x1.22cf4cp-3f);
    p = fmaf(p, f, -0x1.546f2ap-3f);
    p = fmaf(p, f, 0x1.99a06p-3f);
    p = fmaf(p, f, -0x1.000232p-2f);
    p = fmaf(p, f, 0x1.555554p-2f);
    float square = f * f;
    float rest = fmaf(e, K_LN2_LOW, fmaf(p, f * square, -0.5f * square));
    float y = fmaf(e, K_LN2_HIGH, f + rest);
    y = x == 0 ? -INFINITY : y;
    y = x < 0 ? NAN : y;
    return x < INFINITY ? y : x; /* infinity and NaN stay */
}

#endif
