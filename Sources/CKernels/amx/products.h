/* A panel of 32 outputs and a chunk of K meets the tokens 16 at a time. For each group of weights a step multiplies tiles and
 * another one scales what an earlier step has left in memory: tile and vector units work at the same time.
 *
 *   step s + 3   load activations and weights, multiply
 *   step s + 1   its sums, ready by now, are stored; the registers are free for step s + 3
 *   step s       sums to floats, times scales, plus what earlier groups gave
 *
 * Beside tiles, floating-point vectors have one port of the core (the other is AMX's), so that bytes are moved by a shuffle. */

enum {
    FEW = 64,  /* see avx512/integers.h */
    ROWS = 512, /* tokens whose sums are kept at a time, at most */
    MOST_GROUPS = K_CHUNK / 16
};

/* Whether tiles pay, which cost as much half empty as full: by rows a second with many of both, LOG.md. */
static inline bool tiles_pay(k_activations x) {
    const size_t filled = (x.rows + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS;
    return 5 * filled <= (x.kind == K_INT16 ? 7 : 6) * x.rows;
}

/* In int16 the low bytes of 32 values, then their high bytes. */
void amx_quantize(k_activations to, const float *x, size_t n) {
    k_avx512_vnni.quantize(to, x, n);
    if (to.kind != K_INT16 || !tiles_pay(to)) return;
    uint8_t order[64];
    for (size_t i = 0; i < 32; i++) { /* value i lies where the middle two of its four have changed places */
        const size_t slot = (i & ~(size_t)3) | (i & 1) << 1 | (i & 2) >> 1;
        order[i] = (uint8_t)(2 * slot);
        order[32 + i] = (uint8_t)(2 * slot + 1);
    }
    const __m512i index = _mm512_loadu_si512(order);
    int16_t *q = to.q;
    for (size_t i = 0; i < n; i += K_ACT_BLOCK)
        _mm512_storeu_si512(q + i, _mm512_permutexvar_epi8(index, _mm512_loadu_si512(q + i)));
}

/* Scales of 16 tokens for a chunk, and what the minima are multiplied with: [token][block or group]. */
typedef struct {
    float scale[TILE_ROWS][K_CHUNK / K_ACT_BLOCK];
    float sum[TILE_ROWS][MOST_GROUPS];
} token_scales;

K_INLINE void load_token_scales(token_scales *to, k_activations x, size_t rows, int group, bool minimum) {
    enum { BLOCKS = K_CHUNK / K_ACT_BLOCK };
    const __m512i twice = _mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
    for (size_t t = 0; t < rows; t++) {
        const __m256 scale = _mm256_loadu_ps(x.scale + t * BLOCKS);
        _mm256_storeu_ps(to->scale[t], scale);
        if (minimum && group == 32) _mm256_storeu_ps(to->sum[t], _mm256_loadu_ps(x.sum + t * BLOCKS));
        if (minimum && group == 16)
            _mm512_storeu_ps(to->sum[t],
                             _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_loadu_si512(x.total + t * 2 * BLOCKS)),
                                           _mm512_permutexvar_ps(twice, _mm512_castps256_ps512(scale))));
    }
}

/* What the next step reads: group g of 16 outputs (half h of the panel) and of 16 tokens from t on. */
typedef struct {
    const char *x; /* in int16 the low bytes, the high ones lie 32 bytes further */
    const __m512i *w;
    int g, h;
    size_t t;
} place;

/* A chunk: what all steps have in common. */
typedef struct {
    const panel *w;
    const char *q;    /* its first token */
    size_t last_tile; /* its first token: it may begin among those of the tile before it */
    int groups;       /* even: the last may be one too many, whose sums nobody reads */
} chunk;

K_INLINE size_t tile_after(size_t t, const chunk *c) { return t + TILE_ROWS < c->last_tile ? t + TILE_ROWS : c->last_tile; }

/* All groups, for both halves of the panel, for all tiles of tokens; the last tile over and over. */
K_INLINE void advance(place *p, const chunk *c, int group, k_integers kind) {
    const int bytes = kind == K_INT8 || (group == 16 && p->g % 2 == 0) ? group : 32 + group; /* over the high bytes */
    p->x += bytes;
    p->w += group / 4 * 2;
    if (++p->g < c->groups) return;
    p->g = 0;
    p->h = !p->h;
    if (p->h == 0) p->t = tile_after(p->t, c);
    p->x = c->q + p->t * K_CHUNK * (kind == K_INT16 ? 2 : 1);
    p->w = &c->w->words[0][p->h];
}

