#include "CKernels.h"

static const k_format_info facts[K_FORMAT_COUNT] = {
#define X(id, name, type, values, bytes) [id] = {name, type, values, bytes},
    K_FORMATS(X)
#undef X
};

k_format_info k_format_facts(k_format format) { return facts[format]; }
