/* Weights as stored, to words for the dot products of 16 rows at once. A word is a dword of each row: four bytes, weights
 * 4c to 4c + 3, without a sign: each is the weight plus zero_point(format), which the products take back.
 *
 * The packed dwords of 16 rows are transposed first; then an AND, or a shift and an AND, gives the words. */
#include "transpose.h"

/* Formats that have a way of their own below. */
#define EXPANDED(X)                                                            \
    X(K_Q4_0) X(K_Q4_1) X(K_Q5_0) X(K_Q5_1) X(K_Q8_0)                          \
    X(K_Q2_K) X(K_Q3_K) X(K_Q4_K) X(K_Q5_K) X(K_Q6_K)                          \
    X(K_IQ4_NL) X(K_IQ4_XS) X(K_MXFP4)

/* All others are widened row by row first, and share one way for each size of a group: these stand for them where the compiler is
 * to know a format. */
#define WIDENED_16 K_IQ2_XS
#define WIDENED_32 K_IQ2_XXS

K_INLINE bool expands(k_format format) {
    switch (format) {
#define X(id) case id:
        EXPANDED(X) return true;
#undef X
    default: return false;
    }
}

/* Values expanded together, so that no byte is read twice; and what is added to every weight. */
K_INLINE int unit_of(k_format format) {
    switch (format) {
    case K_Q2_K: case K_Q3_K: case K_Q6_K: return 128;
    case K_Q4_K: case K_Q5_K: return 64;
    default: return 32;
    }
}

K_INLINE int zero_point(k_format format) {
    return !expands(format) ? 128 : has_minimum(format) ? 0 : 1 << (bits_of(format) - 1);
}

K_INLINE __m512i bits(__m512i v, int shift, int mask) {
    return _mm512_and_si512(_mm512_srli_epi32(v, (unsigned)shift), _mm512_set1_epi32(mask));
}

/* v plus `value` in every byte in which `from` has the bit `bit`. */
K_INLINE __m512i add_bit(__m512i v, __m512i from, __m512i bit, char value) {
    return _mm512_mask_add_epi8(v, _mm512_test_epi8_mask(from, bit), v, _mm512_set1_epi8(value));
}

/* The low nibbles of all bytes (half 0), or the high ones. */
K_INLINE __m512i nibbles(__m512i v, int half) { return bits(v, 4 * half, 0x0f0f0f0f); }

/* Where words go: `stride` registers apart, with `less` taken from every byte. They are written one by one, for there are
 * not enough registers to hold a unit. */
typedef struct {
    __m512i *to;
    int stride;
    char less;
} word_sink;

K_INLINE void put(word_sink words, int word, __m512i v) {
    words.to[word * words.stride] = _mm512_sub_epi8(v, _mm512_set1_epi8(words.less));
}

/* Byte `byte` of every dword, four times. */
K_INLINE __m512i spread(__m512i v, int byte) {
    const __m512i first = _mm512_set4_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0);
    return _mm512_shuffle_epi8(v, _mm512_add_epi8(first, _mm512_set1_epi8((char)byte)));
}

/* 32 nibbles at `offset`, each an index of a value. */
K_INLINE void words_of_indices(word_sink words, const uint8_t *const row[16], size_t offset, const int8_t values[16], int zero) {
    const __m128i table = _mm_add_epi8(_mm_loadu_si128((const void *)values), _mm_set1_epi8((char)zero));
    __m512i v[4];
    load_lanes(v, row, offset);
#pragma clang loop unroll(full)
    for (int c = 0; c < 8; c++)
        put(words, c, _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), nibbles(v[c % 4], c / 4)));
}

/* A block of Q5_0 or Q5_1: the dword at `qh` has the fifth bits of 32 values, whose nibbles follow. */
K_INLINE void words_of_five_bits(word_sink words, const uint8_t *const row[16], size_t qh) {
    __m512i v[4], fifth[4];
    load_lanes(fifth, row, qh); /* of which the first is wanted */
    load_lanes(v, row, qh + 4);
#pragma clang loop unroll(full)
    for (int c = 0; c < 8; c++) { /* two words take their bits from one byte */
        const __m512i bit = _mm512_set1_epi32(c % 2 ? (int)0x80402010 : 0x08040201);
        put(words, c, add_bit(nibbles(v[c % 4], c / 4), spread(fifth[0], c / 2), bit, 16));
    }
}

