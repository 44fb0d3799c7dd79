/* Weights as stored to a panel of 16-bit pairs: the packed dwords of 16 rows are transposed first, then a shift and an
 * AND give pairs for 16 rows at once. The pairs are (4c, 4c + 2), (4c + 1, 4c + 3), as the activations lie. */
#include "transpose.h"

typedef struct {
    __m512i pair[K_CHUNK / 2][2];      /* [pair along K][rows 0...15, 16...31] */
    __m512 scale[K_CHUNK / 16][2];     /* one for each 32 values (Q6_K: 16) */
    __m512 minimum[K_CHUNK / 32][2];   /* Q4_1 and Q4_K */
} int_panel;

/* scale[b] = the halves at row[r] + b * step, for b below count. */
K_INLINE void load_scales(__m512 scale[][2], const uint8_t *const row[K_PANEL], size_t offset, size_t step,
                          size_t count) {
    _Alignas(64) uint16_t halves[K_CHUNK / 32][K_PANEL];
    for (size_t r = 0; r < K_PANEL; r++)
        for (size_t b = 0; b < count; b++) memcpy(&halves[b][r], row[r] + offset + b * step, sizeof(uint16_t));
    for (size_t b = 0; b < count; b++)
        for (size_t h = 0; h < 2; h++)
            scale[b][h] = _mm512_cvtph_ps(_mm256_load_si256((const void *)(halves[b] + 16 * h)));
}

/* The nibbles of bits 0...3 and 16...19, after a shift: two values of 16 bits. */
K_INLINE __m512i nibbles(__m512i v, int shift) {
    return _mm512_and_si512(_mm512_srli_epi32(v, (unsigned)shift), _mm512_set1_epi32(0x000f000f));
}

/* Q4_0 and Q4_1: byte j holds values j and j + 16. */
K_INLINE void expand_q4(int_panel *p, const uint8_t *const row[K_PANEL], size_t n, size_t block, size_t offset,
                        int minus) {
    const __m512i zero_point = _mm512_set1_epi16((short)minus);
    for (size_t b = 0; b < n / 32; b++)
        for (size_t h = 0; h < 2; h++) {
            __m512i v[4], (*pair)[2] = p->pair + 16 * b;
            load_lanes(v, row + 16 * h, b * block + offset);
#pragma clang loop unroll(full)
            for (int c = 0; c < 4; c++) {
                pair[2 * c][h] = _mm512_sub_epi16(nibbles(v[c], 0), zero_point);
                pair[2 * c + 1][h] = _mm512_sub_epi16(nibbles(v[c], 8), zero_point);
                pair[2 * c + 8][h] = _mm512_sub_epi16(nibbles(v[c], 4), zero_point);
                pair[2 * c + 9][h] = _mm512_sub_epi16(nibbles(v[c], 12), zero_point);
            }
        }
}

K_INLINE void expand_q8_0(int_panel *p, const uint8_t *const row[K_PANEL], size_t n) {
    for (size_t b = 0; b < n / 32; b++)
        for (size_t h = 0; h < 2; h++)
            for (size_t part = 0; part < 2; part++) {
                __m512i v[4], (*pair)[2] = p->pair + 16 * b + 8 * part;
                load_lanes(v, row + 16 * h, b * sizeof(k_block_q8_0) + 2 + 16 * part);
#pragma clang loop unroll(full)
                for (int c = 0; c < 4; c++) { /* sign-extend the even bytes, then the odd ones */
                    pair[2 * c][h] = _mm512_srai_epi16(_mm512_slli_epi16(v[c], 8), 8);
                    pair[2 * c + 1][h] = _mm512_srai_epi16(v[c], 8);
                }
            }
}

/* One block of 256. Byte j of each 32 holds value j of two groups of 32, low and high nibble. */
K_INLINE void expand_q4_k(int_panel *p, const uint8_t *const row[K_PANEL]) {
    const __m512i six = _mm512_set1_epi32(63), four = _mm512_set1_epi32(15), two = _mm512_set1_epi32(48);
    for (size_t h = 0; h < 2; h++) {
        __m512i head[4]; /* d and dmin, then the twelve bytes of scales and minima; see k_q4_k_scale */
        load_lanes(head, row + 16 * h, 0);
        const __m512 d = low_halves(head[0]), dmin = high_halves(head[0]);
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
            p->scale[j][h] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(s));
            __m512 minimum = _mm512_mul_ps(dmin, _mm512_cvtepi32_ps(m));
            p->minimum[j][h] = _mm512_xor_ps(minimum, _mm512_set1_ps(-0.0f));
        }
        for (size_t part = 0; part < 8; part++) { /* 16 bytes: half of groups 2g and 2g + 1 */
            __m512i v[4], (*pair)[2] = p->pair + part / 2 * 32 + part % 2 * 8;
            load_lanes(v, row + 16 * h, 16 + 16 * part);
#pragma clang loop unroll(full)
            for (int c = 0; c < 4; c++) {
                pair[2 * c][h] = nibbles(v[c], 0);
                pair[2 * c + 1][h] = nibbles(v[c], 8);
                pair[2 * c + 16][h] = nibbles(v[c], 4);
                pair[2 * c + 17][h] = nibbles(v[c], 12);
            }
        }
    }
}

