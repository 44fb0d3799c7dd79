/* The arithmetic of Parley: block formats, and every operation the model needs, forward and backward.
 * Knows pointers and sizes; knows nothing of files, tokens or models.
 *
 * Letters: T tokens (rows), D model width, H query heads, K key/value heads, E head width, V vocabulary.
 * Matrices are row-major, strides are in elements unless said otherwise.
 *
 * THE RULE: `scalar/` is the specification. Every other table gives the same bits, for every size, and
 * no result depends on the number of rows in a call, on the number of threads or on the neighbours of a row.
 *
 *   matmul   one accumulator per output element, K ascending, one FMA a step (a group of weights, in integers)
 *   vector   sums over one row use 16 stripes (element i goes to stripe i mod 16, ascending), then the tree
 *            s[i] += s[i+8], s[i] += s[i+4], s[i] += s[i+2], s[0] + s[1]
 *   exp/log  our own polynomials, the same on every path
 */
#ifndef PARLEY_CKERNELS_H
#define PARLEY_CKERNELS_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

/* ---- Formats -------------------------------------------------------------------------------- */

/* Formats of blocks. A line here and a file in formats/ make a format work everywhere: see CONTRIBUTING.md.
 *
 * enum case, its functions' name, name and type id in the file, values and bytes of a block; then what a weight is, as an
 * integer: how many share a scale, bits, and whether a minimum is added (else it has a sign) */
#define K_BLOCK_FORMATS(X)                                        \
    X(K_Q4_0,    q4_0,    "Q4_0",     2,  32,  18, 32, 4, false)  \
    X(K_Q4_1,    q4_1,    "Q4_1",     3,  32,  20, 32, 4, true)   \
    X(K_Q5_0,    q5_0,    "Q5_0",     6,  32,  22, 32, 5, false)  \
    X(K_Q5_1,    q5_1,    "Q5_1",     7,  32,  24, 32, 5, true)   \
    X(K_Q8_0,    q8_0,    "Q8_0",     8,  32,  34, 32, 8, false)  \
    X(K_Q2_K,    q2_k,    "Q2_K",    10, 256,  84, 16, 2, true)   \
    X(K_Q3_K,    q3_k,    "Q3_K",    11, 256, 110, 16, 3, false)  \
    X(K_Q4_K,    q4_k,    "Q4_K",    12, 256, 144, 32, 4, true)   \
    X(K_Q5_K,    q5_k,    "Q5_K",    13, 256, 176, 32, 5, true)   \
    X(K_Q6_K,    q6_k,    "Q6_K",    14, 256, 210, 16, 6, false)  \
    X(K_IQ2_XXS, iq2_xxs, "IQ2_XXS", 16, 256,  66, 32, 7, false)  \
    X(K_IQ2_XS,  iq2_xs,  "IQ2_XS",  17, 256,  74, 16, 7, false)  \
    X(K_IQ3_XXS, iq3_xxs, "IQ3_XXS", 18, 256,  98, 32, 7, false)  \
    X(K_IQ1_S,   iq1_s,   "IQ1_S",   19, 256,  50, 32, 5, false)  \
    X(K_IQ4_NL,  iq4_nl,  "IQ4_NL",  20,  32,  18, 32, 8, false)  \
    X(K_IQ3_S,   iq3_s,   "IQ3_S",   21, 256, 110, 32, 5, false)  \
    X(K_IQ2_S,   iq2_s,   "IQ2_S",   22, 256,  82, 16, 7, false)  \
    X(K_IQ4_XS,  iq4_xs,  "IQ4_XS",  23, 256, 136, 32, 8, false)  \
    X(K_IQ1_M,   iq1_m,   "IQ1_M",   29, 256,  56, 16, 5, false)  \
    X(K_TQ1_0,   tq1_0,   "TQ1_0",   34, 256,  54, 32, 3, false)  \
    X(K_TQ2_0,   tq2_0,   "TQ2_0",   35, 256,  66, 32, 3, false)  \
    X(K_MXFP4,   mxfp4,   "MXFP4",   39,  32,  17, 32, 5, false)  \
    X(K_NVFP4,   nvfp4,   "NVFP4",   40,  64,  36, 16, 5, false)  \
    X(K_Q1_0,    q1_0,    "Q1_0",    41, 128,  18, 32, 2, false)  \
    X(K_Q2_0,    q2_0,    "Q2_0",    42,  64,  18, 32, 3, false)

typedef enum {
    K_F32, K_F16, K_BF16, /* single values */
#define X(id, ...) id,
    K_BLOCK_FORMATS(X)
#undef X
    K_FORMAT_COUNT
} k_format;

