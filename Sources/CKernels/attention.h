/* What the forward and the backward of attention share: where things lie in a page. */
#ifndef PARLEY_ATTENTION_H
#define PARLEY_ATTENTION_H

#include "table.h"
#include "threads.h"

#define K_MAX_HEAD_DIM 256

static inline float *k_page_keys(const float *page, k_attention_shape shape, size_t kv_head) {
    return (float *)page + kv_head * shape.head_dim * K_PAGE;
}

static inline float *k_page_values(const float *page, k_attention_shape shape, size_t kv_head) {
    return k_page_keys(page, shape, shape.kv_heads + kv_head);
}

/* How many of the page that starts at position `start` a row sees that sees `count` positions in all. */
static inline size_t k_seen(size_t count, size_t start) {
    size_t after = count > start ? count - start : 0;
    return after < K_PAGE ? after : K_PAGE;
}

#endif
