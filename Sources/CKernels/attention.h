/* What the forward and the backward of attention share: where things lie in a page, and how they are read. */
#ifndef PARLEY_ATTENTION_H
#define PARLEY_ATTENTION_H

#include "table.h"
#include "threads.h"

/* Bytes of the keys, or of the values, of one head in a page. */
static inline size_t k_head_bytes(k_attention_shape shape) {
    const size_t values = shape.head_dim * K_PAGE;
    switch (shape.format) {
    case K_F16: return values * sizeof(uint16_t);
    case K_Q8_0: return values + values / K_ACT_BLOCK * sizeof(float);
    default: return values * sizeof(float);
    }
}

static inline uint8_t *k_page_keys(const void *page, k_attention_shape shape, size_t kv_head) {
    return (uint8_t *)page + kv_head * k_head_bytes(shape);
}

static inline uint8_t *k_page_values(const void *page, k_attention_shape shape, size_t kv_head) {
    return k_page_keys(page, shape, shape.kv_heads + kv_head);
}

/* Keys [E, 64] of one head as floats: in the page where it holds floats, else in `room`. */
static inline const float *k_keys(const k_table *table, const void *page, k_attention_shape shape, size_t kv_head,
                                  float *room) {
    const uint8_t *keys = k_page_keys(page, shape, kv_head);
    if (shape.format == K_F32) return (const float *)keys;
    table->read_keys(room, keys, shape.format, shape.head_dim);
    return room;
}

/* Values [64, E] likewise. */
static inline const float *k_values(const k_table *table, const void *page, k_attention_shape shape, size_t kv_head,
                                    float *room) {
    const uint8_t *values = k_page_values(page, shape, kv_head);
    if (shape.format == K_F32) return (const float *)values;
    table->read_values(room, values, shape.format, shape.head_dim);
    return room;
}

/* How many of the first `count` positions lie in the page that starts at position `start`. */
static inline size_t k_seen(size_t count, size_t start) {
    size_t after = count > start ? count - start : 0;
    return after < K_PAGE ? after : K_PAGE;
}

/* The first position in the window of a row that has `count` positions up to its own. */
static inline size_t k_window_start(k_attention_shape shape, size_t count) {
    return shape.window > 0 && count > shape.window ? count - shape.window : 0;
}

/* The part of the page that starts at position `start` that such a row sees: [from, to). */
typedef struct {
    size_t from, to;
} k_view;

static inline k_view k_view_of(k_attention_shape shape, size_t count, size_t start) {
    return (k_view){k_seen(k_window_start(shape, count), start), k_seen(count, start)};
}

#endif
