/* Q5_1: as Q4_1, with a fifth bit in qh: x = d * q + m. */
typedef struct { uint16_t d, m; uint8_t qh[4], qs[16]; } k_block_q5_1;

static inline void read_q5_1(const k_block_q5_1 *b, int8_t *w, float *scale, float *minimum) {
    *scale = k_half(b->d);
    *minimum = k_half(b->m);
    read_five_bits(b->qs, b->qh, 0, w);
}
