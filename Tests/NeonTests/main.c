/* Every table of this machine against scalar: the same bits from every operation, for every format and awkward sizes.
 * A plain program, so that it can be built for another processor and run by an emulator; see tools/test_neon.sh. */
#include "CKernels.h"
#include "alone.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Numbers ---- */

static uint64_t state = 1;

static uint32_t next(void) { /* xorshift64 */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 24);
}

static float *floats(size_t n) { /* in ±3 */
    float *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = (float)((int)(next() % 60001) - 30000) / 10000;
    return x;
}

/* Now and then a block of 32 that is all zeros, tiny, huge or not finite. */
static float *odd_floats(size_t n) {
    float *x = floats(n);
    for (size_t b = 0; b + 32 <= n; b += 32)
        for (size_t i = b; i < b + 32; i++) {
            if (b / 32 % 11 == 3) x[i] = 0;
            if (b / 32 % 11 == 5) x[i] *= 1e-31f;
            if (b / 32 % 11 == 7) x[i] *= 1e38f;
            if (b / 32 % 22 == 9 && i == b + 31) x[i] = b / 32 % 44 == 9 ? INFINITY : NAN;
        }
    return x;
}

/* ---- What was written, and whether it is the same ---- */

enum { GUARD = 3 }; /* floats after every row that nobody may write */

typedef struct {
    float *values;
    size_t rows, columns, stride;
} matrix;

static matrix like(size_t rows, size_t columns, const float *start) {
    matrix m = {malloc(rows * (columns + GUARD) * sizeof(float)), rows, columns, columns + GUARD};
    for (size_t i = 0; i < rows * m.stride; i++) {
        size_t r = i / m.stride, c = i % m.stride;
        m.values[i] = c >= columns ? 12345 : start ? start[r * columns + c] : -54321;
    }
    return m;
}

static const char *table_name;
static long compared, failed;

static void expect_same(const void *got, const void *want, size_t count, const char *what) {
    compared++;
    const float *a = got, *b = want;
    for (size_t i = 0; i < count; i++) {
        if (memcmp(a + i, b + i, sizeof(float)) == 0 || (isnan(a[i]) && isnan(b[i]))) continue;
        if (failed++ < 20) printf("%s: %s: value %zu of %zu is %a, scalar has %a\n", table_name, what, i, count, a[i], b[i]);
        return;
    }
}

static void expect_same_matrix(matrix got, matrix want, const char *what) {
    expect_same(got.values, want.values, got.rows * got.stride, what);
    free(got.values);
    free(want.values);
}

static void expect_same_floats(float *got, float *want, size_t n, const char *what) {
    expect_same(got, want, n, what);
    free(got);
    free(want);
}

static float *copy(const float *x, size_t n) { return memcpy(malloc(n * sizeof *x), x, n * sizeof *x); }

/* ---- Products with weights ---- */

typedef enum { RANDOM, FINITE, ALL_255, ALL_128, ZEROS, FILLS } fill;

/* Random bytes are every weight, and scales that are not finite here and there; without bit 6 all halves are finite. */
static uint8_t *blocks(k_format format, size_t outputs, size_t n, fill fill) {
    k_format_info facts = k_format_facts(format);
    size_t size = outputs * n / facts.block_values * facts.block_bytes;
    uint8_t *w = malloc(size);
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)next();
        w[i] = fill == RANDOM ? byte : fill == FINITE ? byte & 0xbf : fill == ALL_255 ? 255 : fill == ALL_128 ? 128 : 0;
    }
    return w;
}

/* Values that the activations of `rows` rows take: whole chunks. */
static size_t room(size_t rows, size_t n) { return rows * ((n + K_CHUNK - 1) / K_CHUNK * K_CHUNK); }

/* What nobody writes, behind the last values of a row, is zero. */
static k_activations quantized(k_context c, k_integers kind, const float *x, size_t rows, size_t n) {
    const size_t values = room(rows, n);
    k_activations to = {kind, rows, calloc(values, 2), calloc(values / 32, 4), calloc(values / 32, 4),
                        calloc(values / 16, 4)};
    k_quantize_rows(c, to, x, n, n);
    return to;
}

