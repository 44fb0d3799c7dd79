/* Attention over a paged cache, forward. Scores and values are products of small matrices; a task takes the query
 * heads that share a key/value head, for a few rows, through the pages.
 *
 * A position that a row may not see takes no part in anything: what lies there (later rows, garbage) is never read
 * into a result. */
#pragma STDC FP_CONTRACT OFF

#include "attention.h"

#include <math.h>
#include <string.h>

/* ---- Writing the cache ---- */

size_t k_page_bytes(k_attention_shape shape) { return 2 * shape.kv_heads * k_head_bytes(shape); }

typedef struct {
    const k_table *table;
    const k_segment *segments;
    k_attention_shape shape;
    const float *k, *v;
} write_call;

/* Tasks [begin, end): key/value heads of segments. */
static void write_part(const void *arguments, size_t begin, size_t end) {
    const write_call *c = arguments;
    const size_t K = c->shape.kv_heads, E = c->shape.head_dim;
    for (size_t task = begin; task < end; task++) {
        const k_segment *s = &c->segments[task / K];
        const size_t head = task % K;
        for (size_t r = 0; r < s->rows; r++) {
            const size_t position = s->first_position + r, from = ((s->first_row + r) * K + head) * E;
            const void *page = s->pages[position / K_PAGE];
            c->table->write_page(k_page_keys(page, c->shape, head), k_page_values(page, c->shape, head),
                                 position % K_PAGE, c->k + from, c->v + from, c->shape.format, E);
        }
    }
}

void k_cache_write(k_context c, const k_segment *segments, size_t count, k_attention_shape shape, const float *k,
                   const float *v) {
    write_call call = {c.table, segments, shape, k, v};
    size_t rows = 0;
    for (size_t i = 0; i < count; i++) rows += segments[i].rows;
    bool little = rows * shape.kv_heads * shape.head_dim < 65536; /* sooner done than a fork */
    k_parallel(little ? 1 : c.threads, write_part, &call, count * shape.kv_heads, 1);
}

/* ---- Forward ---- */

enum {
    LANES = 48, /* query rows of a task: tokens times heads */
    FEW = 8     /* up to so many, memory is what a task waits for */
};

typedef struct {
    const k_table *table;
    float *out, *log_sum;
    const float *q;
    const k_segment *segments;
    k_attention_shape shape;
    size_t heads, tokens; /* of one task */
} attention_call;

static size_t least(size_t a, size_t b) { return a < b ? a : b; }
static size_t divide_up(size_t a, size_t b) { return (a + b - 1) / b; }

/* Asks for the keys or values of the next page: few rows are done with a page before memory has brought the next. */
static void prefetch(const uint8_t *from, size_t bytes) {
    for (size_t byte = 0; byte < bytes; byte += 64) __builtin_prefetch(from + byte, 0, 2);
}

