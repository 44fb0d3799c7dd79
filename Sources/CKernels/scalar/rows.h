/* Work on rows. Every table compiles this file for its own processor: the loops over 16 stripes are what vector
 * registers like, and the order they fix is the same everywhere. */
#include "maths.h"

#include <stddef.h>

/* s[i] += s[i + 8], then 4, 2, 1. */
static inline float tree(float s[16]) {
    for (int half = 8; half >= 1; half /= 2)
        for (int i = 0; i < half; i++) s[i] += s[i + half];
    return s[0];
}

/* The same tree with the larger of two. */
static inline float largest(float s[16]) {
    for (int half = 8; half >= 1; half /= 2)
        for (int i = 0; i < half; i++) s[i] = s[i + half] > s[i] ? s[i + half] : s[i];
    return s[0];
}

static float dot(const float *x, const float *y, size_t n) {
    float s[16] = {0};
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t j = 0; j < 16; j++) s[j] = fmaf(x[i + j], y[i + j], s[j]);
    for (size_t j = 0; i + j < n; j++) s[j] = fmaf(x[i + j], y[i + j], s[j]);
    return tree(s);
}

static float maximum_of(const float *x, size_t n, float start) {
    float s[16];
    size_t i = 0;
    for (size_t j = 0; j < 16; j++) s[j] = start;
    for (; i + 16 <= n; i += 16)
        for (size_t j = 0; j < 16; j++) s[j] = x[i + j] > s[j] ? x[i + j] : s[j];
    for (size_t j = 0; i + j < n; j++) s[j] = x[i + j] > s[j] ? x[i + j] : s[j];
    return largest(s);
}

static float rms_norm(float *y, const float *x, const float *w, float eps, size_t n) {
    float inv = 1 / sqrtf(dot(x, x, n) / (float)n + eps);
    for (size_t i = 0; i < n; i++) y[i] = x[i] * inv * w[i];
    return inv;
}

/* y_i = x_i r w_i with r = (mean x^2 + eps)^(-1/2), dr/dx_i = -r^3 x_i / n, so with g = dy w
 *     dx_i = r (g_i - x_i r^2 / n sum_j g_j x_j). */
static void rms_norm_backward(float *dx, const float *dy, const float *x, const float *w, float inv, size_t n) {
    float s[16] = {0};
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t j = 0; j < 16; j++) s[j] = fmaf(dy[i + j] * w[i + j], x[i + j], s[j]);
    for (size_t j = 0; i + j < n; j++) s[j] = fmaf(dy[i + j] * w[i + j], x[i + j], s[j]);
    float along = tree(s) * (inv * inv) / (float)n;
    for (i = 0; i < n; i++) dx[i] = fmaf(inv, fmaf(-along, x[i], dy[i] * w[i]), dx[i]);
}

/* Pair i is x[step i] and the value `apart` behind it. */
static inline void turn(float *x, const float *cosines, const float *sines, float sign, size_t pairs, size_t step,
                        size_t apart) {
    for (size_t i = 0; i < pairs; i++) {
        float a = x[step * i], b = x[step * i + apart], c = cosines[i], s = sign * sines[i];
        x[step * i] = fmaf(a, c, -(b * s));
        x[step * i + apart] = fmaf(a, s, b * c);
    }
}

static void rope(float *x, const float *cosines, const float *sines, float sign, k_pairs pairs, size_t head_dim) {
    const size_t half = head_dim / 2;
    if (pairs == K_HALVES)
        turn(x, cosines, sines, sign, half, 1, half);
    else
        turn(x, cosines, sines, sign, half, 2, 1);
}

static void swiglu(float * out, const float *gate, const float *up, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = gate[i] / (1 + k_exp1(-gate[i])) * up[i];
}

/* With s = 1 / (1 + e^-g): silu = g s, silu' = s (1 + g (1 - s)). */
static void swiglu_backward(float * d_gate, float * d_up, const float *d_out, const float *gate,
                            const float *up, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float g = gate[i], s = 1 / (1 + k_exp1(-g));
        float d_silu = d_out[i] * up[i];
        float d_gate_i = d_silu * (s * fmaf(g, 1 - s, 1));
        d_up[i] = d_out[i] * (g * s); /* outputs may be the inputs */
        d_gate[i] = d_gate_i;
    }
}

static void axpy(float * y, const float *x, float s, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = fmaf(s, x[i], y[i]);
}

static void scale(float *y, const float *x, float s, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = x[i] * s;
}

static void exponential(float *out, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = k_exp1(x[i]);
}

static void logarithm(float *out, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = k_log1(x[i]);
}

/* ---- Softmax ---- */

static float softmax(float *scores, float *maximum, float *sum, size_t n) {
    float m = maximum_of(scores, n, *maximum), s[16] = {0};
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t j = 0; j < 16; j++) s[j] += scores[i + j] = k_exp1(scores[i + j] - m);
    for (size_t j = 0; i + j < n; j++) s[j] += scores[i + j] = k_exp1(scores[i + j] - m);
    float decay = k_exp1(*maximum - m);
    *sum = fmaf(*sum, decay, tree(s));
    *maximum = m;
    return decay;
}

static void log_sum_exp(float *maximum, float *sum, const float *z, size_t n) {
    float m = maximum_of(z, n, *maximum), s[16] = {0};
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t j = 0; j < 16; j++) s[j] += k_exp1(z[i + j] - m);
    for (size_t j = 0; i + j < n; j++) s[j] += k_exp1(z[i + j] - m);
    *sum = fmaf(*sum, k_exp1(*maximum - m), tree(s));
    *maximum = m;
}

static void softmax_backward(float * scores, float * dp, float log_sum, float delta, float scale,
                             size_t n) {
    for (size_t i = 0; i < n; i++) {
        scores[i] = k_exp1(scores[i] - log_sum);
        dp[i] = scores[i] * (dp[i] - delta) * scale;
    }
}

static void log_prob_backward(float *z, float log_sum, float weight, size_t target, size_t n) {
    float at_target = target < n ? weight * (1 - k_exp1(z[target] - log_sum)) : 0;
    for (size_t i = 0; i < n; i++) z[i] = weight * -k_exp1(z[i] - log_sum);
    if (target < n) z[target] = at_target;
}
