/* What one instruction set provides: leaf functions for one thread. The operations in matmul.c, rows.c,
 * attention.c and attention_backward.c are written once, with these as their verbs, and split over threads there. */
#ifndef PARLEY_TABLE_H
#define PARLEY_TABLE_H

#include "CKernels.h"

#define K_PANEL 32  /* output rows of a weight that are expanded and multiplied together */
#define K_MAX_HEAD_DIM 256

/* The arguments of k_linear_integers. */
typedef struct {
    float *y;
    size_t y_stride;
    k_activations x;
    const uint8_t *w;
    k_format format;
    size_t n_out, n_in;
} k_product;

/* The arguments of k_linear_backward_integers. */
typedef struct {
    float *dx;
    size_t dx_stride;
    k_activations dy;
    const uint8_t *w;
    k_format format;
    size_t n_out, n_in;
} k_gradient;

/* The largest integer of a kind. */
static inline float k_limit(k_integers kind) { return kind == K_INT16 ? 32767 : kind == K_INT14 ? 8191 : 127; }

/* The activations from `row` on of the chunk that starts at value `first`: a row is contiguous, the next one is K_CHUNK
 * values further. */
static inline k_activations k_activations_at(k_activations x, size_t row, size_t first) {
    const size_t value = first * x.rows + row * K_CHUNK;
    x.q = (char *)x.q + value * (x.kind == K_INT8 ? sizeof(int8_t) : sizeof(int16_t));
    x.scale += value / K_ACT_BLOCK;
    x.sum += value / K_ACT_BLOCK;
    x.total += value / 16;
    return x;
}

struct k_table {
    const char *name;

    /* k_table_expands; NULL: none. */
    bool (*expands)(k_format format);

    /* k_quantize_rows for n values of one row, at most a chunk, whose results start at `to`. The order of integers in a block
     * of 32 is the table's own affair, and may follow from to.rows: only its products read them. */
    void (*quantize)(k_activations to, const float *x, size_t n);

    /* k_linear_integers for the outputs of panels [begin, end), by kind of integers. */
    void (*linear[K_INTEGERS_COUNT])(const k_product *p, size_t begin, size_t end);

    /* k_linear_backward_integers for columns [first, first + n), at most a chunk, of rows [begin, end). */
    void (*backward)(const k_gradient *p, size_t first, size_t n, size_t begin, size_t end);

    /* k_gemm: every float matmul of the engine ends here. */
    void (*multiply)(float *out, size_t out_stride, const float *a, size_t a_stride, const float *b,
                     size_t b_stride, size_t m, size_t n, size_t k, bool accumulate);

    /* k_outer. */
    void (*outer)(float *out, size_t out_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
                  size_t m, size_t n, size_t tokens, float scale);

    /* panel [n][K_PANEL] = the first n (up to K_CHUNK) values of `rows` rows of w, transposed. Past the rows there may
     * be anything. */
    void (*panel)(float *panel, const uint8_t *w, size_t row_bytes, k_format format, size_t rows, size_t n);

    /* k_dequantize. */
    void (*dequantize)(float *out, const uint8_t *blocks, k_format format, size_t n);

    /* One row of k_rms_norm; returns 1 / rms. */
    float (*rms_norm)(float *y, const float *x, const float *w, float eps, size_t n);
    void (*rms_norm_backward)(float *dx, const float *dy, const float *x, const float *w, float inv, size_t n);

    /* One head of one row of k_rope; `sign` is 1, or -1 for the inverse. */
    void (*rope)(float *x, const float *cosines, const float *sines, float sign, k_pairs pairs, size_t head_dim);

    void (*swiglu)(float *out, const float *gate, const float *up, size_t n);
    void (*swiglu_backward)(float *d_gate, float *d_up, const float *d_out, const float *gate,
                            const float *up, size_t n);
    void (*axpy)(float *y, const float *x, float s, size_t n);
    void (*scale)(float *y, const float *x, float s, size_t n); /* y = x * s */
    float (*dot)(const float *x, const float *y, size_t n);     /* 16 stripes, FMA */
    void (*exp)(float *out, const float *x, size_t n);
    void (*log)(float *out, const float *x, size_t n);

    /* Takes n more scores into a running softmax: maximum and sum are updated, scores become
     * exp(score - new maximum); returns exp(old maximum - new maximum). */
    float (*softmax)(float *scores, float *maximum, float *sum, size_t n);

    /* The same for n logits, which are only read. */
    void (*log_sum_exp)(float *maximum, float *sum, const float *z, size_t n);

    /* p = exp(score - log_sum); scores become p, dp becomes p * (dp - delta) * scale. */
    void (*softmax_backward)(float *scores, float *dp, float log_sum, float delta, float scale, size_t n);

    /* z[i] = weight * ((i == target) - exp(z[i] - log_sum)); a target of n or more is elsewhere. */
    void (*log_prob_backward)(float *z, float log_sum, float weight, size_t target, size_t n);

    /* k_peak_products on one thread: peaks.h makes it. NULL: what the compiler makes of plain C. */
    uint64_t (*peak)(k_peak what, uint64_t rounds);
    /* One head of a page (see k_segment). Writes the key and value of position `slot`; reads a whole page of f16 or q8_0
     * as floats, keys [E, 64] and values [64, E]. */
    void (*write_page)(uint8_t *keys, uint8_t *values, size_t slot, const float *k, const float *v, k_format format,
                       size_t E);
    void (*read_keys)(float *out, const uint8_t *keys, k_format format, size_t E);
    void (*read_values)(float *out, const uint8_t *values, k_format format, size_t E);
};

extern const k_table k_scalar;
extern const k_table k_scalar_fma;  /* the same source, compiled for processors with FMA */
extern const k_table k_avx2;        /* AVX2 and FMA */
extern const k_table k_avxvnni;     /* the same with VNNI's dot products */
extern const k_table k_avx512;      /* AVX-512 F, BW, DQ, VL */
extern const k_table k_avx512_vnni; /* the same with VNNI's dot products */
extern const k_table k_amx_int8;    /* the same with AMX's products of tiles of bytes */
extern const k_table k_neon_dotprod; /* aarch64 with dot products */

#endif
