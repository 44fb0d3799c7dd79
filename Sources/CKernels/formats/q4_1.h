/* Q4_1: x = d * q + m. */
typedef struct { uint16_t d, m; uint8_t qs[16]; } k_block_q4_1;

static inline void read_q4_1(const k_block_q4_1 *b, int8_t *w, float *scale, float *minimum) {
    *scale = k_half(b->d);
    *minimum = k_half(b->m);
    for (int j = 0; j < 16; j++) {
        w[j] = b->qs[j] & 15;
        w[j + 16] = b->qs[j] >> 4;
    }
}
