/* TQ2_0: x = d * (q - 1); in each half of the block, run r of 32 values takes bit pair r of 32 bytes. */
typedef struct { uint8_t qs[64]; uint16_t d; } k_block_tq2_0;

static inline void read_tq2_0(const k_block_tq2_0 *b, int8_t *w, float *scale, float *minimum) {
    for (int g = 0; g < 8; g++) scale[g] = k_half(b->d);
    for (int r = 0; r < 8; r++)
        for (int j = 0; j < 32; j++) w[32 * r + j] = (int8_t)((b->qs[r / 4 * 32 + j] >> r % 4 * 2 & 3) - 1);
}
