/* IQ4_NL: x = d * value; the 16 values are denser around zero. */
typedef struct { uint16_t d; uint8_t qs[16]; } k_block_iq4_nl;

static const int8_t k_iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

/* 32 values: low nibbles first. */
static inline void read_iq4_values(const uint8_t qs[16], int8_t *w) {
    for (int j = 0; j < 16; j++) {
        w[j] = k_iq4_values[qs[j] & 15];
        w[j + 16] = k_iq4_values[qs[j] >> 4];
    }
}

static inline void read_iq4_nl(const k_block_iq4_nl *b, int8_t *w, float *scale, float *minimum) {
    *scale = k_half(b->d);
    read_iq4_values(b->qs, w);
}