/* One unit of 16 rows: unit / 4 words. `row` points at the chunk, or at what it was widened to; `u` counts units. */
K_INLINE void expand_unit(word_sink words, const uint8_t *const row[16], size_t u, k_format format) {
    __m512i v[8], high[8];
    switch (format) {
    case K_Q4_0:
    case K_Q4_1:
        load_lanes(v, row, format == K_Q4_0 ? u * sizeof(k_block_q4_0) + offsetof(k_block_q4_0, qs)
                                            : u * sizeof(k_block_q4_1) + offsetof(k_block_q4_1, qs));
#pragma clang loop unroll(full)
        for (int c = 0; c < 8; c++) put(words, c, nibbles(v[c % 4], c / 4));
        break;
    case K_Q5_0: words_of_five_bits(words, row, u * sizeof(k_block_q5_0) + offsetof(k_block_q5_0, qh)); break;
    case K_Q5_1: words_of_five_bits(words, row, u * sizeof(k_block_q5_1) + offsetof(k_block_q5_1, qh)); break;
    case K_Q2_K:
    case K_Q3_K: /* half a block, four groups of 32 in the same bytes; see q2_k.h and q3_k.h */
        load_wide_lanes(v, row, (format == K_Q2_K ? offsetof(k_block_q2_k, qs) : offsetof(k_block_q3_k, qs)) + 32 * u);
        if (format == K_Q3_K) load_wide_lanes(high, row, offsetof(k_block_q3_k, qh));
#pragma clang loop unroll(full)
        for (int c = 0; c < 32; c++) {
            const __m512i third = _mm512_set1_epi8((char)(1 << (4 * u + (size_t)c / 8)));
            const __m512i two = bits(v[c % 8], c / 8 * 2, 0x03030303);
            put(words, c, format == K_Q3_K ? add_bit(two, high[c % 8], third, 4) : two);
        }
        break;
    case K_Q4_K: /* byte j of 32 holds value j of two groups */
        load_wide_lanes(v, row, offsetof(k_block_q4_k, qs) + 32 * u);
#pragma clang loop unroll(full)
        for (int c = 0; c < 16; c++) put(words, c, nibbles(v[c % 8], c / 8));
        break;
    case K_Q5_K: /* as Q4_K, and byte j of another 32 holds the fifth bit of value j of eight groups */
        load_wide_lanes(v, row, offsetof(k_block_q5_k, qs) + 32 * u);
        load_wide_lanes(high, row, offsetof(k_block_q5_k, qh));
#pragma clang loop unroll(full)
        for (int c = 0; c < 16; c++) {
            const __m512i fifth = _mm512_set1_epi8((char)(1 << (2 * u + (size_t)c / 8)));
            put(words, c, add_bit(nibbles(v[c % 8], c / 8), high[c % 8], fifth, 16));
        }
        break;
    case K_Q6_K: /* half a block; groups g and g + 2 share their bytes */
        load_wide_lanes(high, row, offsetof(k_block_q6_k, qh) + 32 * u);
#pragma clang loop unroll(full)
        for (int g = 0; g < 2; g++) {
            load_wide_lanes(v, row, 64 * u + 32 * (size_t)g);
#pragma clang loop unroll(full)
            for (int c = 0; c < 16; c++) {
                const int from = 2 * g + c / 8 * 4; /* the place of the two bits, which go to place 4 */
                const __m512i two = from < 4 ? _mm512_slli_epi32(high[c % 8], (unsigned)(4 - from))
                                             : _mm512_srli_epi32(high[c % 8], (unsigned)(from - 4));
                put(words, c % 8 + 8 * g + c / 8 * 16,
                    _mm512_or_si512(nibbles(v[c % 8], c / 8), _mm512_and_si512(two, _mm512_set1_epi32(0x30303030))));
            }
        }
        break;
    case K_Q8_0:
        load_wide_lanes(v, row, u * sizeof(k_block_q8_0) + offsetof(k_block_q8_0, qs));
#pragma clang loop unroll(full)
        for (int c = 0; c < 8; c++) put(words, c, _mm512_xor_si512(v[c], _mm512_set1_epi8(-128)));
        break;
    case K_IQ4_NL:
        words_of_indices(words, row, u * sizeof(k_block_iq4_nl) + offsetof(k_block_iq4_nl, qs), k_iq4_values, zero_point(format));
        break;
    case K_IQ4_XS:
        words_of_indices(words, row, offsetof(k_block_iq4_xs, qs) + 16 * u, k_iq4_values, zero_point(format));
        break;
    case K_MXFP4:
        words_of_indices(words, row, u * sizeof(k_block_mxfp4) + offsetof(k_block_mxfp4, qs), k_fp4_values, zero_point(format));
        break;
    default: /* widened */
        load_wide_lanes(v, row, offsetof(integers, w) + 32 * u);
#pragma clang loop unroll(full)
        for (int c = 0; c < 8; c++) put(words, c, _mm512_xor_si512(v[c], _mm512_set1_epi8(-128)));
        break;
    }
}