static void release(k_activations a) {
    free(a.q);
    free(a.scale);
    free(a.sum);
    free(a.total);
}

static void linear(k_context c, k_context scalar, k_format format, size_t rows, size_t outputs, size_t n, fill fill) {
    const k_format_info facts = k_format_facts(format);
    char what[100];
    uint8_t *w = blocks(format, outputs, n, fill);
    float *x = odd_floats(rows * n), *dy = odd_floats(rows * outputs), *dx = floats(rows * n);
    for (int kind = 0; kind < K_INTEGERS_COUNT && facts.block_values > 1; kind++) {
        snprintf(what, sizeof what, "%s %s %zux%zux%zu fill %d", facts.name, kind ? "int8" : "int16", rows, outputs, n, fill);
        k_activations a = quantized(c, kind, x, rows, n), b = quantized(scalar, kind, x, rows, n);
        if (kind != K_INT16 || strcmp(table_name, "amx_int8") != 0) /* whose order is its own; its products show what they are */
            expect_same(a.q, b.q, room(rows, n) / (kind == K_INT16 ? 2 : 4), what);
        expect_same(a.scale, b.scale, room(rows, n) / 32, what);
        expect_same(a.sum, b.sum, room(rows, n) / 32, what);
        expect_same(a.total, b.total, room(rows, n) / 16, what);
        matrix got = like(rows, outputs, NULL), want = like(rows, outputs, NULL);
        k_linear_integers(c, a, &(k_output){got.values, got.stride, w, format, outputs}, 1, n);
        k_linear_integers(scalar, b, &(k_output){want.values, want.stride, w, format, outputs}, 1, n);
        expect_same_matrix(got, want, what);
        release(a);
        release(b);
    }
    snprintf(what, sizeof what, "%s f32 %zux%zux%zu fill %d", facts.name, rows, outputs, n, fill);
    matrix got = like(rows, outputs, NULL), want = like(rows, outputs, NULL);
    k_linear_f32(c, got.values, got.stride, x, n, w, format, rows, outputs, n);
    k_linear_f32(scalar, want.values, want.stride, x, n, w, format, rows, outputs, n);
    expect_same_matrix(got, want, what);

    snprintf(what, sizeof what, "%s backward %zux%zux%zu fill %d", facts.name, rows, outputs, n, fill);
    got = like(rows, n, dx), want = like(rows, n, dx);
    k_linear_backward(c, got.values, got.stride, dy, outputs, w, format, rows, outputs, n);
    k_linear_backward(scalar, want.values, want.stride, dy, outputs, w, format, rows, outputs, n);
    expect_same_matrix(got, want, what);

    snprintf(what, sizeof what, "%s backward in integers %zux%zux%zu fill %d", facts.name, rows, outputs, n, fill);
    k_activations a = quantized(c, K_INT14, dy, rows, outputs), b = quantized(scalar, K_INT14, dy, rows, outputs);
    got = like(rows, n, dx), want = like(rows, n, dx);
    k_linear_backward_integers(c, got.values, got.stride, a, w, format, outputs, n);
    k_linear_backward_integers(scalar, want.values, want.stride, b, w, format, outputs, n);
    expect_same_matrix(got, want, what);
    release(a);
    release(b);
    free(w);
    free(x);
    free(dy);
    free(dx);
}

static void products(k_context c, k_context scalar) {
    static const size_t sizes[][3] = {{1, 1, 1}, {1, 17, 2}, {2, 33, 1}, {3, 64, 3}, {5, 31, 1}, {7, 40, 2}, {13, 96, 1}, {8, 300, 1}, {17, 33, 1}, {33, 16, 3}};
    for (k_format format = 0; format < K_FORMAT_COUNT; format++)
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
            for (fill fill = 0; fill < FILLS; fill++) {
                const size_t rows = sizes[s][0], outputs = sizes[s][1], count = sizes[s][2];
                const size_t values = k_format_facts(format).block_values;
                linear(c, scalar, format, rows, outputs, (values == 1 ? 7 : values) * count, fill);
                if (values < 256) linear(c, scalar, format, rows, outputs, 256 + (values == 1 ? 3 : values) * count, fill);
            }
}

