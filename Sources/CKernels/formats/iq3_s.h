/* IQ3_S: 8 groups of 32: x = d * (2 scale + 1) * value; an index of 4 values has 8 bits in qs and a ninth in qh. */
typedef struct { uint16_t d; uint8_t qs[64], qh[8], signs[32], scales[4]; } k_block_iq3_s;

/* Four values 1, 3, ... 15 from four digits of octal. */
static inline uint32_t iq3_s_values(uint16_t entry) { return k_spread_4(entry) * 2 + 0x01010101; }

static inline void read_iq3_s(const k_block_iq3_s *b, int8_t *w, float *scale, float *minimum) {
    const float d = k_half(b->d);
    for (int g = 0; g < 8; g++) scale[g] = d * (float)(1 + 2 * (b->scales[g / 2] >> g % 2 * 4 & 15));
    for (int i = 0; i < 32; i++) {
        const int ninths = b->qh[i / 4] >> i % 4 * 2;
        const uint64_t low = iq3_s_values(k_iq3_s_grid[b->qs[2 * i] | (ninths & 1) << 8]);
        const uint64_t high = iq3_s_values(k_iq3_s_grid[b->qs[2 * i + 1] | (ninths & 2) << 7]);
        k_put_8(w + 8 * i, k_negated_8(low | high << 32, b->signs[i]));
    }
}
