/* IQ2_XXS: 8 groups of 32: x = d * (scale + 1/2) / 4 * value. A group is four indices of 8 values, then 32 bits: four times 7
 * signs, and the scale. */
typedef struct { uint16_t d; uint8_t qs[64]; } k_block_iq2_xxs;

static inline void read_iq2_xxs(const k_block_iq2_xxs *b, int8_t *w, float *scale, float *minimum) {
    const float d = k_half(b->d);
    for (int g = 0; g < 8; g++) {
        const uint8_t *index = b->qs + 8 * g;
        uint32_t bits;
        memcpy(&bits, index + 4, sizeof bits);
        scale[g] = d * (0.5f + (float)(bits >> 28)) * 0.25f;
        for (int i = 0; i < 4; i++)
            k_put_8(w + 32 * g + 8 * i, k_negated_8(k_iq2_values(k_iq2_xxs_grid[index[i]]), k_eighth_sign(bits >> 7 * i)));
    }
}
