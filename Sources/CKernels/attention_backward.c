/* Attention, backward, for whole sequences and groups that share a prefix. Page by page, so that no [T, T] matrix exists.
 *
 * With s = scale q k, p = exp(s - log_sum), o = sum p v:
 *     dv_j = sum_i p_ij do_i,   dp_ij = do_i . v_j,   ds_ij = p_ij (dp_ij - do_i . o_i),
 *     dq_i = scale sum_j ds_ij k_j,   dk_j = scale sum_i ds_ij q_i.
 *
 * A task takes one key/value head of one group, so that every sum over rows is made by one thread in one order. */
#pragma STDC FP_CONTRACT OFF

#include "attention.h"

#include <string.h>

enum { ROWS = 32 }; /* query rows at a time */

typedef struct {
    const k_table *table;
    float *dq, *dk, *dv;
    const float *d_out, *out, *log_sum, *q;
    const k_segment *segments;
    size_t count;
    k_attention_shape shape;
} backward_call;

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* A trunk, and the branches that go on where it ends. */
typedef struct {
    const k_segment *trunk, *end;
} group;

static const k_segment *group_end(const k_segment *trunk, const k_segment *last) {
    const k_segment *end = trunk + 1;
    while (end < last && end->first_position > 0) end++;
    return end;
}

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
        k_view view = k_view_of(c->shape, s->first_position + first + r + 1, start);
        size_t to = least(view.to, count), from = least(view.from, to);
        float *row_p = p + r * K_PAGE, *row_ds = ds + r * K_PAGE;
        float delta = table->dot(c->d_out + at + r * width, c->out + at + r * width, E);
        float log_sum = c->log_sum[(row + r) * H + head];
        table->softmax_backward(row_p + from, row_ds + from, log_sum, delta, c->shape.scale, to - from);
        memset(row_p, 0, from * sizeof(float));
        memset(row_ds, 0, from * sizeof(float));
        memset(row_p + to, 0, (K_PAGE - to) * sizeof(float));
        memset(row_ds + to, 0, (K_PAGE - to) * sizeof(float));
    }
    table->multiply(c->dq + at, width, ds, K_PAGE, work->keys, E, rows, E, count, start > 0);
    k_transpose(turned, ds, rows, K_PAGE);
    table->multiply(work->dk, E, turned, rows, c->q + at, width, count, E, rows, true);
    k_transpose(turned, p, rows, K_PAGE);
    table->multiply(work->dv, E, turned, rows, c->d_out + at, width, count, E, rows, true);
}

/* All rows of a segment that see the page, for all query heads of its key/value head. */
static void segment_backward(const backward_call *c, const k_segment *s, page_work *work, const float *keys, size_t kv,
                             size_t start, size_t count) {
    const size_t heads = c->shape.heads / c->shape.kv_heads;
    const size_t earliest = start > s->first_position ? start - s->first_position : 0;
    size_t end = s->rows; /* but those whose window starts behind the page; the first page sets the dq of all rows */
    if (c->shape.window > 0 && start > 0) {
        const size_t last_seen = start + count + c->shape.window - 1;
        end = last_seen > s->first_position ? least(end, last_seen - s->first_position) : 0;
    }
    for (size_t head = kv * heads; head < (kv + 1) * heads; head++)
        for (size_t first = earliest; first < end; first += ROWS)
            tile_backward(c, s, work, keys, head, start, count, first, least(ROWS, end - first));
}

/* The page of `owner` that starts at position `start`: of the trunk, and then also for the branches that share it, or of
 * a branch. */
static void page_backward(const backward_call *c, group g, const k_segment *owner, page_work *work, size_t kv,
                          size_t start) {
    const size_t K = c->shape.kv_heads, E = c->shape.head_dim;
    const size_t count = least(owner->first_position + owner->rows - start, K_PAGE);
    const void *page = owner->pages[start / K_PAGE];
    const float *keys = k_keys(c->table, page, c->shape, kv, work->room);
    k_transpose(work->keys, keys, E, K_PAGE);
    k_transpose(work->values, k_values(c->table, page, c->shape, kv, work->dv), K_PAGE, E); /* dv is cleared below */
    memset(work->dk, 0, count * E * sizeof(float));
    memset(work->dv, 0, count * E * sizeof(float));
    segment_backward(c, owner, work, keys, kv, start, count);
    if (owner == g.trunk && count == K_PAGE)
        for (const k_segment *s = g.trunk + 1; s < g.end; s++) segment_backward(c, s, work, keys, kv, start, count);
    for (size_t j = 0; j < count; j++) {
        const size_t position = start + j;
        const size_t row = position < owner->first_position ? g.trunk->first_row + position
                                                            : owner->first_row + position - owner->first_position;
        const size_t to = (row * K + kv) * E;
        for (size_t e = 0; e < E; e++) c->dk[to + e] += work->dk[j * E + e];
        for (size_t e = 0; e < E; e++) c->dv[to + e] += work->dv[j * E + e];
    }
}

static void head_backward(const backward_call *c, group g, size_t kv) {
    const size_t K = c->shape.kv_heads, E = c->shape.head_dim;
    _Alignas(64) page_work work;
    for (const k_segment *s = g.trunk; s < g.end; s++)
        for (size_t r = 0; r < s->rows; r++) {
            memset(c->dk + ((s->first_row + r) * K + kv) * E, 0, E * sizeof(float));
            memset(c->dv + ((s->first_row + r) * K + kv) * E, 0, E * sizeof(float));
        }
    for (const k_segment *s = g.trunk; s < g.end; s++) /* a branch's own pages start with the one it begins in */
        for (size_t start = s->first_position / K_PAGE * K_PAGE; start < s->first_position + s->rows; start += K_PAGE)
            page_backward(c, g, s, &work, kv, start);
}

/* Tasks [begin, end): key/value heads of groups. */
static void backward_part(const void *arguments, size_t begin, size_t end) {
    const backward_call *c = arguments;
    const size_t K = c->shape.kv_heads;
    const k_segment *last = c->segments + c->count;
    size_t task = 0;
    for (group g = {c->segments, NULL}; task < end; g.trunk = g.end) {
        g.end = group_end(g.trunk, last);
        for (size_t kv = 0; kv < K; kv++, task++)
            if (task >= begin && task < end) head_backward(c, g, kv);
    }
}

void k_attention_backward(k_context c, float *dq, float *dk, float *dv, const float *d_out, const float *out,
                          const float *log_sum, const float *q, const k_segment *segments, size_t count,
                          k_attention_shape shape) {
    backward_call call = {c.table, dq, dk, dv, d_out, out, log_sum, q, segments, count, shape};
    size_t groups = 0;
    for (size_t i = 0; i < count; i++) groups += i == 0 || segments[i].first_position == 0;
    k_parallel(c.threads, backward_part, &call, groups * shape.kv_heads, 1);
}
