/* Tiles are 8 KB of registers that a thread's context has to hold, so Linux gives them only to a process that asks. */
#define _DEFAULT_SOURCE /* syscall */
#include "amx.h"

#if defined(__x86_64__) && defined(__linux__)

#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 }; /* ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA */

bool amx_allowed(void) {
    static _Atomic int known; /* 0: not asked yet, 1: refused, 2: allowed. Every thread would find the same */
    int answer = atomic_load_explicit(&known, memory_order_relaxed);
    if (answer == 0) {
        const bool has = __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-int8") &&
                         __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi");
        answer = has && syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0 ? 2 : 1;
        atomic_store_explicit(&known, answer, memory_order_relaxed);
    }
    return answer == 2;
}

#else

bool amx_allowed(void) { return false; }

#endif
