/* OpenMP's runtime and OpenBLAS, as far as CKernels needs them: one thread, one shape of product. */
#include "cblas.h"

void GOMP_parallel(void (*function)(void *), void *data, unsigned threads, unsigned flags) { function(data); }
int omp_get_thread_num(void) { return 0; }
int omp_get_num_threads(void) { return 1; }

void openblas_set_num_threads(int threads) {}

/* c [m, n] = beta c + alpha a^T b, the one call that CKernels makes. */
void cblas_sgemm(int order, int turn_a, int turn_b, int m, int n, int k, float alpha, const float *a, int a_stride,
                 const float *b, int b_stride, float beta, float *c, int c_stride) {
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            float sum = 0;
            for (int t = 0; t < k; t++) sum += a[t * a_stride + i] * b[t * b_stride + j];
            c[i * c_stride + j] = beta * c[i * c_stride + j] + alpha * sum;
        }
}
