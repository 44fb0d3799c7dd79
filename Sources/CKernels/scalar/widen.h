/* Weights as integers: what every table's integer products must agree with, and where the tables start that do not know a
 * format better. */
#include "../blocks.h"
#include "../table.h"

/* At most K_CHUNK weights of one row as integers, with a scale for each group and, where the format has one, a minimum. */
typedef struct {
    int8_t w[K_CHUNK];
    float scale[K_CHUNK / 16], minimum[K_CHUNK / 16];
} integers;

static void widen(integers *to, const uint8_t *blocks, k_format format, size_t n) {
    switch (format) {
#define X(id, suffix, name, type, values, bytes, group, ...)                                                     \
    case id:                                                                                                     \
        for (size_t i = 0; i < n; i += values, blocks += bytes)                                                  \
            read_##suffix((const void *)blocks, to->w + i, to->scale + i / group, to->minimum + i / group);      \
        break;
        K_BLOCK_FORMATS(X)
#undef X
    default: break; /* floats have no integers */
    }
}
