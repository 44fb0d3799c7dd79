/* IQ3_XXS: 8 groups of 32: x = d * (scale + 1/2) / 2 * value. Indices of 4 values, then 32 bits a group as in IQ2_XXS. */
typedef struct { uint16_t d; uint8_t qs[64], bits[32]; } k_block_iq3_xxs;

/* Four values 4, 12, ... 52 and 62 from four digits of octal. */
static inline uint32_t iq3_xxs_values(uint16_t entry) {
    const uint32_t digits = k_spread_4(entry), seven = (digits + 0x01010101) >> 3 & 0x01010101;
    return digits * 8 + 0x04040404 + seven * 2;
}

static inline void read_iq3_xxs(const k_block_iq3_xxs *b, int8_t *w, float *scale, float *minimum) {
    const float d = k_half(b->d);
    for (int g = 0; g < 8; g++) {
        const uint8_t *index = b->qs + 8 * g;
        uint32_t bits;
        memcpy(&bits, b->bits + 4 * g, sizeof bits);
        scale[g] = d * (0.5f + (float)(bits >> 28)) * 0.5f;
        for (int i = 0; i < 4; i++) {
            const uint64_t low = iq3_xxs_values(k_iq3_xxs_grid[index[2 * i]]);
            const uint64_t high = iq3_xxs_values(k_iq3_xxs_grid[index[2 * i + 1]]);
            k_put_8(w + 32 * g + 8 * i, k_negated_8(low | high << 32, k_eighth_sign(bits >> 7 * i)));
        }
    }
}
