/* int16 products: a panel of 32 outputs times up to six tokens, in registers. */

enum { TOKENS = 6, PLAIN = 0, WITH_MINIMUM = 1, GROUPS_OF_16 = 2 };

static void quantize_vnni(int16_t *q, float *scale, float *sum, const float *x, size_t n) {
    for (size_t b = 0; b < n / K_ACT_BLOCK; b++, x += K_ACT_BLOCK, q += K_ACT_BLOCK) {
        const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
        __m512 x0 = _mm512_loadu_ps(x), x1 = _mm512_loadu_ps(x + 16);
        uint32_t largest = _mm512_reduce_max_epu32(_mm512_max_epu32(_mm512_and_si512(_mm512_castps_si512(x0), magnitude),
                                                                    _mm512_and_si512(_mm512_castps_si512(x1), magnitude)));
        float amax = k_float_of_bits(largest);
        bool finite = largest < 0x7f800000, flat = amax < 1e-30f;
        __mmask16 some = finite ? 0xffff : 0;
        __m512 factor = _mm512_set1_ps(flat || !finite ? 0 : 32767 / amax);
        __m512i q0 = _mm512_cvtps_epi32(_mm512_maskz_mul_ps(some, x0, factor));
        __m512i q1 = _mm512_cvtps_epi32(_mm512_maskz_mul_ps(some, x1, factor));
        __m512i turned0 = _mm512_shuffle_epi32(q0, _MM_PERM_DBCA), turned1 = _mm512_shuffle_epi32(q1, _MM_PERM_DBCA);
        _mm256_storeu_si256((void *)q, _mm512_cvtepi32_epi16(turned0)); /* 0 1 2 3 go to 0 2 1 3 */
        _mm256_storeu_si256((void *)(q + 16), _mm512_cvtepi32_epi16(turned1));
        scale[b] = !finite ? NAN : flat ? 0 : amax / 32767;
        sum[b] = (float)_mm512_reduce_add_epi32(_mm512_add_epi32(q0, q1)) * scale[b];
    }
}

/* Adds pairs [first, first + count) of the panel times each token to the integer sums. */
K_INLINE void integer_dots(__m512i sums[TOKENS][2], const int_panel *panel, const int16_t *q, size_t n_in, size_t first,
                           int count, int tokens) {
#pragma clang loop unroll(full)
    for (int t = 0; t < tokens; t++) sums[t][0] = sums[t][1] = _mm512_setzero_si512();
#pragma clang loop unroll(full)
    for (int p = 0; p < count; p++) {
        __m512i w0 = panel->pair[first + (size_t)p][0], w1 = panel->pair[first + (size_t)p][1];
#pragma clang loop unroll(full)
        for (int t = 0; t < tokens; t++) {
            int32_t two;
            memcpy(&two, q + (size_t)t * n_in + 2 * (first + (size_t)p), sizeof two);
            __m512i x = _mm512_set1_epi32(two);
            sums[t][0] = _mm512_dpwssd_epi32(sums[t][0], w0, x);
            sums[t][1] = _mm512_dpwssd_epi32(sums[t][1], w1, x);
        }
    }
}

/* y [tokens, 32] (+)= tokens times n values of the panel; q, scale and sum point at the first token's first value. */
K_INLINE void product_tile(const k_int16_product *c, const int_panel *panel, float *y, const __mmask16 lanes[2],
                           const int16_t *q, const float *scale, const float *sum, size_t n, bool accumulate, int kind,
                           int tokens) {
    const size_t blocks = c->n_in / K_ACT_BLOCK;
    __m512 acc[TOKENS][2];
    __m512i sums[TOKENS][2];
#pragma clang loop unroll(full)
    for (int t = 0; t < tokens; t++)
        for (int h = 0; h < 2; h++)
            acc[t][h] = _mm512_maskz_loadu_ps(accumulate ? lanes[h] : 0, y + (size_t)t * c->y_stride + 16 * h);
    for (size_t b = 0; b < n / K_ACT_BLOCK; b++) {
        const int groups = kind == GROUPS_OF_16 ? 2 : 1;
#pragma clang loop unroll(full)
        for (int g = 0; g < groups; g++) {
            integer_dots(sums, panel, q, c->n_in, 16 * b + 8 * (size_t)g, 16 / groups, tokens);
            const __m512 *w = panel->scale[b * (size_t)groups + (size_t)g];
#pragma clang loop unroll(full)
            for (int t = 0; t < tokens; t++) {
                __m512 x = _mm512_set1_ps(scale[(size_t)t * blocks + b]);
                for (int h = 0; h < 2; h++)
                    acc[t][h] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[t][h]), _mm512_mul_ps(w[h], x), acc[t][h]);
            }
        }
        if (kind != WITH_MINIMUM) continue;
