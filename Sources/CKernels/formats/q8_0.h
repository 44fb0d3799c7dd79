/* Q8_0: x = d * q. */
typedef struct { uint16_t d; int8_t qs[32]; } k_block_q8_0;

static inline void read_q8_0(const k_block_q8_0 *b, int8_t *w, float *scale, float *minimum) {
    *scale = k_half(b->d);
    memcpy(w, b->qs, sizeof b->qs);
}
