/* Q2_0: x = d * (q - 1), four values a byte. */
typedef struct { uint16_t d; uint8_t qs[16]; } k_block_q2_0;

static inline void read_q2_0(const k_block_q2_0 *b, int8_t *w, float *scale, float *minimum) {
    scale[0] = scale[1] = k_half(b->d);
    for (int j = 0; j < 64; j++) w[j] = (int8_t)((b->qs[j / 4] >> j % 4 * 2 & 3) - 1);
}
