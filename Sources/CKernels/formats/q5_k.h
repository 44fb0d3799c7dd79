/* Q5_K: as Q4_K, and a fifth bit: that of group g is bit g of 32 bytes. */
typedef struct { uint16_t d, dmin; uint8_t scales[12], qh[32], qs[128]; } k_block_q5_k;

static inline void read_q5_k(const k_block_q5_k *b, int8_t *w, float *scale, float *minimum) {
    read_six_bits(b->scales, k_half(b->d), k_half(b->dmin), scale, minimum);
    for (int g = 0; g < 8; g++)
        for (int j = 0; j < 32; j++)
            w[32 * g + j] = (int8_t)((b->qs[g / 2 * 32 + j] >> g % 2 * 4 & 15) | (b->qh[j] >> g & 1) << 4);
}
