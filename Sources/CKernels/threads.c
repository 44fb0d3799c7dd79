/* The one file with threads. OpenMP's runtime is called by its documented entry point, so that the package needs no
 * compiler flags; Apple's systems have no OpenMP and split with Dispatch. */
#include "threads.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    MOST_THREADS = 1024,
    PARTS = 8 /* for each thread */
};

/* Parts [begin, end) that nobody has taken yet, in one word so that they change together. */
typedef _Atomic uint64_t range;

static uint64_t range_of(size_t begin, size_t end) { return (uint64_t)end << 32 | (uint64_t)begin; }

typedef struct {
    k_task *task;
    const void *arguments;
    size_t count, parts, threads;
    range left[MOST_THREADS]; /* of each thread's own parts */
} job;

/* Takes the first or the last part that is left; false when there is none. */
static bool take(range *left, bool last, size_t *part) {
    uint64_t now = atomic_load_explicit(left, memory_order_relaxed), then;
    do {
        size_t begin = (uint32_t)now, end = now >> 32;
        if (begin >= end) return false;
        *part = last ? end - 1 : begin;
        then = last ? range_of(begin, end - 1) : range_of(begin + 1, end);
    } while (!atomic_compare_exchange_weak_explicit(left, &now, then, memory_order_relaxed, memory_order_relaxed));
    return true;
}

static void run_part(const job *j, size_t part) {
    size_t begin = j->count * part / j->parts, end = j->count * (part + 1) / j->parts;
    if (begin < end) j->task(j->arguments, begin, end);
}

/* One thread's work: its own parts in order, as memory likes them, then what the others have not come to, from the back. */
static void run_parts(job *j, size_t thread) {
    size_t part;
    for (size_t i = 0; i < j->threads; i++)
        while (take(&j->left[(thread + i) % j->threads], i > 0, &part)) run_part(j, part);
}

#if defined(__APPLE__)

#include <dispatch/dispatch.h>

static void dispatch_part(void *data, size_t thread) {
    run_parts(data, thread);
}

static void fork_join(job *j, uint32_t threads) {
    dispatch_apply_f(threads, DISPATCH_APPLY_AUTO, j, dispatch_part);
}

#else

void GOMP_parallel(void (*function)(void *), void *data, unsigned threads, unsigned flags);
int omp_get_thread_num(void);

static void thread_part(void *data) { run_parts(data, (size_t)omp_get_thread_num()); }

static void fork_join(job *j, uint32_t threads) { GOMP_parallel(thread_part, j, threads, 0); }

#endif

void k_parallel(uint32_t threads, k_task *task, const void *arguments, size_t count, size_t grain) {
    size_t useful = count / (grain ? grain : 1);
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    if (useful < threads) threads = (uint32_t)useful;
    if (threads <= 1) {
        if (count > 0) task(arguments, 0, count);
        return;
    }
    job j;
    j.task = task;
    j.arguments = arguments;
    j.count = count;
    j.parts = useful < PARTS * (size_t)threads ? useful : PARTS * (size_t)threads;
    j.threads = threads;
    for (size_t t = 0; t < threads; t++)
        atomic_init(&j.left[t], range_of(j.parts * t / threads, j.parts * (t + 1) / threads));
    fork_join(&j, threads);
}
