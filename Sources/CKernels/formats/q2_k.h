/* Q2_K: 16 groups of 16: x = d * scale * q - dmin * minimum; scales and minima are the nibbles of `scales`. In each half
 * of the block, run r of 32 values takes bit pair r of 32 bytes. */
typedef struct { uint8_t scales[16], qs[64]; uint16_t d, dmin; } k_block_q2_k;

static inline void read_q2_k(const k_block_q2_k *b, int8_t *w, float *scale, float *minimum) {
    const float d = k_half(b->d), dmin = k_half(b->dmin);
    for (int g = 0; g < 16; g++) {
        scale[g] = d * (float)(b->scales[g] & 15);
        minimum[g] = -(dmin * (float)(b->scales[g] >> 4));
    }
    for (int r = 0; r < 8; r++)
        for (int j = 0; j < 32; j++) w[32 * r + j] = b->qs[r / 4 * 32 + j] >> r % 4 * 2 & 3;
}
