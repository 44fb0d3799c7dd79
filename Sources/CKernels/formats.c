#include "CKernels.h"

static const k_format_info facts[K_FORMAT_COUNT] = {
    [K_F32] = {"F32", 0, 1, 4},
    [K_F16] = {"F16", 1, 1, 2},
    [K_BF16] = {"BF16", 30, 1, 2},
#define X(id, suffix, name, type, values, bytes, ...) [id] = {name, type, values, bytes},
    K_BLOCK_FORMATS(X)
#undef X
};

k_format_info k_format_facts(k_format format) { return facts[format]; }
