/* Products with weights and between floats: how the work is cut. No cut goes through K. */
#pragma STDC FP_CONTRACT OFF

#include "table.h"
#include "threads.h"

#include <string.h>

static size_t divide_up(size_t a, size_t b) { return (a + b - 1) / b; }
static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Items that make up about a tenth of a millisecond, when one item costs `work` multiply-adds. */
static size_t grain_of(size_t work) { return 1 + 1000000 / (work + 1); }

static size_t row_bytes(k_format format, size_t n) {
    k_format_info facts = k_format_facts(format);
    return n / facts.block_values * facts.block_bytes;
}

void k_dequantize(float *out, const void *blocks, k_format format, size_t n) {
    k_table_at(0)->dequantize(out, blocks, format, n);
}

/* ---- Integers ---- */

typedef struct {
    const k_table *table;
    k_activations to;
    const float *x;
    size_t x_stride, n;
} quantize_call;

static void quantize_part(const void *arguments, size_t begin, size_t end) {
    const quantize_call *c = arguments;
    for (size_t t = begin; t < end; t++)
        for (size_t first = 0; first < c->n; first += K_CHUNK) {
            const float *x = c->x + t * c->x_stride + first;
            const size_t n = least(K_CHUNK, c->n - first);
            float filled[K_CHUNK];
            if (n % K_ACT_BLOCK != 0) {
                memset(filled, 0, sizeof filled);
                x = memcpy(filled, x, n * sizeof(float));
            }
            c->table->quantize(k_activations_at(c->to, t, first), x, divide_up(n, K_ACT_BLOCK) * K_ACT_BLOCK);
        }
}

void k_quantize_rows(k_context c, k_activations to, const float *x, size_t x_stride, size_t n) {
    quantize_call call = {c.table, to, x, x_stride, n};
    k_parallel(c.threads, quantize_part, &call, to.rows, grain_of(8 * n));
}

typedef struct {
    const k_table *table;
    k_activations x;
    const k_output *outputs;
    size_t n_in;
} integers_call;

/* Panels [begin, end) of all outputs, one output after the other. */
static void integers_part(const void *arguments, size_t begin, size_t end) {
    const integers_call *c = arguments;
    size_t offset = 0; /* of this output's panels */
    for (const k_output *o = c->outputs; offset < end; o++) {
        const size_t panels = divide_up(o->n_out, K_PANEL), last = least(end, offset + panels);
        const k_product product = {o->y, o->y_stride, c->x, o->w, o->format, o->n_out, c->n_in};
        if (begin < last) {
            c->table->linear[c->x.kind](&product, begin - offset, last - offset);
            begin = last;
        }
        offset += panels;
    }
}

void k_linear_integers(k_context c, k_activations x, const k_output *outputs, size_t count, size_t n_in) {
    integers_call call = {c.table, x, outputs, n_in};
    size_t panels = 0;
    for (size_t i = 0; i < count; i++) panels += divide_up(outputs[i].n_out, K_PANEL);
    k_parallel(c.threads, integers_part, &call, panels, grain_of(K_PANEL * n_in * (x.rows + 2)));
}

/* ---- Floats ---- */

typedef struct {
    const k_table *table;
    float *out;
    size_t out_stride;
    const float *in;
    size_t in_stride;
    const uint8_t *w;
    k_format format;
    size_t rows, n_out, n_in, row_parts;
} linear_call;

/* Outputs of panels [begin, end). */
static void linear_part(const void *arguments, size_t begin, size_t end) {
    const linear_call *c = arguments;
    const size_t bytes = row_bytes(c->format, c->n_in);
    _Alignas(64) float panel[K_CHUNK * K_PANEL];
    for (size_t p = begin; p < end; p++) {
        size_t o = p * K_PANEL, outputs = least(K_PANEL, c->n_out - o);
        for (size_t first = 0; first < c->n_in; first += K_CHUNK) {
            size_t n = least(K_CHUNK, c->n_in - first);
            c->table->panel(panel, c->w + o * bytes + row_bytes(c->format, first), bytes, c->format, outputs, n);
            c->table->multiply(c->out + o, c->out_stride, c->in + first, c->in_stride, panel, K_PANEL, c->rows, outputs,
                               n, first > 0);
        }
    }
}

