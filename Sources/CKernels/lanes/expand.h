/* Weights as stored, to a panel: 32 outputs and a chunk of K in words for the dot products. A word is a dword of each
 * output: two 16-bit weights in the order of the int16 activations, (4c, 4c + 2) or (4c + 1, 4c + 3); or four bytes, 4c
 * to 4c + 3, plus zero_point(format).
 *
 * Formats are expanded K_LANES rows at a time: dwords of their bytes are transposed first. The common ones do so with their
 * packed bytes, whose shifts and ANDs give the words; all others are widened to bytes row by row before. */

typedef struct {
    _Alignas(64) int32_t words[K_CHUNK / 2][K_PANEL];
    float scale[K_CHUNK / 16][K_PANEL], minimum[K_CHUNK / 16][K_PANEL]; /* of the groups */
} panel;

/* Where K_PANEL rows start; rows that do not exist repeat the last one, and nobody looks at their lanes. */
K_INLINE void row_pointers(const uint8_t *row[K_PANEL], const uint8_t *w, size_t row_bytes, size_t rows) {
    for (size_t r = 0; r < K_PANEL; r++) row[r] = w + (r < rows ? r : rows - 1) * row_bytes;
}

/* ---- K_LANES rows at a time, from output `at` of the panel on ---- */

/* Weights value...value + 15 from 16 bytes of each row, each byte a weight plus `zero`. */
K_INLINE void put_bytes(panel *to, size_t at, size_t value, const words v[4], int zero, k_format format, k_integers kind) {
    const uint8_t above = (uint8_t)(zero - zero_point(format, kind));
#pragma clang loop unroll(full)
    for (size_t c = 0; c < 4; c++) {
        if (kind == K_INT8) {
            store_words(to->words[value / 4 + c] + at, (words)((bytes)v[c] - above));
        } else {
            store_words(to->words[value / 2 + 2 * c] + at, (words)((shorts)(v[c] & 0x00ff00ff) - (uint16_t)zero));
            store_words(to->words[value / 2 + 2 * c + 1] + at, (words)((shorts)(v[c] >> 8 & 0x00ff00ff) - (uint16_t)zero));
        }
    }
}

/* The same for two weights a byte: 16 from `low` on in the low nibbles, 16 from `high` on. */
K_INLINE void put_nibbles(panel *to, size_t at, size_t low, size_t high, const words v[4], int zero, k_format format,
                          k_integers kind) {
    words nibbles[4];
    for (int c = 0; c < 4; c++) nibbles[c] = v[c] & 0x0f0f0f0f;
    put_bytes(to, at, low, nibbles, zero, format, kind);
    for (int c = 0; c < 4; c++) nibbles[c] = v[c] >> 4 & 0x0f0f0f0f;
    put_bytes(to, at, high, nibbles, zero, format, kind);
}

/* Any format. */
static void expand_by_rows(panel *to, size_t at, const uint8_t *const *row, size_t n, k_format format, k_integers kind) {
    integers widened[K_LANES];
    const uint8_t *bytes[K_LANES];
    for (size_t r = 0; r < K_LANES; r++) {
        widen(&widened[r], row[r], format, n);
        bytes[r] = (const uint8_t *)widened[r].w;
        for (size_t g = 0; g < n / group_of(format); g++) {
            to->scale[g][at + r] = widened[r].scale[g];
            if (has_minimum(format)) to->minimum[g][at + r] = widened[r].minimum[g];
        }
    }
    words v[4];
    for (size_t i = 0; i < n; i += 16) {
        load_lanes(v, bytes, i);
        for (int c = 0; c < 4; c++) v[c] ^= 0x80808080;
        put_bytes(to, at, i, v, 128, format, kind);
    }
}

K_INLINE void expand_q4_0(panel *to, size_t at, const uint8_t *const *row, size_t n, k_integers kind) {
    words v[4];
    for (size_t b = 0; b < n / 32; b++) {
        load_lanes(v, row, b * sizeof(k_block_q4_0) + offsetof(k_block_q4_0, qs));
        put_nibbles(to, at, 32 * b, 32 * b + 16, v, 8, K_Q4_0, kind);
    }
}

K_INLINE void expand_q4_1(panel *to, size_t at, const uint8_t *const *row, size_t n, k_integers kind) {
    words v[4];
    for (size_t b = 0; b < n / 32; b++) {
        load_lanes(v, row, b * sizeof(k_block_q4_1) + offsetof(k_block_q4_1, qs));
        put_nibbles(to, at, 32 * b, 32 * b + 16, v, 0, K_Q4_1, kind);
    }
}

K_INLINE void expand_q8_0(panel *to, size_t at, const uint8_t *const *row, size_t n, k_integers kind) {
    words v[4];
    for (size_t i = 0; i < n; i += 16) {
        load_lanes(v, row, i / 32 * sizeof(k_block_q8_0) + offsetof(k_block_q8_0, qs) + i % 32);
        for (int c = 0; c < 4; c++) v[c] ^= 0x80808080;
        put_bytes(to, at, i, v, 128, K_Q8_0, kind);
    }
}