/* Rows [first, first + tokens) of a segment, query heads [head, head + heads), which share key/value head kv. */
static void attend(const attention_call *c, const k_segment *s, size_t first, size_t tokens, size_t head, size_t heads,
                   size_t kv) {
    const k_table *table = c->table;
    const size_t E = c->shape.head_dim, width = c->shape.heads * E, lanes = tokens * heads;
    _Alignas(64) float q[LANES * K_MAX_HEAD_DIM], o[LANES * K_MAX_HEAD_DIM], scores[LANES * K_PAGE];
    _Alignas(64) float room[K_MAX_HEAD_DIM * K_PAGE]; /* keys, then values, of pages that are not floats */
    float maximum[LANES], sum[LANES];
    for (size_t l = 0; l < lanes; l++) { /* lane = token * heads + head */
        const float *from = c->q + (s->first_row + first + l / heads) * width + (head + l % heads) * E;
        table->scale(q + l * E, from, c->shape.scale, E);
        maximum[l] = -INFINITY;
        sum[l] = 0;
    }
    memset(o, 0, lanes * E * sizeof(float));

    const size_t seen_first = s->first_position + first + 1, seen_last = seen_first + tokens - 1;
    const size_t window = k_window_start(c->shape, seen_first), window_last = k_window_start(c->shape, seen_last);
    for (size_t start = window / K_PAGE * K_PAGE; start < seen_last; start += K_PAGE) {
        const void *page = s->pages[start / K_PAGE];
        const void *next = lanes <= FEW && start + K_PAGE < seen_last ? s->pages[start / K_PAGE + 1] : NULL;
        if (next) prefetch(k_page_keys(next, c->shape, kv), k_head_bytes(c->shape));
        const float *keys = k_keys(table, page, c->shape, kv, room);
        table->multiply(scores, K_PAGE, q, E, keys, K_PAGE, lanes, least(seen_last - start, K_PAGE), E, false);
        for (size_t l = 0; l < lanes; l++) {
            k_view view = k_view_of(c->shape, seen_first + l / heads, start);
            if (view.from == view.to) continue;
            float *seen = scores + l * K_PAGE + view.from;
            float decay = table->softmax(seen, maximum + l, sum + l, view.to - view.from);
            if (decay != 1) table->scale(o + l * E, o + l * E, decay, E);
        }
        /* What all rows see from the page's start on at once, then for each token the rest of what it sees. */
        if (next) prefetch(k_page_values(next, c->shape, kv), k_head_bytes(c->shape));
        const float *values = k_values(table, page, c->shape, kv, room);
        const size_t common = window_last > start ? 0 : k_seen(seen_first, start);
        table->multiply(o, E, scores, K_PAGE, values, E, lanes, E, common, true);
        for (size_t l = 0; l < lanes; l += heads) {
            k_view view = k_view_of(c->shape, seen_first + l / heads, start);
            size_t from = view.from > common ? view.from : common;
            if (from < view.to)
                table->multiply(o + l * E, E, scores + l * K_PAGE + from, K_PAGE, values + from * E, E, heads, E,
                                view.to - from, true);
        }
    }

    for (size_t l = 0; l < lanes; l++) {
        size_t row = s->first_row + first + l / heads, h = head + l % heads;
        table->scale(c->out + row * width + h * E, o + l * E, 1 / sum[l], E);
        if (!c->log_sum) continue;
        float log;
        table->log(&log, sum + l, 1);
        c->log_sum[row * c->shape.heads + h] = maximum[l] + log;
    }
}

/* Tasks [begin, end), ordered by segment, then head, then rows. Later rows cost more; rows alternate between the start
 * and the end of the segment, so that any stretch of tasks costs about the same. */
static void attention_part(const void *arguments, size_t begin, size_t end) {
    const attention_call *c = arguments;
    const size_t group = c->shape.heads / c->shape.kv_heads, parts = divide_up(group, c->heads);
    size_t offset = 0;
    for (const k_segment *s = c->segments; offset < end; s++) {
        const size_t tiles = divide_up(s->rows, c->tokens), tasks = tiles * parts * c->shape.kv_heads;
        for (size_t i = begin > offset ? begin - offset : 0; i < least(tasks, end - offset); i++) {
            size_t turn = i % tiles, tile = turn % 2 ? tiles - 1 - turn / 2 : turn / 2;
            size_t kv = i / tiles / parts, head = i / tiles % parts * c->heads, first = tile * c->tokens;
            attend(c, s, first, least(c->tokens, s->rows - first), kv * group + head, least(c->heads, group - head), kv);
        }
        offset += tasks;
    }
}

void k_attention(k_context c, float *out, float *log_sum, const float *q, const k_segment *segments, size_t count,
                 k_attention_shape shape) {
    const size_t group = shape.heads / shape.kv_heads, heads = least(group, LANES), tokens = LANES / heads;
    attention_call call = {c.table, out, log_sum, q, segments, shape, heads, tokens};
    size_t tasks = 0;
    for (size_t s = 0; s < count; s++)
        tasks += divide_up(segments[s].rows, tokens) * divide_up(group, heads) * shape.kv_heads;
    k_parallel(c.threads, attention_part, &call, tasks, 1);
}
