/* The one file with threads. OpenMP's runtime is called by its documented entry point, so that the package needs no
 * compiler flags; Apple's systems have no OpenMP and split with Dispatch. */
#include "threads.h"

typedef struct {
    k_task *task;
    const void *arguments;
    size_t count;
} job;

static void run_part(const job *j, size_t part, size_t parts) {
    size_t begin = j->count * part / parts, end = j->count * (part + 1) / parts;
    if (begin < end) j->task(j->arguments, begin, end);
}

#if defined(__APPLE__)

#include <dispatch/dispatch.h>

typedef struct {
    const job *job;
    size_t parts;
} split;

static void dispatch_part(void *context, size_t part) {
    const split *s = context;
    run_part(s->job, part, s->parts);
}

static void fork_join(job *j, uint32_t threads) {
    split s = {j, threads};
    dispatch_apply_f(threads, DISPATCH_APPLY_AUTO, &s, dispatch_part);
}

#else

void GOMP_parallel(void (*function)(void *), void *data, unsigned threads, unsigned flags);
int omp_get_thread_num(void);
int omp_get_num_threads(void); /* may be fewer than were asked for */

static void thread_part(void *data) {
    run_part(data, (size_t)omp_get_thread_num(), (size_t)omp_get_num_threads());
}

static void fork_join(job *j, uint32_t threads) { GOMP_parallel(thread_part, j, threads, 0); }

#endif

void k_parallel(uint32_t threads, k_task *task, const void *arguments, size_t count, size_t grain) {
    job j = {task, arguments, count};
    size_t useful = count / (grain ? grain : 1);
    if (useful < threads) threads = (uint32_t)useful;
    if (threads <= 1)
        run_part(&j, 0, 1);
    else
        fork_join(&j, threads);
}
