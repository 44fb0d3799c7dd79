/* Q6_K: 16 groups of 16: x = d * scale * (q - 32). In each half of the block, run r of 32 values takes nibble r / 2 of ql and
 * bit pair r of qh. */
typedef struct { uint8_t ql[128], qh[64]; int8_t scales[16]; uint16_t d; } k_block_q6_k;

static inline void read_q6_k(const k_block_q6_k *b, int8_t *w, float *scale, float *minimum) {
    const float d = k_half(b->d);
    for (int g = 0; g < 16; g++) scale[g] = d * (float)b->scales[g];
    for (int half = 0; half < 2; half++)
        for (int r = 0; r < 4; r++)
            for (int j = 0; j < 32; j++) {
                const int low = b->ql[64 * half + r % 2 * 32 + j] >> r / 2 * 4 & 15;
                const int high = b->qh[32 * half + j] >> 2 * r & 3;
                w[128 * half + 32 * r + j] = (int8_t)((low | high << 4) - 32);
            }
}