typedef struct {
    const char *name;
    uint32_t type_id;      /* ggml type id in GGUF files */
    uint32_t block_values;
    uint32_t block_bytes;
} k_format_info;

/* Facts of one format; `format` is below K_FORMAT_COUNT. */
k_format_info k_format_facts(k_format format);

/* out[0..n) = the values of n / block_values blocks, as ggml's dequantise gives them. Single thread. */
void k_dequantize(float *out, const void *blocks, k_format format, size_t n);

/* Whether k_quantize_row writes the format: Q4_0, Q8_0 and Q2_K to Q6_K. */
bool k_quantizes(k_format format);

/* blocks = n values of a row, whole blocks, in a format that is written; plainly: a group's scale reaches its greatest magnitude,
 * or its least and greatest value with a minimum, and every integer is the nearest. The same bytes everywhere. Single thread.
 * x is finite, and its scales are below 65504. */
void k_quantize_row(void *blocks, const float *x, k_format format, size_t n);

/* ---- Context: which table, how many threads. No other state anywhere. ----------------------- */

typedef struct k_table k_table; /* one instruction set's functions */

/* Tables this machine can run, best first, ending with "scalar". */
size_t k_table_count(void);
const k_table *k_table_at(size_t index);
const char *k_table_name(const k_table *table);

/* Whether the table expands blocks of the format with vectors for its integer products. If not, it widens them row by row
 * as scalar does, and multiplies with vectors all the same. */
bool k_table_expands(const k_table *table, k_format format);

typedef struct {
    const k_table *table;
    uint32_t threads; /* at least 1 */
} k_context;

/* ---- Matmul --------------------------------------------------------------------------------- */

#define K_ACT_BLOCK 32 /* activations are quantised in blocks of 32 */

typedef enum {
    K_INT16, /* q in ±32767; within every 4 values the order is 0, 2, 1, 3 (so that packed weights need no shuffle), or, in
              * the AMX table, in every 32 first their low bytes, then their high ones */
    K_INT8,  /* q in ±127, in their order */
    K_INTEGERS_COUNT, /* of those that k_linear_integers takes */
    K_INT14  /* q in ±8191, in the order of K_INT16: 32 products of two such fit in 32 bits. For gradients */
} k_integers;

#define K_CHUNK 256 /* values of K worked on at a time: a multiple of every block */

/* Activations as integers: x[i] is about scale * q[i]. Chunk by chunk: all rows of the first K_CHUNK values, then all
 * rows of the next, so that what a product reads together lies together. n is a multiple of 32, or filled up with zeros; the
 * last chunk has room for a whole one. */
typedef struct {
    k_integers kind;
    size_t rows;
    void *q;        /* [n/K_CHUNK, rows, K_CHUNK]  int16_t or int8_t */
    float *scale;   /* one for each 32 values  amax / largest; 0 when amax < 1e-30; NaN when not all are finite (q = 0 then) */
    float *sum;     /* one for each 32 values  (float)(sum of q) * scale, for formats with a minimum */
    int32_t *total; /* one for each 16 values  sum of q, for weights that a table holds with an offset */
} k_activations;

/* q[i] = round to nearest even of x[i] * (largest / amax), in blocks of 32; largest is 32767, in int8 127, in int14 8191.
 *
 *   x  [rows of `to`, n]  x_stride floats from row to row */
void k_quantize_rows(k_context c, k_activations to, const float *x, size_t x_stride, size_t n);

/* One of the weights that meet the same activations, and where its product goes. */
typedef struct {
    float *y; /* [rows, n_out], overwritten */
    size_t y_stride;
    const void *w; /* [n_out, n_in], rows contiguous */
    k_format format;
    size_t n_out;
} k_output;

/* y[t, o] = sum over i of x[t, i] * w[o, i], activations as integers, weights of a block format,
 * for each of `count` outputs, with one fork for all of them. n_in is a multiple of every format's block.
 *
 * For each group g of weights with one scale (32 or 16 values: see the list), ascending:
 *     acc = fma((float)(exact integer dot), w_scale[g] * x_scale[block], acc)
 * and, for formats with a minimum, then  acc = fma(x_sum, w_min[g], acc)  where
 *     x_sum = sum[block], for groups of 16 (float)total[g] * x_scale[block].
 * What the integers, w_scale and w_min of a format are says its file in formats/. */
void k_linear_integers(k_context c, k_activations x, const k_output *outputs, size_t count, size_t n_in);

/* The same product with float activations and dequantised weights; every format.
 * acc = fma(w[o, i], x[t, i], acc), i ascending. */
void k_linear_f32(k_context c, float *y, size_t y_stride, const float *x, size_t x_stride,
                  const void *w, k_format format, size_t rows, size_t n_out, size_t n_in);

