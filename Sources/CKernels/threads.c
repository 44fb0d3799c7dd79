/* The one file with threads. OpenMP's runtime is called by its documented entry point, so that the package needs no
 * compiler flags; Apple's systems have no OpenMP and split with Dispatch. */
#include "threads.h"

#include <stdatomic.h>

typedef struct {
    k_task *task;
    const void *arguments;
    size_t count, parts;
    atomic_size_t next; /* the first part that nobody has taken */
} job;

/* One thread's work: part after part, as long as there are some. */
static void run_parts(job *j) {
    for (size_t part; (part = atomic_fetch_add_explicit(&j->next, 1, memory_order_relaxed)) < j->parts;) {
        size_t begin = j->count * part / j->parts, end = j->count * (part + 1) / j->parts;
        if (begin < end) j->task(j->arguments, begin, end);
    }
}

#if defined(__APPLE__)

#include <dispatch/dispatch.h>

static void dispatch_part(void *data, size_t thread) {
    (void)thread;
    run_parts(data);
}

static void fork_join(job *j, uint32_t threads) {
    dispatch_apply_f(threads, DISPATCH_APPLY_AUTO, j, dispatch_part);
}

#else

void GOMP_parallel(void (*function)(void *), void *data, unsigned threads, unsigned flags);

static void thread_part(void *data) { run_parts(data); }

static void fork_join(job *j, uint32_t threads) { GOMP_parallel(thread_part, j, threads, 0); }

#endif

void k_parallel(uint32_t threads, k_task *task, const void *arguments, size_t count, size_t grain) {
    size_t useful = count / (grain ? grain : 1);
    if (useful < threads) threads = (uint32_t)useful;
    if (threads <= 1) {
        if (count > 0) task(arguments, 0, count);
        return;
    }
    size_t parts = 4 * (size_t)threads;
    job j = {task, arguments, count, useful < parts ? useful : parts, 0};
    fork_join(&j, threads);
}
