/* IQ4_XS: 8 groups of 32: x = d * (scale - 32) * value with the values of IQ4_NL; scales have 4 bits in scales_l and 2 in
 * scales_h. */
typedef struct { uint16_t d, scales_h; uint8_t scales_l[4], qs[128]; } k_block_iq4_xs;

static inline void read_iq4_xs(const k_block_iq4_xs *b, int8_t *w, float *scale, float *minimum) {
    const float d = k_half(b->d);
    for (int g = 0; g < 8; g++) {
        const int low = b->scales_l[g / 2] >> g % 2 * 4 & 15, high = b->scales_h >> 2 * g & 3;
        scale[g] = d * (float)((low | high << 4) - 32);
        read_iq4_values(b->qs + 16 * g, w + 32 * g);
    }
}