/* dx[t, i] += sum over o of dy[t, o] * w[o, i]: the backward of a linear layer with a frozen weight.
 * acc starts at dx; acc = fma(dy[t, o], w[o, i], acc), o ascending. Every format. */
void k_linear_backward(k_context c, float *dx, size_t dx_stride, const float *dy, size_t dy_stride,
                       const void *w, k_format format, size_t rows, size_t n_out, size_t n_in);

/* The same with dy [rows, n_out] as integers of K_INT14. Of every 32 outputs o of group g, a column i of w has integers
 *     w_q[o, i] = round to nearest even of w[o, i] * (8191 / amax),  w_scale[g, i] = amax / 8191
 * by the rules of k_quantize_rows, the product rounded once; then, g ascending,
 *     acc = fma((float)(exact integer dot), w_scale[g, i] * dy_scale[t, g], acc). */
void k_linear_backward_integers(k_context c, float *dx, size_t dx_stride, k_activations dy, const void *w, k_format format,
                                size_t n_out, size_t n_in);

/* out[m, n] = (accumulate ? out : 0) + sum over k of a[m, k] * b[k, n]; acc = fma(a, b, acc), k ascending. */
void k_gemm(k_context c, float *out, size_t out_stride, const float *a, size_t a_stride,
            const float *b, size_t b_stride, size_t m, size_t n, size_t k, bool accumulate);

/* out[m, n] += scale * sum over t of a[t, m] * b[t, n]: gradients of A and B.
 * sum = fma(a, b, sum) from 0, t ascending; out = fma(scale, sum, out). */
void k_outer(k_context c, float *out, size_t out_stride, const float *a, size_t a_stride,
             const float *b, size_t b_stride, size_t m, size_t n, size_t tokens, float scale);

/* out[n, m] = in[m, n]. */
void k_transpose(float *out, const float *in, size_t m, size_t n);

/* ---- Rows ------------------------------------------------------------------------------------ */

/* y = x * (1 / sqrt(mean(x^2) + eps)) * w, row by row; inv_rms [rows] is kept for the backward (may be NULL).
 * mean = (16-stripe sum of fma(x, x, stripe)) / n. y = (x * inv) * w. */
void k_rms_norm(k_context c, float *y, float *inv_rms, const float *x, const float *w, float eps,
                size_t rows, size_t n);

/* dx += the gradient through k_rms_norm; w is frozen. */
void k_rms_norm_backward(k_context c, float *dx, const float *dy, const float *x, const float *w,
                         const float *inv_rms, size_t rows, size_t n);

/* y[t, i] += b[i]. */
void k_add_row(k_context c, float *y, size_t y_stride, const float *b, size_t rows, size_t n);

/* Which values of a head turn together: pair i is (2i, 2i+1), or (i, i + head_dim/2). */
typedef enum { K_NEIGHBOURS, K_HALVES } k_pairs;

/* Turns every pair of every head by its angle of the row, in place. `inverse` turns back (the backward).
 * cosines, sines: [rows, head_dim/2], both times the same number if lengths are to change; the inverse is then the
 * transpose, not the inverse. a' = fma(a, cos, -(b * sin)), b' = fma(a, sin, b * cos). */
void k_rope(k_context c, float *x, size_t x_stride, const float *cosines, const float *sines, size_t rows, size_t heads,
            size_t head_dim, k_pairs pairs, bool inverse);

/* out = silu(gate) * up;  silu(g) = g / (1 + exp(-g)). All contiguous, n values. */
void k_swiglu(k_context c, float *out, const float *gate, const float *up, size_t n);

/* d_gate and d_up are overwritten. */
void k_swiglu_backward(k_context c, float *d_gate, float *d_up, const float *d_out,
                       const float *gate, const float *up, size_t n);

/* y[i] = fma(s, x[i], y[i]). */
void k_axpy(k_context c, float *y, const float *x, float s, size_t n);

/* out[i] = fma(s, b[i], a[i]); out may be a. */
void k_add(k_context c, float *out, const float *a, const float *b, float s, size_t n);

/* ---- Attention ------------------------------------------------------------------------------- */

#define K_PAGE 64 /* positions in a page of the key/value cache */

/* One run of new rows of one sequence. A page holds, for one block of the model, the keys of all K heads, then the
 * values of all K heads. A head's part is, in the format of the shape,
 *
 *   K_F32   keys floats [E, 64], transposed so that 64 scores are one small matmul; values floats [64, E]
 *   K_F16   the same in halves, rounded to nearest even; beyond 65504 they become infinite
 *   K_Q8_0  keys int8 [E, 64], then float scales [E/32, 64]; values int8 [64, E], then float scales [64, E/32]:
 *           blocks of 32 along E with scale amax/127 and q = round to nearest even of x * (127 / amax); the rest by the
 *           rules of k_quantize_rows
 *
 * pages[p] points at positions 64p..64p+63, aligned to 64 bytes. */
