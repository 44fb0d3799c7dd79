/* The instructions on tiles. In assembly with fixed registers: the order of stores and products decides the speed, and
 * clang 21 at -O2 renames the registers of its intrinsics without regard to the shapes they are configured with.
 *
 *   0 to 3  sums, 16 rows of 16 dwords    4, 5  activations, a row each    6  weights, a word each, 16 outputs */
#include <immintrin.h>

#define TILE_LOAD(tile, from, stride) \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile ::"r"(from), "r"((size_t)(stride)) : "memory")
#define TILE_STORE(tile, to, stride) \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" ::"r"(to), "r"((size_t)(stride)) : "memory")
#define TILE_ZERO(tile) __asm__ volatile("tilezero %tmm" #tile)

/* sums += activations times weights: both with a sign; activations without. */
#define TILE_DOT_SIGNED(sums, x, w) __asm__ volatile("tdpbssd %tmm" #w ", %tmm" #x ", %tmm" #sums)
#define TILE_DOT_UNSIGNED(sums, x, w) __asm__ volatile("tdpbusd %tmm" #w ", %tmm" #x ", %tmm" #sums)

enum { TILE_ROWS = 16 };

/* Shapes for `rows` tokens and groups of `bytes` values; until end_tiles, on this thread. */
static inline void begin_tiles(size_t rows, size_t bytes) {
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } shapes = {.palette = 1};
    for (int i = 0; i < 6; i++) {
        shapes.rows[i] = (uint8_t)rows;
        shapes.row_bytes[i] = (uint16_t)(i < 4 ? 64 : bytes);
    }
    shapes.rows[6] = (uint8_t)(bytes / 4);
    shapes.row_bytes[6] = 64;
    __asm__ volatile("ldtilecfg %0" ::"m"(shapes) : "memory");
}

static inline void end_tiles(void) { __asm__ volatile("tilerelease"); }
