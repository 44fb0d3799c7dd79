/* Q1_0: x = d where the bit is set, else -d. */
typedef struct { uint16_t d; uint8_t qs[16]; } k_block_q1_0;

static inline void read_q1_0(const k_block_q1_0 *b, int8_t *w, float *scale, float *minimum) {
    for (int g = 0; g < 4; g++) scale[g] = k_half(b->d);
    for (int j = 0; j < 16; j++) k_put_8(w + 8 * j, k_negated_8(k_ones_8, (uint8_t)~b->qs[j]));
}