#pragma clang loop unroll(full)
        for (int t = 0; t < tokens; t++) {
            __m512 x = _mm512_set1_ps(sum[(size_t)t * blocks + b]);
            for (int h = 0; h < 2; h++) acc[t][h] = _mm512_fmadd_ps(x, panel->minimum[b][h], acc[t][h]);
        }
    }
#pragma clang loop unroll(full)
    for (int t = 0; t < tokens; t++)
        for (int h = 0; h < 2; h++)
            _mm512_mask_storeu_ps(y + (size_t)t * c->y_stride + 16 * h, lanes[h], acc[t][h]);
}

/* All tokens with n values of a panel, whose K starts at `first` and whose outputs start at o. */
K_INLINE void product_rows(const k_int16_product *c, const int_panel *panel, size_t o, size_t first, size_t n,
                           int kind) {
    const size_t outputs = c->n_out - o < K_PANEL ? c->n_out - o : K_PANEL, blocks = c->n_in / K_ACT_BLOCK;
    const uint32_t real = outputs == K_PANEL ? ~0u : (1u << outputs) - 1;
    const __mmask16 lanes[2] = {(__mmask16)real, (__mmask16)(real >> 16)};
    for (size_t t = 0; t < c->rows; t += TOKENS) {
        float *y = c->y + t * c->y_stride + o;
        const int16_t *q = c->q + t * c->n_in + first;
        const float *scale = c->scale + t * blocks + first / K_ACT_BLOCK;
        const float *sum = c->sum + t * blocks + first / K_ACT_BLOCK;
        switch (c->rows - t) {
        case 1: product_tile(c, panel, y, lanes, q, scale, sum, n, first > 0, kind, 1); break;
        case 2: product_tile(c, panel, y, lanes, q, scale, sum, n, first > 0, kind, 2); break;
        case 3: product_tile(c, panel, y, lanes, q, scale, sum, n, first > 0, kind, 3); break;
        case 4: product_tile(c, panel, y, lanes, q, scale, sum, n, first > 0, kind, 4); break;
        case 5: product_tile(c, panel, y, lanes, q, scale, sum, n, first > 0, kind, 5); break;
        default: product_tile(c, panel, y, lanes, q, scale, sum, n, first > 0, kind, 6); break;
        }
    }
}

static void product_plain(const k_int16_product *c, const int_panel *panel, size_t o, size_t first, size_t n) {
    product_rows(c, panel, o, first, n, PLAIN);
}

static void product_with_minimum(const k_int16_product *c, const int_panel *panel, size_t o, size_t first, size_t n) {
    product_rows(c, panel, o, first, n, WITH_MINIMUM);
}

static void product_groups_of_16(const k_int16_product *c, const int_panel *panel, size_t o, size_t first, size_t n) {
    product_rows(c, panel, o, first, n, GROUPS_OF_16);
}

static void linear_int16_vnni(const k_int16_product *c, size_t begin, size_t end) {
    const k_format_info facts = k_format_facts(c->format);
    const size_t row_bytes = c->n_in / facts.block_values * facts.block_bytes;
    const size_t chunk_bytes = K_CHUNK / facts.block_values * facts.block_bytes;
    int_panel panel;
    for (size_t o = begin * K_PANEL; o < end * K_PANEL && o < c->n_out; o += K_PANEL)
        for (size_t first = 0; first < c->n_in; first += K_CHUNK) {
            size_t n = c->n_in - first < K_CHUNK ? c->n_in - first : K_CHUNK;
            const size_t start = first / K_CHUNK * chunk_bytes;
            const uint8_t *row[K_PANEL];
            row_pointers(row, c->w + o * row_bytes + start, row_bytes, c->n_out - o);
            prefetch_rows(row, start, chunk_bytes, row_bytes);
            expand(&panel, row, c->format, n);
            switch (c->format) {
            case K_Q4_1:
            case K_Q4_K: product_with_minimum(c, &panel, o, first, n); break;
            case K_Q6_K: product_groups_of_16(c, &panel, o, first, n); break;
            default: product_plain(c, &panel, o, first, n); break;
            }
        }
}
