/* Q5_0: as Q4_0, with a fifth bit in qh: x = d * (q - 16). */
typedef struct { uint16_t d; uint8_t qh[4], qs[16]; } k_block_q5_0;

/* 32 values of Q5_0 or Q5_1, plus `offset`. */
static inline void read_five_bits(const uint8_t qs[16], const uint8_t qh[4], int offset, int8_t *w) {
    uint32_t fifth;
    memcpy(&fifth, qh, sizeof fifth);
    for (int j = 0; j < 16; j++) {
        w[j] = (int8_t)(((qs[j] & 15) | (fifth >> j & 1) << 4) + (uint32_t)offset);
        w[j + 16] = (int8_t)((qs[j] >> 4 | (fifth >> (j + 16) & 1) << 4) + (uint32_t)offset);
    }
}

static inline void read_q5_0(const k_block_q5_0 *b, int8_t *w, float *scale, float *minimum) {
    *scale = k_half(b->d);
    read_five_bits(b->qs, b->qh, -16, w);
}