void k_linear_f32(k_context c, float *y, size_t y_stride, const float *x, size_t x_stride, const void *w,
                  k_format format, size_t rows, size_t n_out, size_t n_in) {
    linear_call call = {c.table, y, y_stride, x, x_stride, w, format, rows, n_out, n_in, 1};
    k_parallel(c.threads, linear_part, &call, divide_up(n_out, K_PANEL), grain_of(K_PANEL * n_in * (rows + 2)));
}

/* Cells [begin, end) of a grid of slices of K_CHUNK columns of w by parts of the rows. */
static void backward_part(const void *arguments, size_t begin, size_t end) {
    const linear_call *c = arguments;
    const size_t bytes = row_bytes(c->format, c->n_in);
    _Alignas(64) float panel[K_PANEL * K_CHUNK];
    for (size_t cell = begin; cell < end; cell++) {
        size_t first = cell / c->row_parts * K_CHUNK, part = cell % c->row_parts;
        size_t n = least(K_CHUNK, c->n_in - first);
        size_t from = c->rows * part / c->row_parts, to = c->rows * (part + 1) / c->row_parts;
        for (size_t o = 0; o < c->n_out; o += K_PANEL) {
            size_t outputs = least(K_PANEL, c->n_out - o);
            for (size_t r = 0; r < outputs; r++)
                c->table->dequantize(panel + r * K_CHUNK, c->w + (o + r) * bytes + row_bytes(c->format, first),
                                     c->format, n);
            c->table->multiply(c->out + from * c->out_stride + first, c->out_stride, c->in + from * c->in_stride + o,
                               c->in_stride, panel, K_CHUNK, to - from, n, outputs, true);
        }
    }
}

void k_linear_backward(k_context c, float *dx, size_t dx_stride, const float *dy, size_t dy_stride, const void *w,
                       k_format format, size_t rows, size_t n_out, size_t n_in) {
    const size_t slices = divide_up(n_in, K_CHUNK);
    size_t parts = divide_up(2 * c.threads, slices); /* about two cells a thread, if there are rows for them */
    parts = least(parts, 1 + rows / 48);
    linear_call call = {c.table, dx, dx_stride, dy, dy_stride, w, format, rows, n_out, n_in, parts};
    k_parallel(c.threads, backward_part, &call, slices * parts, grain_of(K_CHUNK * n_out * (rows / parts + 2)));
}

typedef struct {
    const k_table *table;
    k_gradient product;
    size_t width, row_parts;
} gradient_call;

/* Cells [begin, end) of a grid of slices of `width` columns of w by parts of the rows. */
static void gradient_part(const void *arguments, size_t begin, size_t end) {
    const gradient_call *c = arguments;
    const size_t rows = c->product.dy.rows;
    for (size_t cell = begin; cell < end; cell++) {
        size_t first = cell / c->row_parts * c->width, part = cell % c->row_parts;
        c->table->backward(&c->product, first, least(c->width, c->product.n_in - first), rows * part / c->row_parts,
                           rows * (part + 1) / c->row_parts);
    }
}

void k_linear_backward_integers(k_context c, float *dx, size_t dx_stride, k_activations dy, const void *w, k_format format,
                                size_t n_out, size_t n_in) {
    size_t width = K_CHUNK;
    while (width > 64 && width / 2 >= k_format_facts(format).block_values && divide_up(n_in, width) < 4 * c.threads) width /= 2;
    const size_t slices = divide_up(n_in, width);
    size_t parts = divide_up(2 * c.threads, slices); /* about two cells a thread, if there are rows for them */
    parts = least(parts, 1 + dy.rows / 48);
    gradient_call call = {c.table, {dx, dx_stride, dy, w, format, n_out, n_in}, width, parts};
    k_parallel(c.threads, gradient_part, &call, slices * parts, grain_of(width * n_out * (dy.rows / parts + 2)));
}

