/* OpenMP's runtime, as far as CKernels needs it: plain threads, which the thread sanitizer understands. */
#include "alone.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct {
    void (*function)(void *);
    void *data;
    int number;
} work;

static _Thread_local int number;

int omp_get_thread_num(void) { return number; }

static void *run(void *argument) {
    work *w = argument;
    number = w->number;
    w->function(w->data);
    return NULL;
}

void GOMP_parallel(void (*function)(void *), void *data, unsigned threads, unsigned flags) {
    work works[THREADS];
    pthread_t others[THREADS];
    if (threads > THREADS) abort();
    for (unsigned i = 0; i < threads; i++) works[i] = (work){function, data, (int)i};
    for (unsigned i = 1; i < threads; i++)
        if (pthread_create(&others[i], NULL, run, &works[i]) != 0) abort();
    run(&works[0]);
    for (unsigned i = 1; i < threads; i++) pthread_join(others[i], NULL);
}

#if THREADS > 1
/* With the linker's --wrap: however small the work, every call forks. */
typedef void k_task(const void *arguments, size_t begin, size_t end);
void __real_k_parallel(uint32_t threads, k_task *task, const void *arguments, size_t count, size_t grain);
void __wrap_k_parallel(uint32_t threads, k_task *task, const void *arguments, size_t count, size_t grain) {
    __real_k_parallel(threads, task, arguments, count, 1);
}
#endif
