/* NVFP4: 4 groups of 16: x = d / 2 * value with the values of MXFP4; d is a float of four bits of exponent and three of
 * fraction. A group's low nibbles come first, then its high ones. */
typedef struct { uint8_t d[4], qs[32]; } k_block_nvfp4;

/* Half of the float; 0x7f is its NaN, which reads as 0. */
static inline float half_of_ue4m3(uint8_t x) {
    const int exponent = x >> 3 & 15, fraction = x & 7;
    if (x == 0x7f) return 0;
    if (exponent == 0) return (float)fraction * 0x1p-10f;
    return k_float_of_bits((uint32_t)(exponent + 119) << 23 | (uint32_t)fraction << 20);
}

static inline void read_nvfp4(const k_block_nvfp4 *b, int8_t *w, float *scale, float *minimum) {
    for (int g = 0; g < 4; g++) {
        scale[g] = half_of_ue4m3(b->d[g]);
        for (int j = 0; j < 8; j++) {
            w[16 * g + j] = k_fp4_values[b->qs[8 * g + j] & 15];
            w[16 * g + j + 8] = k_fp4_values[b->qs[8 * g + j] >> 4];
        }
    }
}
