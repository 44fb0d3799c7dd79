/* Operations on rows and single values: how the work is cut. */
#pragma STDC FP_CONTRACT OFF

#include "table.h"
#include "threads.h"

#include <string.h>

/* Values that one thread at least should have: fewer are done sooner than a fork. */
enum { VALUES = 16384 };

static size_t row_grain(size_t n) { return 1 + VALUES / (n + 1); }

/* ---- RMS norm ---- */

typedef struct {
    const k_table *table;
    float *out, *kept;
    const float *dy, *x, *w, *inv;
    float eps;
    size_t n;
} norm_call;

static void norm_part(const void *arguments, size_t begin, size_t end) {
    const norm_call *c = arguments;
    for (size_t t = begin; t < end; t++) {
        float inv = c->table->rms_norm(c->out + t * c->n, c->x + t * c->n, c->w, c->eps, c->n);
        if (c->kept) c->kept[t] = inv;
    }
}

void k_rms_norm(k_context c, float *y, float *inv_rms, const float *x, const float *w, float eps, size_t rows,
                size_t n) {
    norm_call call = {.table = c.table, .out = y, .kept = inv_rms, .x = x, .w = w, .eps = eps, .n = n};
    k_parallel(c.threads, norm_part, &call, rows, row_grain(n));
}

static void norm_backward_part(const void *arguments, size_t begin, size_t end) {
    const norm_call *c = arguments;
    for (size_t t = begin; t < end; t++) {
        size_t row = t * c->n;
        c->table->rms_norm_backward(c->out + row, c->dy + row, c->x + row, c->w, c->inv[t], c->n);
    }
}

void k_rms_norm_backward(k_context c, float *dx, const float *dy, const float *x, const float *w, const float *inv_rms,
                         size_t rows, size_t n) {
    norm_call call = {.table = c.table, .out = dx, .dy = dy, .x = x, .w = w, .inv = inv_rms, .n = n};
    k_parallel(c.threads, norm_backward_part, &call, rows, row_grain(n));
}

/* ---- Rotary positions ---- */

typedef struct {
    const k_table *table;
    float *x;
    size_t x_stride;
    const float *cosines, *sines;
    float sign;
    k_pairs pairs;
    size_t heads, head_dim;
} rope_call;

static void rope_part(const void *arguments, size_t begin, size_t end) {
    const rope_call *c = arguments;
    for (size_t t = begin; t < end; t++) {
        size_t angle = t * (c->head_dim / 2);
        for (size_t h = 0; h < c->heads; h++)
            c->table->rope(c->x + t * c->x_stride + h * c->head_dim, c->cosines + angle, c->sines + angle, c->sign,
                           c->pairs, c->head_dim);
    }
}

void k_rope(k_context c, float *x, size_t x_stride, const float *cosines, const float *sines, size_t rows, size_t heads,
            size_t head_dim, k_pairs pairs, bool inverse) {
    rope_call call = {c.table, x, x_stride, cosines, sines, inverse ? -1 : 1, pairs, heads, head_dim};
    k_parallel(c.threads, rope_part, &call, rows, row_grain(heads * head_dim));
}

/* ---- One row added to all ---- */

typedef struct {
    const k_table *table;
    float *y;
    size_t y_stride;
    const float *b;
    size_t n;
} row_call;

static void add_row_part(const void *arguments, size_t begin, size_t end) {
    const row_call *c = arguments;
    for (size_t t = begin; t < end; t++) c->table->axpy(c->y + t * c->y_stride, c->b, 1, c->n);
}

void k_add_row(k_context c, float *y, size_t y_stride, const float *b, size_t rows, size_t n) {
    row_call call = {c.table, y, y_stride, b, n};
    k_parallel(c.threads, add_row_part, &call, rows, row_grain(n));
}

/* ---- Value by value ---- */

typedef struct {
    const k_table *table;
    float *out, *out2;
    const float *a, *b, *d_out;
    float s;
} values_call;

static void swiglu_part(const void *arguments, size_t i, size_t end) {
    const values_call *c = arguments;
    c->table->swiglu(c->out + i, c->a + i, c->b + i, end - i);
}

void k_swiglu(k_context c, float *out, const float *gate, const float *up, size_t n) {
    values_call call = {.table = c.table, .out = out, .a = gate, .b = up};
    k_parallel(c.threads, swiglu_part, &call, n, VALUES);
}

