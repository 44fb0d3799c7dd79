/* IQ1_M: as IQ1_S in 16 groups of 16; a nibble of qh has the upper 3 bits of an index and the sign of its eighth. 16 bits of
 * `scales` are four scales and a quarter of d. */
typedef struct { uint8_t qs[32], qh[16]; uint16_t scales[4]; } k_block_iq1_m;

static inline void read_iq1_m(const k_block_iq1_m *b, int8_t *w, float *scale, float *minimum) {
    const uint16_t *s = b->scales;
    const float d = k_half((uint16_t)(s[0] >> 12 | (s[1] >> 12) << 4 | (s[2] >> 12) << 8 | (s[3] >> 12) << 12));
    for (int g = 0; g < 16; g++) scale[g] = d * (float)(2 * (s[g / 4] >> g % 4 * 3 & 7) + 1) * 0.125f;
    for (int i = 0; i < 32; i++) {
        const int bits = b->qh[i / 2] >> i % 2 * 4;
        k_put_8(w + 8 * i, k_iq1_values(b->qs[i] | (bits & 7) << 8, bits >> 3 & 1));
    }
}