static void gemms(k_context c, k_context scalar) {
    static const size_t sizes[][3] = {{1, 1, 1}, {1, 16, 5}, {3, 7, 9}, {6, 17, 64}, {7, 33, 300}, {13, 64, 64}, {20, 259, 31}};
    char what[100];
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
        for (int accumulate = 0; accumulate < 2; accumulate++) {
            const size_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
            float *a = floats(m * k), *b = floats(k * n), *start = floats(m * n);
            matrix got = like(m, n, start), want = like(m, n, start);
            snprintf(what, sizeof what, "gemm %zux%zux%zu", m, n, k);
            k_gemm(c, got.values, got.stride, a, k, b, n, m, n, k, accumulate);
            k_gemm(scalar, want.values, want.stride, a, k, b, n, m, n, k, accumulate);
            expect_same_matrix(got, want, what);
            snprintf(what, sizeof what, "outer %zux%zux%zu", m, n, k); /* the same floats as [k, m] */
            got = like(m, n, start), want = like(m, n, start);
            k_outer(c, got.values, got.stride, a, m, b, n, m, n, k, 0.3f);
            k_outer(scalar, want.values, want.stride, a, m, b, n, m, n, k, 0.3f);
            expect_same_matrix(got, want, what);
            free(a);
            free(b);
            free(start);
        }
}

/* ---- Rows and single values ---- */

static void rows_of(k_context c, k_context scalar, size_t n) {
    enum { T = 3 };
    const k_context both[2] = {c, scalar};
    const size_t count = T * n;
    float *x = floats(count), *y = floats(count), *z = floats(count), *w = floats(n), *inv[2], *out[2], *out2[2];
    float *cosines = floats(count), *sines = floats(count);
    uint32_t target[T] = {0, (uint32_t)n - 1, (uint32_t)n + 7};
#define COMPARE(what, call)                                                                          \
    for (int i = 0; i < 2; i++) {                                                                    \
        const k_context k = both[i];                                                                 \
        float *o = out[i] = copy(y, count), *o2 = out2[i] = copy(z, count), *r = inv[i] = copy(x, T); \
        call;                                                                                        \
    }                                                                                                \
    expect_same_floats(out[0], out[1], count, what);                                                 \
    expect_same_floats(out2[0], out2[1], count, what);                                               \
    expect_same_floats(inv[0], inv[1], T, what)
    COMPARE("rms_norm", (void)o2; k_rms_norm(k, o, r, x, w, 1e-5f, T, n));
    COMPARE("rms_norm_backward", (void)o2; k_rms_norm_backward(k, o, z, x, w, r, T, n));
    COMPARE("swiglu", (void)o2; (void)r; k_swiglu(k, o, x, z, count));
    COMPARE("swiglu_backward", (void)r; k_swiglu_backward(k, o, o2, x, y, z, count));
    COMPARE("axpy", (void)o2; (void)r; k_axpy(k, o, x, 0.7f, count));
    COMPARE("rope", (void)r; k_rope(k, o, n / 2 * 2, cosines, sines, 2, 1, n / 2 * 2, K_NEIGHBOURS, false);
            k_rope(k, o2, n / 2 * 2, cosines, sines, 2, 1, n / 2 * 2, K_HALVES, true));
    COMPARE("add_row", (void)o2; (void)r; k_add_row(k, o, n, w, T, n));
    COMPARE("log_sum_exp", (void)o2; k_log_sum_exp_tile(k, r, o, x, n, T, n); k_log_sum_exp_finish(k, o2, r, o, T));
    COMPARE("log_prob_backward", (void)o2; k_log_prob_backward_tile(k, o, n, r, x, target, 0, T, n));
#undef COMPARE
    float *all[] = {x, y, z, w, cosines, sines};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
}

