/* Fork, work through contiguous parts, join. The only parallelism of the library: each thread has parts of its own and then
 * helps the others, so cores that others disturb take fewer, and no result depends on who took which. */
#ifndef PARLEY_THREADS_H
#define PARLEY_THREADS_H

#include <stddef.h>
#include <stdint.h>

typedef void k_task(const void *arguments, size_t begin, size_t end);

/* Calls task on parts that make up [0, count), on at most `threads` threads and with at least `grain` items each
 * (so that small work stays on the calling thread). Returns when all are done. */
void k_parallel(uint32_t threads, k_task *task, const void *arguments, size_t count, size_t grain);

#endif