/* Byte j of every 32 holds value j of two groups */
K_INLINE void expand_q4_k(panel *to, size_t at, const uint8_t *const *row, k_integers kind) {
    words v[4];
    for (size_t i = 0; i < 128; i += 16) {
        const size_t low = i / 32 * 64 + i % 32;
        load_lanes(v, row, offsetof(k_block_q4_k, qs) + i);
        put_nibbles(to, at, low, low + 32, v, 0, K_Q4_K, kind);
    }
    words head[4]; /* d and dmin, then the twelve bytes of scales and minima; see read_six_bits */
    load_lanes(head, row, 0);
    const floats d = low_halves(head[0]), dmin = low_halves(head[0] >> 16);
#pragma clang loop unroll(full)
    for (int j = 0; j < 8; j++) {
        words a = head[1] >> j % 4 * 8, b = head[2] >> j % 4 * 8, c = head[3] >> j % 4 * 8;
        words scale = j < 4 ? a & 63 : (c & 15) | (a >> 2 & 48);
        words minimum = j < 4 ? b & 63 : (c >> 4 & 15) | (b >> 2 & 48);
        store_floats(to->scale[j] + at, d * __builtin_convertvector((integral)scale, floats));
        store_floats(to->minimum[j] + at, -(dmin * __builtin_convertvector((integral)minimum, floats)));
    }
}

/* In each half, group g of 32 takes nibble g / 2 of ql and bit pair g of qh. */
K_INLINE void expand_q6_k(panel *to, size_t at, const uint8_t *const *row, k_integers kind) {
    words v[2][4], high[4], six[4];
    for (size_t half = 0; half < 2; half++)
        for (size_t part = 0; part < 32; part += 16) {
            load_lanes(v[0], row, 64 * half + part);
            load_lanes(v[1], row, 64 * half + part + 32);
            load_lanes(high, row, offsetof(k_block_q6_k, qh) + 32 * half + part);
#pragma clang loop unroll(full)
            for (size_t g = 0; g < 4; g++) {
                for (int c = 0; c < 4; c++)
                    six[c] = (v[g % 2][c] >> g / 2 * 4 & 0x0f0f0f0f) | (high[c] >> 2 * g & 0x03030303) << 4;
                put_bytes(to, at, 128 * half + 32 * g + part, six, 32, K_Q6_K, kind);
            }
        }
    words scales[4];
    load_lanes(scales, row, offsetof(k_block_q6_k, scales));
    uint32_t d[K_LANES] = {0};
    for (int r = 0; r < K_LANES; r++) memcpy(&d[r], row[r] + offsetof(k_block_q6_k, d), sizeof(uint16_t));
#pragma clang loop unroll(full)
    for (int g = 0; g < 16; g++) {
        integral scale = (integral)(scales[g / 4] << (24 - g % 4 * 8)) >> 24;
        store_floats(to->scale[g] + at, low_halves(load_words(d)) * __builtin_convertvector(scale, floats));
    }
}

/* out[b] = the halves at offset + b * step of every row. */
static void load_halves(float out[][K_PANEL], const uint8_t *const row[K_PANEL], size_t offset, size_t step, size_t count) {
    for (size_t b = 0; b < count; b++) {
        uint16_t half[K_PANEL];
        for (size_t r = 0; r < K_PANEL; r++) memcpy(&half[r], row[r] + offset + b * step, sizeof half[r]);
        for (size_t r = 0; r < K_PANEL; r++) out[b][r] = k_half(half[r]);
    }
}

/* The formats that have their own way below. */
static bool expands(k_format format) {
    return format == K_Q4_0 || format == K_Q4_1 || format == K_Q8_0 || format == K_Q4_K || format == K_Q6_K;
}

/* n values, at most a chunk, of 32 rows. */
K_INLINE void expand(panel *to, const uint8_t *const row[K_PANEL], size_t n, k_format format, k_integers kind) {
#define BY_LANES(call) \
    for (size_t at = 0; at < K_PANEL; at += K_LANES) call
    switch (format) {
    case K_Q4_0:
        BY_LANES(expand_q4_0(to, at, row + at, n, kind));
        load_halves(to->scale, row, 0, sizeof(k_block_q4_0), n / 32);
        break;
    case K_Q4_1:
        BY_LANES(expand_q4_1(to, at, row + at, n, kind));
        load_halves(to->scale, row, 0, sizeof(k_block_q4_1), n / 32);
        load_halves(to->minimum, row, offsetof(k_block_q4_1, m), sizeof(k_block_q4_1), n / 32);
        break;
    case K_Q8_0:
        BY_LANES(expand_q8_0(to, at, row + at, n, kind));
        load_halves(to->scale, row, 0, sizeof(k_block_q8_0), n / 32);
        break;
    case K_Q4_K: BY_LANES(expand_q4_k(to, at, row + at, kind)); break;
    case K_Q6_K: BY_LANES(expand_q6_k(to, at, row + at, kind)); break;
    default: BY_LANES(expand_by_rows(to, at, row + at, n, format, kind));
    }
#undef BY_LANES
}