/* Every 257th float there is, fewer with threads: NaN, infinities and denormals among them. */
static void maths(k_context c, k_context scalar) {
    enum { N = 4099 };
    float x[N], got[N], want[N];
    for (uint64_t bits = 0; bits < 1ull << 32; bits += 257ull * N * (THREADS == 1 ? 1 : 64)) {
        for (int i = 0; i < N; i++) {
            uint32_t b = (uint32_t)(bits + 257ull * (uint64_t)i);
            memcpy(&x[i], &b, sizeof b);
        }
        k_exp(c, got, x, N);
        k_exp(scalar, want, x, N);
        expect_same(got, want, N, "exp");
        k_log(c, got, x, N);
        k_log(scalar, want, x, N);
        expect_same(got, want, N, "log");
    }
}

/* ---- Attention ---- */

static void attention(k_context c, k_context scalar, k_format format, size_t first_position, size_t rows) {
    enum { H = 6, K = 2, PAGES = 4 };
    const size_t E = format == K_Q8_0 ? 32 : 24;
    const k_attention_shape shape = {H, K, E, 0.2f, format, rows % 2 ? 0 : 70}; /* some with a window */
    const size_t page = k_page_bytes(shape);
    const k_context both[2] = {c, scalar};
    const size_t wide = rows * H * E, narrow = rows * K * E;
    float *q = floats(wide), *k = floats(narrow), *v = floats(narrow), *d_out = floats(wide);
    uint8_t *cache[2];
    float *out[2], *log_sum[2], *dq[2], *dk[2], *dv[2];
    for (int i = 0; i < 2; i++) {
        void *pages[PAGES];
        cache[i] = memset(aligned_alloc(64, PAGES * page), 0x11, PAGES * page), out[i] = copy(q, wide), log_sum[i] = copy(q, rows * H);
        dq[i] = copy(q, wide), dk[i] = copy(k, narrow), dv[i] = copy(v, narrow);
        for (size_t p = 0; p < PAGES; p++) pages[p] = cache[i] + p * page;
        const k_segment segment = {pages, 0, rows, first_position};
        k_cache_write(both[i], &segment, 1, shape, k, v);
        k_attention(both[i], out[i], log_sum[i], q, &segment, 1, shape);
        if (first_position == 0)
            k_attention_backward(both[i], dq[i], dk[i], dv[i], d_out, out[i], log_sum[i], q, &segment, 1, shape);
    }
    expect_same(cache[0], cache[1], PAGES * page / sizeof(float), "cache_write");
    free(cache[0]);
    free(cache[1]);
    expect_same_floats(out[0], out[1], wide, "attention");
    expect_same_floats(log_sum[0], log_sum[1], rows * H, "attention log_sum");
    expect_same_floats(dq[0], dq[1], wide, "attention dq");
    expect_same_floats(dk[0], dk[1], narrow, "attention dk");
    expect_same_floats(dv[0], dv[1], narrow, "attention dv");
    float *all[] = {q, k, v, d_out};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
}

/* ---- All of it ---- */

int main(int count, char **arguments) {
    const k_context scalar = {k_table_at(k_table_count() - 1), 1};
    bool found = count < 2;
    for (size_t i = 0; i + (THREADS == 1) < k_table_count(); i++) { /* with threads, scalar too */
        const k_context c = {k_table_at(i), THREADS};
        table_name = k_table_name(c.table);
        if (count > 1 && strcmp(table_name, arguments[1]) != 0) continue;
        found = true;
        compared = 0;
        products(c, scalar);
        gemms(c, scalar);
        for (size_t n = 2; n < 300; n += n < 40 ? 1 : 61) rows_of(c, scalar, n);
        maths(c, scalar);
        for (size_t rows = 1; rows <= 150; rows += 37)
            for (size_t first = 0; first < 100; first += 33)
                for (int f = 0; f < 3; f++)
                    attention(c, scalar, (k_format[]){K_F32, K_F16, K_Q8_0}[f], first, rows);
        printf("%s: %ld comparisons with scalar\n", table_name, compared);
    }
    if (!found) printf("This machine has no table '%s'.\n", arguments[1]);
    if (failed > 0) printf("%ld of them differ.\n", failed);
    return found && failed == 0 ? 0 : 1;
}
