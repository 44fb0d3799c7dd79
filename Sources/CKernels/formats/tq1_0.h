/* TQ1_0: x = d * (q - 1); a byte holds five digits of base 3, as a fraction of 256 whose first digit comes first. Runs of
 * digits lie as runs of values: five of 32, five of 16, and the first four of the last four bytes. */
typedef struct { uint8_t qs[48], qh[4]; uint16_t d; } k_block_tq1_0;

/* Digits of `count` bytes: `digits` runs. */
static inline void read_ternary(const uint8_t *q, int count, int digits, int8_t *w) {
    static const uint8_t power[5] = {1, 3, 9, 27, 81};
    for (int n = 0; n < digits; n++)
        for (int j = 0; j < count; j++) w[n * count + j] = (int8_t)(((uint8_t)(q[j] * power[n]) * 3 >> 8) - 1);
}

static inline void read_tq1_0(const k_block_tq1_0 *b, int8_t *w, float *scale, float *minimum) {
    for (int g = 0; g < 8; g++) scale[g] = k_half(b->d);
    read_ternary(b->qs, 32, 5, w);
    read_ternary(b->qs + 32, 16, 5, w + 160);
    read_ternary(b->qh, 4, 4, w + 240);
}
