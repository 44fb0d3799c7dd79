/* MXFP4: x = 2^(e - 128) * value; the values are twice those of a float of a sign, two bits of exponent and one of fraction. */
typedef struct { uint8_t e, qs[16]; } k_block_mxfp4;

static const int8_t k_fp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/* 2^(e - 128), which is a denormal below e = 2. */
static inline float k_half_of_power(uint8_t e) { return k_float_of_bits(e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23); }

static inline void read_mxfp4(const k_block_mxfp4 *b, int8_t *w, float *scale, float *minimum) {
    *scale = k_half_of_power(b->e);
    for (int j = 0; j < 16; j++) {
        w[j] = k_fp4_values[b->qs[j] & 15];
        w[j + 16] = k_fp4_values[b->qs[j] >> 4];
    }
}