typedef struct {
    const k_table *table;
    float *out;
    size_t out_stride;
    const float *a;
    size_t a_stride;
    const float *b;
    size_t b_stride, m, n, k;
    bool accumulate;
} gemm_call;

enum { GEMM_ROWS = 12, GEMM_COLUMNS = 32 };

static void gemm_rows(const void *arguments, size_t begin, size_t end) {
    const gemm_call *c = arguments;
    size_t from = begin * GEMM_ROWS, to = least(end * GEMM_ROWS, c->m);
    c->table->multiply(c->out + from * c->out_stride, c->out_stride, c->a + from * c->a_stride, c->a_stride, c->b,
                       c->b_stride, to - from, c->n, c->k, c->accumulate);
}

static void gemm_columns(const void *arguments, size_t begin, size_t end) {
    const gemm_call *c = arguments;
    size_t from = begin * GEMM_COLUMNS, to = least(end * GEMM_COLUMNS, c->n);
    c->table->multiply(c->out + from, c->out_stride, c->a, c->a_stride, c->b + from, c->b_stride, c->m, to - from, c->k,
                       c->accumulate);
}

void k_gemm(k_context c, float *out, size_t out_stride, const float *a, size_t a_stride, const float *b,
            size_t b_stride, size_t m, size_t n, size_t k, bool accumulate) {
    gemm_call call = {c.table, out, out_stride, a, a_stride, b, b_stride, m, n, k, accumulate};
    if (m >= n)
        k_parallel(c.threads, gemm_rows, &call, divide_up(m, GEMM_ROWS), grain_of(GEMM_ROWS * n * k));
    else
        k_parallel(c.threads, gemm_columns, &call, divide_up(n, GEMM_COLUMNS), grain_of(GEMM_COLUMNS * m * k));
}

typedef struct {
    const k_table *table;
    float *out;
    size_t out_stride;
    const float *a;
    size_t a_stride;
    const float *b;
    size_t b_stride, m, n, tokens;
    float scale;
} outer_call;

enum { OUTER_TILE = 32 }; /* rows or columns, whichever are more */

static void outer_part(const void *arguments, size_t begin, size_t end) {
    const outer_call *c = arguments;
    const bool tall = c->m >= c->n;
    const size_t from = begin * OUTER_TILE, count = least(end * OUTER_TILE, tall ? c->m : c->n) - from;
    if (tall)
        c->table->outer(c->out + from * c->out_stride, c->out_stride, c->a + from, c->a_stride, c->b, c->b_stride, count,
                        c->n, c->tokens, c->scale);
    else
        c->table->outer(c->out + from, c->out_stride, c->a, c->a_stride, c->b + from, c->b_stride, c->m, count, c->tokens,
                        c->scale);
}

void k_outer(k_context c, float *out, size_t out_stride, const float *a, size_t a_stride, const float *b,
             size_t b_stride, size_t m, size_t n, size_t tokens, float scale) {
    outer_call call = {c.table, out, out_stride, a, a_stride, b, b_stride, m, n, tokens, scale};
    k_parallel(c.threads, outer_part, &call, divide_up(m > n ? m : n, OUTER_TILE),
               grain_of(OUTER_TILE * (m < n ? m : n) * tokens));
}

void k_transpose(float *out, const float *in, size_t m, size_t n) {
    enum { TILE = 16 };
    for (size_t i = 0; i < m; i += TILE)
        for (size_t j = 0; j < n; j += TILE)
            for (size_t r = i; r < least(i + TILE, m); r++)
                for (size_t s = j; s < least(j + TILE, n); s++) out[s * m + r] = in[r * n + s];
}
