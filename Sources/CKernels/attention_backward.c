/* Attention, backward, for whole sequences. Page by page, so that no [T, T] matrix exists.
 *
 * With s = scale q k, p = exp(s - log_sum), o = sum p v:
 *     dv_j = sum_i p_ij do_i,   dp_ij = do_i . v_j,   ds_ij = p_ij (dp_ij - do_i . o_i),
 *     dq_i = scale sum_j ds_ij k_j,   dk_j = scale sum_i ds_ij q_i. */
#pragma STDC FP_CONTRACT OFF

#include "attention.h"

#include <string.h>

enum { ROWS = 32 }; /* query rows at a time */

typedef struct {
    const k_table *table;
    float *dq, *dk, *dv;
    const float *d_out, *out, *log_sum, *q;
    const k_segment *segments;
    k_attention_shape shape;
} backward_call;

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* One page of one key/value head: its keys as rows, its values as columns, and their gradients. */
typedef struct {
    float keys[K_PAGE * K_MAX_HEAD_DIM], values[K_MAX_HEAD_DIM * K_PAGE];
    float dk[K_PAGE * K_MAX_HEAD_DIM], dv[K_PAGE * K_MAX_HEAD_DIM];
    float room[K_MAX_HEAD_DIM * K_PAGE]; /* keys [E, 64] of a page that is not floats */
} page_work;

/* Rows [first, first + rows) of one query head against positions [start, start + count). */
static void tile_backward(const backward_call *c, const k_segment *s, page_work *work, const float *page_keys,
                          size_t head, size_t start, size_t count, size_t first, size_t rows) {
    const k_table *table = c->table;
    const size_t H = c->shape.heads, E = c->shape.head_dim, width = H * E;
    const size_t row = s->first_row + first, at = row * width + head * E;
    _Alignas(64) float q[ROWS * K_MAX_HEAD_DIM];
    _Alignas(64) float p[ROWS * K_PAGE], ds[ROWS * K_PAGE], turned[K_PAGE * ROWS];

    for (size_t r = 0; r < rows; r++) table->scale(q + r * E, c->q + at + r * width, c->shape.scale, E);
    table->multiply(p, K_PAGE, q, E, page_keys, K_PAGE, rows, count, E, false);
    table->multiply(ds, K_PAGE, c->d_out + at, width, work->values, K_PAGE, rows, count, E, false);
    for (size_t r = 0; r < rows; r++) {
        size_t seen = least(k_seen(first + r + 1, start), count);
        float delta = table->dot(c->d_out + at + r * width, c->out + at + r * width, E);
        float log_sum = c->log_sum[(row + r) * H + head];
        table->softmax_backward(p + r * K_PAGE, ds + r * K_PAGE, log_sum, delta, c->shape.scale, seen);
        memset(p + r * K_PAGE + seen, 0, (K_PAGE - seen) * sizeof(float));
        memset(ds + r * K_PAGE + seen, 0, (K_PAGE - seen) * sizeof(float));
    }
    table->multiply(c->dq + at, width, ds, K_PAGE, work->keys, E, rows, E, count, start > 0);
    k_transpose(turned, ds, rows, K_PAGE);
    table->multiply(work->dk, E, turned, rows, c->q + at, width, count, E, rows, true);
    k_transpose(turned, p, rows, K_PAGE);
    table->multiply(work->dv, E, turned, rows, c->d_out + at, width, count, E, rows, true);
}

static void head_backward(const backward_call *c, const k_segment *s, size_t kv) {
    const size_t K = c->shape.kv_heads, E = c->shape.head_dim, group = c->shape.heads / K;
    _Alignas(64) page_work work;
    for (size_t start = 0; start < s->rows; start += K_PAGE) {
        const size_t count = least(s->rows - start, K_PAGE);
        const void *page = s->pages[start / K_PAGE];
        const float *keys = k_keys(c->table, page, c->shape, kv, work.room);
        k_transpose(work.keys, keys, E, K_PAGE);
        k_transpose(work.values, k_values(c->table, page, c->shape, kv, work.dv), K_PAGE, E); /* dv is cleared below */
        memset(work.dk, 0, count * E * sizeof(float));
        memset(work.dv, 0, count * E * sizeof(float));
        for (size_t head = kv * group; head < (kv + 1) * group; head++)
            for (size_t first = start; first < s->rows; first += ROWS) /* earlier rows do not see this page */
                tile_backward(c, s, &work, keys, head, start, count, first, least(ROWS, s->rows - first));
        for (size_t j = 0; j < count; j++) {
            size_t to = ((s->first_row + start + j) * K + kv) * E;
            memcpy(c->dk + to, work.dk + j * E, E * sizeof(float));
            memcpy(c->dv + to, work.dv + j * E, E * sizeof(float));
        }
    }
}

static void backward_part(const void *arguments, size_t begin, size_t end) {
    const backward_call *c = arguments;
    const size_t K = c->shape.kv_heads;
    for (size_t task = begin; task < end; task++) head_backward(c, &c->segments[task / K], task % K);
}

void k_attention_backward(k_context c, float *dq, float *dk, float *dv, const float *d_out, const float *out,
                          const float *log_sum, const float *q, const k_segment *segments, size_t count,
                          k_attention_shape shape) {
    backward_call call = {c.table, dq, dk, dv, d_out, out, log_sum, q, segments, shape};
    k_parallel(c.threads, backward_part, &call, count * shape.kv_heads, 1);
}
