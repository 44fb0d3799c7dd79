/* IQ2_S: 16 groups of 16: x = d * (scale + 1/2) / 4 * value; an index of 8 values has 8 bits in qs and 2 in qh. */
typedef struct { uint16_t d; uint8_t qs[32], signs[32], qh[8], scales[8]; } k_block_iq2_s;

static inline void read_iq2_s(const k_block_iq2_s *b, int8_t *w, float *scale, float *minimum) {
    k_iq2_scales(k_half(b->d), b->scales, scale);
    for (int i = 0; i < 32; i++) {
        const int index = b->qs[i] | (b->qh[i / 4] >> i % 4 * 2 & 3) << 8;
        k_put_8(w + 8 * i, k_negated_8(k_iq2_values(k_iq2_s_grid[index]), b->signs[i]));
    }
}
