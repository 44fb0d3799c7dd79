/* How fast an instruction set multiplies and adds when nothing else limits it: loops over registers alone. A table's file
 * includes this after it has defined, for its vectors,
 *
 *   peak_floats, peak_words                 types of a register of floats and of integers
 *   PEAK_FP32, PEAK_INT16, PEAK_INT8        (sum, a, b) -> sum + a * b, the instructions its matmuls use
 *   PEAK_INT16_PRODUCTS, PEAK_INT8_PRODUCTS products in each 32 bits of a register */

#if defined(__aarch64__)
#define PEAK_UNKNOWN(v) __asm__ volatile("" : "+w"(v))
#else
#define PEAK_UNKNOWN(v) __asm__ volatile("" : "+v"(v)) /* no instruction: the compiler must forget what v holds */
#endif

enum { PEAK_SUMS = 12 }; /* independent sums: more than latency times instructions a cycle, fewer than registers */

/* `rounds` times PEAK_SUMS steps; returns operations, a product and its addition being two. The bytes 0x3f make floats of
 * 0.75, which neither overflow nor become denormal. */
#define PEAK_LOOP(name, vector, STEP, products)                                \
    static uint64_t name(uint64_t rounds) {                                    \
        vector sums[PEAK_SUMS], a, b;                                          \
        memset(sums, 0, sizeof sums);                                          \
        memset(&a, 0x3f, sizeof a);                                            \
        memset(&b, 0x3f, sizeof b);                                            \
        PEAK_UNKNOWN(b);                                                       \
        for (uint64_t round = 0; round < rounds; round++) {                    \
            _Pragma("clang loop unroll(full)")                                 \
            for (int i = 0; i < PEAK_SUMS; i++) {                              \
                PEAK_UNKNOWN(a);                                               \
                sums[i] = STEP(sums[i], a, b);                                 \
            }                                                                  \
        }                                                                      \
        for (int i = 0; i < PEAK_SUMS; i++) PEAK_UNKNOWN(sums[i]);             \
        return rounds * PEAK_SUMS * (sizeof(vector) / 4) * (products) * 2;     \
    }

PEAK_LOOP(peak_fp32, peak_floats, PEAK_FP32, 1)
PEAK_LOOP(peak_int16, peak_words, PEAK_INT16, PEAK_INT16_PRODUCTS)
PEAK_LOOP(peak_int8, peak_words, PEAK_INT8, PEAK_INT8_PRODUCTS)

static uint64_t peak(k_peak what, uint64_t rounds) {
    switch (what) {
    case K_PEAK_FP32: return peak_fp32(rounds);
    case K_PEAK_INT16: return peak_int16(rounds);
    case K_PEAK_INT8: return peak_int8(rounds);
    }
    return 0;
}
