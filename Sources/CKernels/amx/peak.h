/* peaks.h for tiles: full ones, 64 bytes deep. A group of 32 weights fills half of one. An int16 product is two of bytes. */

static uint64_t peak_of_tiles(uint64_t rounds) {
    enum { DEEP = 64, TILES = 4 };
    begin_tiles(TILE_ROWS, DEEP);
    TILE_ZERO(4);
    TILE_ZERO(6);
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    TILE_ZERO(3);
    for (uint64_t round = 0; round < rounds; round++) {
        TILE_DOT_SIGNED(0, 4, 6);
        TILE_DOT_SIGNED(1, 4, 6);
        TILE_DOT_SIGNED(2, 4, 6);
        TILE_DOT_SIGNED(3, 4, 6);
    }
    end_tiles();
    return rounds * TILES * (TILE_ROWS * TILE_ROWS * DEEP) * 2;
}

uint64_t amx_peak(k_peak what, uint64_t rounds) {
    switch (what) {
    case K_PEAK_FP32: return k_avx512_vnni.peak(what, rounds);
    case K_PEAK_INT16: return peak_of_tiles(rounds) / 2;
    case K_PEAK_INT8: return peak_of_tiles(rounds);
    }
    return 0;
}
