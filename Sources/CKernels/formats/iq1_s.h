/* IQ1_S: 8 groups of 32: x = d * (2 scale + 1) * (t - 1 ± 1/8) with t in 0, 1, 2; as integers, eighths. 16 bits a group: four
 * times the upper 3 bits of an index of 8 values, the scale, and the sign of the eighth. */
typedef struct { uint16_t d; uint8_t qs[32]; uint16_t qh[8]; } k_block_iq1_s;

static inline void read_iq1_s(const k_block_iq1_s *b, int8_t *w, float *scale, float *minimum) {
    const float d = k_half(b->d);
    for (int g = 0; g < 8; g++) {
        const uint16_t bits = b->qh[g];
        scale[g] = d * (float)(2 * (bits >> 12 & 7) + 1) * 0.125f;
        for (int i = 0; i < 4; i++)
            k_put_8(w + 32 * g + 8 * i, k_iq1_values(b->qs[4 * g + i] | (bits >> 3 * i & 7) << 8, bits >> 15));
    }
}