/* ---- Scales ---- */

/* Scales, and minima where there are some, of the groups of one chunk of 16 rows. */
typedef struct {
    __m512 scale[K_CHUNK / 16], minimum[K_CHUNK / 16];
} unit_scales;

/* out[b] = the halves at row[r] + offset + b * step, for b below count. */
K_INLINE void load_halves(__m512 *out, const uint8_t *const row[16], size_t offset, size_t step, size_t count) {
    for (size_t b = 0; b < count; b++) {
        uint16_t halves[16];
        for (size_t r = 0; r < 16; r++) memcpy(&halves[r], row[r] + offset + b * step, sizeof(uint16_t));
        out[b] = _mm512_cvtph_ps(_mm256_loadu_si256((const void *)halves));
    }
}

/* out[i] = float i at row[r] + offset, for i below count, at most 16; those after it up to a multiple of four are read, too. */
K_INLINE void load_floats(__m512 *out, const uint8_t *const row[16], size_t offset, size_t count) {
    for (size_t i = 0; i < count; i += 4) load_lanes((__m512i *)out + i, row, offset + i * sizeof(float));
}

K_INLINE __m512 scaled(__m512 d, __m512i scale) { return _mm512_mul_ps(d, _mm512_cvtepi32_ps(scale)); }
K_INLINE __m512 negated(__m512 v) { return _mm512_xor_ps(v, _mm512_set1_ps(-0.0f)); }

/* Nibbles; d and dmin are the last dword of the block. */
K_INLINE void scales_q2_k(unit_scales *to, const uint8_t *const row[16]) {
    __m512i scales[4], tail[4];
    load_lanes(scales, row, 0);
    load_lanes(tail, row, sizeof(k_block_q2_k) - 16);
    const __m512 d = low_halves(tail[3]), dmin = high_halves(tail[3]);
#pragma clang loop unroll(full)
    for (int g = 0; g < 16; g++) {
        to->scale[g] = scaled(d, bits(scales[g / 4], g % 4 * 8, 15));
        to->minimum[g] = negated(scaled(dmin, bits(scales[g / 4], g % 4 * 8 + 4, 15)));
    }
}

/* The last 16 bytes of the block are two of qs, the twelve of the scales, and d. */
K_INLINE void scales_q3_k(unit_scales *to, const uint8_t *const row[16]) {
    __m512i tail[4], part[3];
    load_lanes(tail, row, sizeof(k_block_q3_k) - 16);
    for (int i = 0; i < 3; i++)
        part[i] = _mm512_or_si512(_mm512_srli_epi32(tail[i], 16), _mm512_slli_epi32(tail[i + 1], 16));
    const __m512 d = high_halves(tail[3]);
#pragma clang loop unroll(full)
    for (int g = 0; g < 16; g++) {
        __m512i low = bits(part[g / 4 % 2], g % 4 * 8 + g / 8 * 4, 15), high = bits(part[2], g % 4 * 8 + g / 4 * 2, 3);
        __m512i six = _mm512_or_si512(low, _mm512_slli_epi32(high, 4));
        to->scale[g] = scaled(d, _mm512_sub_epi32(six, _mm512_set1_epi32(32)));
    }
}

