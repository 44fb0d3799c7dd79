/* What CKernels asks of OpenBLAS, which is not there for the other processor; see alone.c. */
enum { CblasRowMajor = 101, CblasNoTrans = 111, CblasTrans = 112 };

void openblas_set_num_threads(int threads);
void cblas_sgemm(int order, int turn_a, int turn_b, int m, int n, int k, float alpha, const float *a, int a_stride,
                 const float *b, int b_stride, float beta, float *c, int c_stride);
