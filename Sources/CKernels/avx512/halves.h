/* scalar/halves.h with the processor's own conversions: the same bits, except which NaN a NaN becomes. */

static void halves(uint16_t *out, const float *x, size_t n) {
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 last = n - i < 16 ? (__mmask16)((1u << (n - i)) - 1) : 0xffff;
        __m512 v = _mm512_maskz_loadu_ps(last, x + i);
        _mm256_mask_storeu_epi16(out + i, last, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    }
}

static void floats_of_halves(float *out, const uint16_t *h, size_t n) {
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 last = n - i < 16 ? (__mmask16)((1u << (n - i)) - 1) : 0xffff;
        _mm512_mask_storeu_ps(out + i, last, _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(last, h + i)));
    }
}