static void swiglu_backward_part(const void *arguments, size_t i, size_t end) {
    const values_call *c = arguments;
    c->table->swiglu_backward(c->out + i, c->out2 + i, c->d_out + i, c->a + i, c->b + i, end - i);
}

void k_swiglu_backward(k_context c, float *d_gate, float *d_up, const float *d_out, const float *gate, const float *up,
                       size_t n) {
    values_call call = {.table = c.table, .out = d_gate, .out2 = d_up, .a = gate, .b = up, .d_out = d_out};
    k_parallel(c.threads, swiglu_backward_part, &call, n, VALUES);
}

static void axpy_part(const void *arguments, size_t i, size_t end) {
    const values_call *c = arguments;
    c->table->axpy(c->out + i, c->a + i, c->s, end - i);
}

void k_axpy(k_context c, float *y, const float *x, float s, size_t n) {
    values_call call = {.table = c.table, .out = y, .a = x, .s = s};
    k_parallel(c.threads, axpy_part, &call, n, VALUES);
}

static void add_part(const void *arguments, size_t begin, size_t end) {
    const values_call *c = arguments;
    enum { PIECE = 2048 }; /* stays in the first cache between the copy and the sum */
    for (size_t i = begin; i < end; i += PIECE) {
        size_t n = end - i < PIECE ? end - i : PIECE;
        memmove(c->out + i, c->a + i, n * sizeof(float));
        c->table->axpy(c->out + i, c->b + i, c->s, n);
    }
}

void k_add(k_context c, float *out, const float *a, const float *b, float s, size_t n) {
    values_call call = {.table = c.table, .out = out, .a = a, .b = b, .s = s};
    k_parallel(c.threads, add_part, &call, n, VALUES);
}

static void exp_part(const void *arguments, size_t i, size_t end) {
    const values_call *c = arguments;
    c->table->exp(c->out + i, c->a + i, end - i);
}

void k_exp(k_context c, float *out, const float *x, size_t n) {
    values_call call = {.table = c.table, .out = out, .a = x};
    k_parallel(c.threads, exp_part, &call, n, VALUES);
}

static void log_part(const void *arguments, size_t i, size_t end) {
    const values_call *c = arguments;
    c->table->log(c->out + i, c->a + i, end - i);
}

void k_log(k_context c, float *out, const float *x, size_t n) {
    values_call call = {.table = c.table, .out = out, .a = x};
    k_parallel(c.threads, log_part, &call, n, VALUES);
}

/* ---- Log-probabilities ---- */

typedef struct {
    const k_table *table;
    float *maximum, *sum, *z;
    const float *logits;
    size_t stride, first, n;
    const float *log_sum, *weight;
    const uint32_t *target;
} vocabulary_call;

static void log_sum_exp_part(const void *arguments, size_t begin, size_t end) {
    const vocabulary_call *c = arguments;
    for (size_t t = begin; t < end; t++)
        c->table->log_sum_exp(c->maximum + t, c->sum + t, c->logits + t * c->stride, c->n);
}

void k_log_sum_exp_tile(k_context c, float *maximum, float *sum, const float *z, size_t z_stride, size_t rows,
                        size_t n) {
    vocabulary_call call = {
        .table = c.table, .maximum = maximum, .sum = sum, .logits = z, .stride = z_stride, .n = n};
    k_parallel(c.threads, log_sum_exp_part, &call, rows, row_grain(n));
}

void k_log_sum_exp_finish(k_context c, float *out, const float *maximum, const float *sum, size_t rows) {
    for (size_t t = 0; t < rows; t++) {
        float log;
        c.table->log(&log, sum + t, 1);
        out[t] = maximum[t] + log;
    }
}

static void log_prob_backward_part(const void *arguments, size_t begin, size_t end) {
    const vocabulary_call *c = arguments;
    for (size_t t = begin; t < end; t++) /* a target before `first` wraps around and is elsewhere, too */
        c->table->log_prob_backward(c->z + t * c->stride, c->log_sum[t], c->weight[t], c->target[t] - c->first, c->n);
}

void k_log_prob_backward_tile(k_context c, float *z, size_t z_stride, const float *log_sum, const float *weight,
                              const uint32_t *target, size_t first, size_t rows, size_t n) {
    vocabulary_call call = {.table = c.table, .z = z, .stride = z_stride, .first = first, .n = n,
                            .log_sum = log_sum, .weight = weight, .target = target};
    k_parallel(c.threads, log_prob_backward_part, &call, rows, row_grain(n));
}
