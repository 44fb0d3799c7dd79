/* Q4_K: 8 groups of 32: x = d * scale * q - dmin * minimum; scales and minima are 6 bits. Groups 2c and 2c + 1 are the low
 * and the high nibbles of 32 bytes. */
typedef struct { uint16_t d, dmin; uint8_t scales[12], qs[128]; } k_block_q4_k;

/* Scales and minima of the 8 groups of Q4_K or Q5_K. */
static inline void read_six_bits(const uint8_t s[12], float d, float dmin, float *scale, float *minimum) {
    for (int g = 0; g < 4; g++) {
        scale[g] = d * (float)(s[g] & 63);
        minimum[g] = -(dmin * (float)(s[g + 4] & 63));
        scale[g + 4] = d * (float)((s[g + 8] & 15) | s[g] >> 6 << 4);
        minimum[g + 4] = -(dmin * (float)(s[g + 8] >> 4 | s[g + 4] >> 6 << 4));
    }
}

static inline void read_q4_k(const k_block_q4_k *b, int8_t *w, float *scale, float *minimum) {
    read_six_bits(b->scales, k_half(b->d), k_half(b->dmin), scale, minimum);
    for (int c = 0; c < 4; c++)
        for (int j = 0; j < 32; j++) {
            w[64 * c + j] = b->qs[32 * c + j] & 15;
            w[64 * c + 32 + j] = b->qs[32 * c + j] >> 4;
        }
}