/* Four bits of v and two of high, at bit 2 * group of each byte, less 32. */
K_INLINE __m512i six_bits(__m512i v, __m512i high, int group, int odd) {
    __m512i shifted = group < 2 ? _mm512_slli_epi32(high, (unsigned)(4 - 2 * group))
                                : _mm512_srli_epi32(high, (unsigned)(2 * group - 4));
    if (odd) { /* the bytes 1 and 3 of a dword */
        shifted = group < 2 ? _mm512_srli_epi32(high, (unsigned)(4 + 2 * group)) : _mm512_srli_epi32(shifted, 8);
    }
    __m512i low = nibbles(v, (group / 2) * 4 + odd * 8);
    return _mm512_sub_epi16(_mm512_or_si512(low, _mm512_and_si512(shifted, _mm512_set1_epi32(0x00300030))),
                            _mm512_set1_epi16(32));
}

/* One block of 256; see q6_k_value. */
K_INLINE void expand_q6_k(int_panel *p, const uint8_t *const row[K_PANEL]) {
    __m512 d[1][2];
    load_scales(d, row, offsetof(k_block_q6_k, d), 0, 1);
    for (size_t h = 0; h < 2; h++) {
        __m512i scales[4];
        load_lanes(scales, row + 16 * h, offsetof(k_block_q6_k, scales));
        for (int g = 0; g < 16; g++) {
            __m512i s = _mm512_srai_epi32(_mm512_slli_epi32(scales[g / 4], (unsigned)(24 - g % 4 * 8)), 24);
            p->scale[g][h] = _mm512_mul_ps(d[0][h], _mm512_cvtepi32_ps(s));
        }
        for (size_t half = 0; half < 2; half++)
            for (size_t part = 0; part < 2; part++) { /* 16 bytes: half of each of four groups of 32 */
                __m512i even[4], odd[4], high[4], (*pair)[2] = p->pair + 64 * half + 8 * part;
                load_lanes(even, row + 16 * h, 64 * half + 16 * part);
                load_lanes(odd, row + 16 * h, 64 * half + 16 * part + 32);
                load_lanes(high, row + 16 * h, offsetof(k_block_q6_k, qh) + 32 * half + 16 * part);
#pragma clang loop unroll(full)
                for (int g = 0; g < 4; g++)
#pragma clang loop unroll(full)
                    for (int c = 0; c < 4; c++) {
                        __m512i v = g % 2 ? odd[c] : even[c];
                        pair[16 * g + 2 * c][h] = six_bits(v, high[c], g, 0);
                        pair[16 * g + 2 * c + 1][h] = six_bits(v, high[c], g, 1);
                    }
            }
    }
}

static void expand(int_panel *p, const uint8_t *const row[K_PANEL], k_format format, size_t n) {
    switch (format) {
    case K_Q4_0:
        load_scales(p->scale, row, 0, sizeof(k_block_q4_0), n / 32);
        expand_q4(p, row, n, sizeof(k_block_q4_0), offsetof(k_block_q4_0, qs), 8);
        break;
    case K_Q4_1:
        load_scales(p->scale, row, 0, sizeof(k_block_q4_1), n / 32);
        load_scales(p->minimum, row, offsetof(k_block_q4_1, m), sizeof(k_block_q4_1), n / 32);
        expand_q4(p, row, n, sizeof(k_block_q4_1), offsetof(k_block_q4_1, qs), 0);
        break;
    case K_Q8_0:
        load_scales(p->scale, row, 0, sizeof(k_block_q8_0), n / 32);
        expand_q8_0(p, row, n);
        break;
    case K_Q4_K: expand_q4_k(p, row); break;
    case K_Q6_K: expand_q6_k(p, row); break;
    default: break; /* floats have no integers */
    }
}
