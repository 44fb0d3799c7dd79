/* What the machine can do at best, on all threads: products in registers, and reading memory. The clock is the caller's. */
#pragma STDC FP_CONTRACT OFF

#include <string.h>

#include "table.h"
#include "threads.h"

/* For tables without loops of their own: what the plain source compiles to. */
typedef float peak_floats __attribute__((vector_size(16)));
typedef uint32_t peak_words __attribute__((vector_size(16)));
#define PEAK_FP32(sum, a, b) ((sum) + (a) * (b))
#define PEAK_INT16 PEAK_FP32
#define PEAK_INT8 PEAK_FP32
enum { PEAK_INT16_PRODUCTS = 1, PEAK_INT8_PRODUCTS = 1 };
#include "peaks.h"

typedef struct {
    uint64_t (*run)(k_peak what, uint64_t rounds);
    k_peak what;
    uint64_t rounds;
    uint64_t *operations;
} products_job;

static void products_task(const void *arguments, size_t begin, size_t end) {
    const products_job *j = arguments;
    for (size_t i = begin; i < end; i++)
        __atomic_fetch_add(j->operations, j->run(j->what, j->rounds), __ATOMIC_RELAXED);
}

uint64_t k_peak_products(k_context c, k_peak what, uint64_t rounds) {
    uint64_t operations = 0;
    products_job j = {c.table->peak ? c.table->peak : peak, what, rounds, &operations};
    k_parallel(c.threads, products_task, &j, c.threads, 1);
    return operations;
}

/* Bytes that are read together, and how far ahead memory is asked for. */
enum { LINE = 64, AHEAD = 512, STREAMS = 2 };

typedef struct {
    const uint8_t *memory;
    uint64_t *sum;
} read_job;

static void read_task(const void *arguments, size_t begin, size_t end) {
    typedef uint64_t line __attribute__((vector_size(LINE)));
    const read_job *j = arguments;
    const uint8_t *memory = j->memory + begin * STREAMS * LINE;
    line sums[STREAMS] = {{0}};
    for (size_t i = 0; i < end - begin; i++)
        for (size_t s = 0; s < STREAMS; s++) {
            const uint8_t *from = memory + (s * (end - begin) + i) * LINE;
            __builtin_prefetch(from + AHEAD);
            line v;
            memcpy(&v, from, sizeof v);
            sums[s] += v;
        }
    uint64_t total = 0;
    for (size_t s = 0; s < STREAMS; s++)
        for (size_t i = 0; i < LINE / sizeof total; i++) total += sums[s][i];
    __atomic_fetch_add(j->sum, total, __ATOMIC_RELAXED);
}

uint64_t k_peak_read(k_context c, const void *memory, size_t bytes) {
    uint64_t sum = 0;
    read_job j = {memory, &sum};
    k_parallel(c.threads, read_task, &j, bytes / (STREAMS * LINE), 1);
    return sum;
}
