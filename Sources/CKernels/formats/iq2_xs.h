/* IQ2_XS: 16 groups of 16: x = d * (scale + 1/2) / 4 * value; 9 bits of qs are an index of 8 values, 7 are signs. */
typedef struct { uint16_t d, qs[32]; uint8_t scales[8]; } k_block_iq2_xs;

static inline void read_iq2_xs(const k_block_iq2_xs *b, int8_t *w, float *scale, float *minimum) {
    k_iq2_scales(k_half(b->d), b->scales, scale);
    for (int i = 0; i < 32; i++)
        k_put_8(w + 8 * i, k_negated_8(k_iq2_values(k_iq2_xs_grid[b->qs[i] & 511]), k_eighth_sign(b->qs[i] >> 9)));
}