typedef struct {
    void *const *pages;
    size_t first_row;      /* row of q, k, v, out at which the run starts */
    size_t rows;
    size_t first_position; /* position of the first row in its sequence */
} k_segment;

typedef struct {
    size_t heads, kv_heads, head_dim;
    float scale;     /* 1 / sqrt(head_dim), usually */
    k_format format; /* of pages: K_F32, K_F16 or K_Q8_0 (head_dim is a multiple of 32 then) */
    size_t window;   /* a row sees its own position and the window - 1 before it; 0: all before it */
} k_attention_shape;

/* Bytes of a page. */
size_t k_page_bytes(k_attention_shape shape);

/* Writes the rows' keys and values [T, K*E] into their pages. */
void k_cache_write(k_context c, const k_segment *segments, size_t count, k_attention_shape shape,
                   const float *k, const float *v);

/* out [T, H*E] from q [T, H*E]; each row sees the positions of its sequence up to its own, from the window's first on.
 * q is multiplied by scale first; scores, then values, are matmuls in canonical order; pages ascend with the
 * running maximum m: c = exp(m - m'), l = fma(l, c, 16-stripe sum of p), o = o * c, then acc of p * v onto o; at the
 * end o * (1 / l). Keys and values are what the pages hold, as floats (q8_0: q * scale, rounded). log_sum [T, H] = m + log(l) is kept for the backward (may be NULL). */
void k_attention(k_context c, float *out, float *log_sum, const float *q,
                 const k_segment *segments, size_t count, k_attention_shape shape);

/* Gradients of q, k, v [overwritten] for whole sequences and for groups that share a prefix: a segment that starts at
 * position 0 may be followed by branches, segments that start where it ends. A branch shares its whole pages; its first
 * page of its own holds the rest of the prefix, too. dk and dv of a prefix are sums over the group's segments, in order.
 * Reads the pages the forward wrote; gradients pass straight through the rounding of keys and values. Probabilities are
 * recomputed from log_sum. */
void k_attention_backward(k_context c, float *dq, float *dk, float *dv, const float *d_out,
                          const float *out, const float *log_sum, const float *q,
                          const k_segment *segments, size_t count, k_attention_shape shape);

/* ---- Log-probabilities over a vocabulary that is visited in tiles ---------------------------- */

#define K_VOCAB_TILE 1024

/* Running log-sum-exp: for each row, m' = max(m, max z), sum = fma(sum, exp(m - m'), 16-stripe sum of exp(z - m')).
 * Start with m = -inf, sum = 0; n is K_VOCAB_TILE but for the last tile. */
void k_log_sum_exp_tile(k_context c, float *maximum, float *sum, const float *z, size_t z_stride,
                        size_t rows, size_t n);

/* out[t] = maximum[t] + log(sum[t]). */
void k_log_sum_exp_finish(k_context c, float *out, const float *maximum, const float *sum, size_t rows);

/* In place, z becomes the gradient of sum_t weight[t] * (z[t, target[t]] - log_sum[t]):
 * z[t, v] = weight[t] * ((v + first == target[t]) - exp(z[t, v] - log_sum[t])). */
void k_log_prob_backward_tile(k_context c, float *z, size_t z_stride, const float *log_sum,
                              const float *weight, const uint32_t *target, size_t first,
                              size_t rows, size_t n);

/* out[i] = exp(x[i]), log(x[i]): at most 2 ulp; exp(-inf) = 0, exp(0) = 1, NaN stays NaN; log of a denormal, zero or
 * negative number follows IEEE (-inf, NaN). */
void k_exp(k_context c, float *out, const float *x, size_t n);
void k_log(k_context c, float *out, const float *x, size_t n);

/* ---- Peaks: what the machine could do at best, to compare with ------------------------------- */

typedef enum { K_PEAK_FP32, K_PEAK_INT16, K_PEAK_INT8 } k_peak;

/* Multiplies and adds in registers on every thread, with the instructions the table's matmuls use. Returns the operations
 * done, a product and its addition being two: in proportion to `rounds`. */
uint64_t k_peak_products(k_context c, k_peak what, uint64_t rounds);

/* Reads `bytes`, a multiple of 128, once, on all threads. Returns the sum of its 64-bit words, so that it is not left out. */
uint64_t k_peak_read(k_context c, const void *memory, size_t bytes);

#endif