/* Q4_K and Q5_K: d and dmin, then the twelve bytes of scales and minima; see read_six_bits. */
K_INLINE void scales_q4_k(unit_scales *to, const uint8_t *const row[16]) {
    const __m512i six = _mm512_set1_epi32(63), four = _mm512_set1_epi32(15), two = _mm512_set1_epi32(48);
    __m512i head[4];
    load_lanes(head, row, 0);
    const __m512 d = low_halves(head[0]), dmin = high_halves(head[0]);
#pragma clang loop unroll(full)
    for (int j = 0; j < 8; j++) {
        __m512i a = _mm512_srli_epi32(head[1], (unsigned)(j % 4 * 8)), s;
        __m512i b = _mm512_srli_epi32(head[2], (unsigned)(j % 4 * 8)), m;
        __m512i c = _mm512_srli_epi32(head[3], (unsigned)(j % 4 * 8));
        if (j < 4) {
            s = _mm512_and_si512(a, six);
            m = _mm512_and_si512(b, six);
        } else {
            s = _mm512_or_si512(_mm512_and_si512(c, four), _mm512_and_si512(_mm512_srli_epi32(a, 2), two));
            m = _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi32(c, 4), four),
                                _mm512_and_si512(_mm512_srli_epi32(b, 2), two));
        }
        to->scale[j] = scaled(d, s);
        to->minimum[j] = negated(scaled(dmin, m));
    }
}

K_INLINE void scales_q6_k(unit_scales *to, const uint8_t *const row[16]) {
    __m512 d;
    __m512i scales[4];
    load_halves(&d, row, offsetof(k_block_q6_k, d), 0, 1);
    load_lanes(scales, row, offsetof(k_block_q6_k, scales));
#pragma clang loop unroll(full)
    for (int g = 0; g < 16; g++) {
        __m512i s = _mm512_srai_epi32(_mm512_slli_epi32(scales[g / 4], (unsigned)(24 - g % 4 * 8)), 24);
        to->scale[g] = scaled(d, s);
    }
}

/* d and the upper bits of the scales, then the lower ones. */
K_INLINE void scales_iq4_xs(unit_scales *to, const uint8_t *const row[16]) {
    __m512i head[4];
    load_lanes(head, row, 0);
#pragma clang loop unroll(full)
    for (int g = 0; g < 8; g++) {
        __m512i six = _mm512_or_si512(bits(head[1], 4 * g, 15), _mm512_slli_epi32(bits(head[0], 16 + 2 * g, 3), 4));
        to->scale[g] = scaled(low_halves(head[0]), _mm512_sub_epi32(six, _mm512_set1_epi32(32)));
    }
}

K_INLINE void scales_mxfp4(unit_scales *to, const uint8_t *const row[16], size_t count) {
    for (size_t b = 0; b < count; b++) {
        float powers[16];
        for (size_t r = 0; r < 16; r++) powers[r] = k_half_of_power(row[r][b * sizeof(k_block_mxfp4)]);
        to->scale[b] = _mm512_loadu_ps(powers);
    }
}

/* The scales of n values; `row` as in expand_unit. */
K_INLINE void load_scales(unit_scales *to, const uint8_t *const row[16], k_format format, size_t n) {
    switch (format) {
    case K_Q4_0: load_halves(to->scale, row, 0, sizeof(k_block_q4_0), n / 32); break;
    case K_Q4_1:
        load_halves(to->scale, row, 0, sizeof(k_block_q4_1), n / 32);
        load_halves(to->minimum, row, offsetof(k_block_q4_1, m), sizeof(k_block_q4_1), n / 32);
        break;
    case K_Q5_0: load_halves(to->scale, row, 0, sizeof(k_block_q5_0), n / 32); break;
    case K_Q5_1:
        load_halves(to->scale, row, 0, sizeof(k_block_q5_1), n / 32);
        load_halves(to->minimum, row, offsetof(k_block_q5_1, m), sizeof(k_block_q5_1), n / 32);
        break;
    case K_Q8_0: load_halves(to->scale, row, 0, sizeof(k_block_q8_0), n / 32); break;
    case K_Q2_K: scales_q2_k(to, row); break;
    case K_Q3_K: scales_q3_k(to, row); break;
    case K_Q4_K: case K_Q5_K: scales_q4_k(to, row); break;
    case K_Q6_K: scales_q6_k(to, row); break;
    case K_IQ4_NL: load_halves(to->scale, row, 0, sizeof(k_block_iq4_nl), n / 32); break;
    case K_IQ4_XS: scales_iq4_xs(to, row); break;
    case K_MXFP4: scales_mxfp4(to, row, n / 32); break;
    default:
        load_floats(to->scale, row, offsetof(integers, scale), n / group_of(format));
        load_floats(to->minimum, row, offsetof(integers, minimum), n / group_of(format));
    }
}
