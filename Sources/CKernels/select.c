/* Which tables this machine can run, best first. */
#include "table.h"

#include "amx/amx.h"

#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

enum { MOST = 6 };

/* The tables with code for this processor; the last is the scalar one. */
static size_t supported(const k_table *tables[MOST]) {
    size_t count = 0;
    const k_table *scalar = &k_scalar;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq")) {
        if (__builtin_cpu_supports("avx512vnni")) {
            if (amx_allowed()) tables[count++] = &k_amx_int8;
            tables[count++] = &k_avx512_vnni;
        }
        tables[count++] = &k_avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        if (__builtin_cpu_supports("avxvnni")) tables[count++] = &k_avxvnni;
        tables[count++] = &k_avx2;
        scalar = &k_scalar_fma;
    }
#elif defined(__aarch64__) && defined(__linux__)
    if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) tables[count++] = &k_neon_dotprod;
#elif defined(__aarch64__) && defined(__APPLE__)
    tables[count++] = &k_neon_dotprod; /* every one of Apple's has dot products */
#endif
    tables[count++] = scalar;
    return count;
}

size_t k_table_count(void) {
    const k_table *tables[MOST];
    return supported(tables);
}

const k_table *k_table_at(size_t index) {
    const k_table *tables[MOST];
    supported(tables);
    return tables[index];
}

const char *k_table_name(const k_table *table) { return table->name; }

bool k_table_expands(const k_table *table, k_format format) { return table->expands && table->expands(format); }
