/* 32 outputs and a chunk of K, expanded: what many tokens meet. */
#include "expand.h"

/* Weights that share a scale. */
K_INLINE int group_values(k_format format) { return (int)group_of(format); }

/* ---- Formats without a way of their own ---- */

/* Whether minima are added: a constant for the compiler, unless `format` stands for others. */
K_INLINE bool adds_minimum(const k_product *p, k_format format) { return has_minimum(expands(format) ? format : p->format); }

/* Widens n values of 16 rows that `row` points at, and lets it point at the results. */
static void widen_rows(integers to[16], const uint8_t *row[16], k_format format, size_t n) {
    for (size_t r = 0; r < 16; r++) {
        widen(&to[r], row[r], format, n);
        row[r] = (const uint8_t *)&to[r];
    }
}

/* ---- Panels ---- */

/* 32 outputs and a chunk of K. */
typedef struct {
    __m512i words[K_CHUNK / 4][2]; /* [word][outputs 0...15, 16...31] */
    unit_scales scales[2];
} panel;

/* Bytes get their sign, or the sums lose the zero point later. */
K_INLINE void expand(panel *to, const k_product *p, const uint8_t *row[K_PANEL], size_t n, k_format format, bool sign) {
    const int unit = unit_of(format);
    const char zero = (char)(sign ? zero_point(format) : 0);
    integers widened[16];
    for (size_t h = 0; h < 2; h++) {
        if (!expands(format)) widen_rows(widened, row + 16 * h, p->format, n);
        load_scales(&to->scales[h], row + 16 * h, format, n);
        for (size_t u = 0; u < n / (size_t)unit; u++)
            expand_unit((word_sink){&to->words[u * (size_t)(unit / 4)][h], 2, zero}, row + 16 * h, u, format);
    }
}

/* Memory to ask for while there is arithmetic to do: `step` lines with every group of a tile. */
typedef struct {
    const uint8_t *at, *end;
    size_t step;
} fetch;

K_INLINE void fetch_lines(fetch *f) {
    for (size_t i = 0; i < f->step && f->at < f->end; i++, f->at += 64) _mm_prefetch((const char *)f->at, _MM_HINT_T1);
}