/* Multiplies; the sums of tiles a and b are stored before, if there are some already, in high[] and low[]. */
#define STEP(a, b, parity, stores)                                      \
    do {                                                                \
        const size_t stride = K_CHUNK * (kind == K_INT16 ? 2 : 1);      \
        TILE_LOAD(6, next.w, sizeof w->words[0]);                       \
        TILE_LOAD(4, next.x + (kind == K_INT16 ? 32 : 0), stride);      \
        if (kind == K_INT16) TILE_LOAD(5, next.x, stride);              \
        if (stores) TILE_STORE(a, high[parity], 64);                    \
        TILE_ZERO(a);                                                   \
        TILE_DOT_SIGNED(a, 4, 6);                                       \
        if (kind == K_INT16) {                                          \
            if (stores) TILE_STORE(b, low[parity], 64);                 \
            TILE_ZERO(b);                                               \
            TILE_DOT_UNSIGNED(b, 5, 6);                                 \
        }                                                               \
        advance(&next, &c, group, kind);                                \
    } while (0)

/* No instruction, but whatever v is now is in a register here. */
#define KEPT(v) __asm__ volatile("" : "+v"(v))

/* acc [token] after group g: see add_group in avx512/integers.h. */
K_INLINE void scale_sums(__m512 acc[TILE_ROWS], const int32_t *high, const int32_t *low, const unit_scales *w,
                         const token_scales *x, int g, int group, bool minimum, k_integers kind) {
    __m512i bytes_up = _mm512_set4_epi32(0x0e0d0c80, 0x0a090880, 0x06050480, 0x02010080);
    __m512 scale = w->scale[g], least = minimum ? w->minimum[g] : _mm512_setzero_ps();
    KEPT(bytes_up); /* or the shuffle would become a shift again, and the others be loaded for each token */
    KEPT(scale);
    if (minimum) KEPT(least);
#pragma clang loop unroll(full)
    for (int t = 0; t < TILE_ROWS; t++) {
        __m512i sum = _mm512_load_si512(high + 16 * t);
        if (kind == K_INT16)
            sum = _mm512_add_epi32(_mm512_shuffle_epi8(sum, bytes_up), _mm512_load_si512(low + 16 * t));
        const __m512 factor = _mm512_mul_ps(scale, _mm512_set1_ps(x->scale[t][g * group / K_ACT_BLOCK]));
        acc[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), factor, acc[t]);
        if (minimum) acc[t] = _mm512_fmadd_ps(_mm512_set1_ps(x->sum[t][g]), least, acc[t]);
        KEPT(acc[t]); /* or the compiler would go on with this after the next step's tiles, with twice the registers */
    }
}

/* sums [tokens][32] += n values of the panel times `tokens` tokens of x, from token 0 of the chunk on. */
K_INLINE void panel_tokens(float *sums, const panel *w, k_activations x, size_t tokens, size_t n, bool start, fetch ahead,
                           int group, bool minimum, k_integers kind) {
    const size_t rows = tokens < TILE_ROWS ? tokens : TILE_ROWS, tiles = (tokens + TILE_ROWS - 1) / TILE_ROWS;
    const int groups = (int)n / group;
    const chunk c = {w, x.q, tokens - rows, groups + groups % 2};
    place next = {c.q, &w->words[0][0], 0, 0, 0};
    _Alignas(64) int32_t high[2][TILE_ROWS * 16], low[2][TILE_ROWS * 16]; /* of steps with even and with odd numbers */
    token_scales scales;
    ahead.step = 1 + (size_t)(ahead.end - ahead.at) / 64 / (tiles * 2 * (size_t)c.groups);
    STEP(0, 1, 0, false);
    STEP(2, 3, 1, false);
    STEP(0, 1, 0, true);
    for (size_t i = 0, t = 0; i < tiles; i++, t = tile_after(t, &c)) {
        const size_t done = i * TILE_ROWS - t; /* the tile before has these */
        load_token_scales(&scales, k_activations_at(x, t, 0), rows, group, minimum);
        for (int h = 0; h < 2; h++) {
            float *to = sums + t * K_PANEL + 16 * h;
            __m512 acc[TILE_ROWS];
#pragma clang loop unroll(full)
            for (int r = 0; r < TILE_ROWS; r++) acc[r] = start ? _mm512_setzero_ps() : _mm512_load_ps(to + r * K_PANEL);
            for (int g = 0; g < c.groups; g += 2) {
                STEP(2, 3, 1, true);
                fetch_lines(&ahead);
                scale_sums(acc, high[0], low[0], &w->scales[h], &scales, g, group, minimum, kind);
                STEP(0, 1, 0, true);
                fetch_lines(&ahead);
                if (g + 1 < groups) scale_sums(acc, high[1], low[1], &w->scales[h], &scales, g + 1, group, minimum, kind);
            }
#pragma clang loop unroll(full)
            for (size_t r = 0; r < TILE_ROWS; r++)
                if (r >= done) _mm512_store_ps(to + r * K_PANEL, acc[r]);
        }
    }
}
#undef STEP

/* One function for each kind, size of a group, and with or without minima. */
typedef void multiply_panel(float *sums, const panel *w, k_activations x, size_t tokens, size_t n, bool start, fetch ahead);

