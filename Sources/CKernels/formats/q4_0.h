/* Q4_0: x = d * (q - 8). */
typedef struct { uint16_t d; uint8_t qs[16]; } k_block_q4_0;

static inline void read_q4_0(const k_block_q4_0 *b, int8_t *w, float *scale, float *minimum) {
    *scale = k_half(b->d);
    for (int j = 0; j < 16; j++) {
        w[j] = (int8_t)((b->qs[j] & 15) - 8);
        w[j + 16] = (int8_t)((b->qs[j] >> 4) - 8);
    }
}
