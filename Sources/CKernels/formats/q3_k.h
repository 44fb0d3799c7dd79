/* Q3_K: 16 groups of 16: x = d * (scale - 32) * (q - 4); q has 2 bits in qs as in Q2_K, and the third of run r of 32 values
 * is bit r of 32 bytes. Scales are 6 bits: low nibbles in 8 bytes, the upper pairs of bits in 4 more. */
typedef struct { uint8_t qh[32], qs[64], scales[12]; uint16_t d; } k_block_q3_k;

static inline void read_q3_k(const k_block_q3_k *b, int8_t *w, float *scale, float *minimum) {
    const float d = k_half(b->d);
    for (int g = 0; g < 16; g++) {
        const int low = b->scales[g % 8] >> g / 8 * 4 & 15, high = b->scales[8 + g % 4] >> g / 4 * 2 & 3;
        scale[g] = d * (float)((low | high << 4) - 32);
    }
    for (int r = 0; r < 8; r++)
        for (int j = 0; j < 32; j++)
            w[32 * r + j] = (int8_t)(((b->qs[r / 4 * 32 + j] >> r % 4 * 2 & 3) | (b->qh[j] >> r & 1) << 2) - 4);
}