#define WAY(name, group, minimum, kind)                                                                              \
    static void name(float *sums, const panel *w, k_activations x, size_t tokens, size_t n, bool start, fetch ahead) { \
        panel_tokens(sums, w, x, tokens, n, start, ahead, group, minimum, kind);                                     \
    }
WAY(int16_groups_16, 16, false, K_INT16)
WAY(int16_minima_16, 16, true, K_INT16)
WAY(int16_groups_32, 32, false, K_INT16)
WAY(int16_minima_32, 32, true, K_INT16)
WAY(int8_groups_16, 16, false, K_INT8)
WAY(int8_minima_16, 16, true, K_INT8)
WAY(int8_groups_32, 32, false, K_INT8)
WAY(int8_minima_32, 32, true, K_INT8)
#undef WAY

static multiply_panel *const ways[K_INTEGERS_COUNT][2][2] = { /* [kind][groups of 32][minima] */
    [K_INT16] = {{int16_groups_16, int16_minima_16}, {int16_groups_32, int16_minima_32}},
    [K_INT8] = {{int8_groups_16, int8_minima_16}, {int8_groups_32, int8_minima_32}},
};

/* One function for each way to expand. */
typedef void expand_panel(panel *to, const k_product *p, const uint8_t *row[K_PANEL], size_t n);

#define X(id) \
    static void expand_##id(panel *to, const k_product *p, const uint8_t *row[K_PANEL], size_t n) { expand(to, p, row, n, id, true); }
EXPANDED(X) X(WIDENED_16) X(WIDENED_32)
#undef X

static expand_panel *expansion_of(k_format format) {
    switch (format) {
#define X(id) case id: return expand_##id;
        EXPANDED(X)
#undef X
    default: return group_of(format) == 16 ? expand_WIDENED_16 : expand_WIDENED_32;
    }
}

/* Outputs of panels [begin, end), as linear_format in avx512/integers.h. */
static void linear(const k_product *p, size_t begin, size_t end) {
    const k_format_info facts = k_format_facts(p->format);
    const size_t row_bytes = p->n_in / facts.block_values * facts.block_bytes, tokens = p->x.rows;
    const size_t parts = (tokens + ROWS - 1) / ROWS; /* of about the same size, so that none is less than a tile */
    const int group = group_values(p->format);
    multiply_panel *const multiply = ways[p->x.kind][group == 32][has_minimum(p->format)];
    expand_panel *const expand = expansion_of(p->format);
    const uint8_t *row[K_PANEL];
    panel w;
    _Alignas(64) float sums[ROWS * K_PANEL];
    begin_tiles(tokens < TILE_ROWS ? tokens : TILE_ROWS, (size_t)group);
    if (tokens <= FEW) prefetch(p->w, begin * K_PANEL * row_bytes, (begin + 1) * K_PANEL * row_bytes);
    for (size_t o = begin * K_PANEL; o < end * K_PANEL && o < p->n_out; o += K_PANEL) {
        const size_t outputs = p->n_out - o < K_PANEL ? p->n_out - o : K_PANEL;
        const uint32_t real = outputs == K_PANEL ? ~0u : (1u << outputs) - 1;
        const __mmask16 lanes[2] = {(__mmask16)real, (__mmask16)(real >> 16)};
        const uint8_t *next = p->w + (o + K_PANEL) * row_bytes;
        for (size_t part = 0; part < parts; part++) {
            const size_t t = tokens * part / parts, count = tokens * (part + 1) / parts - t;
            for (size_t first = 0; first < p->n_in; first += K_CHUNK) {
                const size_t n = p->n_in - first < K_CHUNK ? p->n_in - first : K_CHUNK;
                const size_t offset = first / facts.block_values * facts.block_bytes;
                const size_t bytes = n / facts.block_values * facts.block_bytes;
                const fetch ahead = {next + K_PANEL * offset, next + K_PANEL * (offset + bytes), 0};
                row_pointers(row, p->w + o * row_bytes + offset, row_bytes, outputs);
                expand(&w, p, row, n);
                multiply(sums, &w, k_activations_at(p->x, t, first), count, n, first == 0, ahead);
            }
            for (size_t i = 0; i < count; i++)
                for (size_t h = 0; h < 2; h++)
                    _mm512_mask_storeu_ps(p->y + (t + i) * p->y_stride + o + 16 * h, lanes[h],
                                          _mm512_load_ps(sums + i * K_PANEL + 16 * h));
        }
    }
    end_tiles();
}

void amx_linear_int16(const k_product *p, size_t begin, size_t end) {
    tiles_pay(p->x) ? linear(p, begin, end) : k_avx512_vnni.linear[K_INT16](p, begin, end);
}

void amx_linear_int8(const k_product *p, size_t begin, size_t end) {
    tiles_pay(p->x) ? linear(p, begin, end) : k_avx512_vnni.linear[K_INT8](p, begin, end);
}
