"""Makes Sources/CKernels/formats/grids.c: the grid points of the IQ formats, from the `gguf` package (0.19).

Usage: python tools/make_grids.py > Sources/CKernels/formats/grids.c
"""

from gguf import quants

# Name in C, the package's class, bits of a value's place.
GRIDS = [
    ("k_iq2_xxs_grid", quants.IQ2_XXS, 2),
    ("k_iq2_xs_grid", quants.IQ2_XS, 2),
    ("k_iq2_s_grid", quants.IQ2_S, 2),
    ("k_iq1_grid", quants.IQ1_S, 2),
    ("k_iq3_xxs_grid", quants.IQ3_XXS, 4),
    ("k_iq3_s_grid", quants.IQ3_S, 4),
]
COLUMNS = 16


def points(kind, bits):
    """Each grid point as one number, its first value in the lowest bits."""
    kind.init_grid()
    digit = {float(value): index for index, value in enumerate(kind.grid_map)}
    for values in kind.grid.reshape(kind.grid_shape):
        yield sum(digit[float(value)] << bits * place for place, value in enumerate(values))


def main():
    print("/* Grid points of the IQ formats; see grids.h. Made by tools/make_grids.py: not to be edited. */")
    print('#include "../blocks.h"')
    for name, kind, bits in GRIDS:
        numbers = [f"0x{point:04x}" for point in points(kind, bits)]
        print(f"\nconst uint16_t {name}[{len(numbers)}] = {{")
        for at in range(0, len(numbers), COLUMNS):
            print("    " + ", ".join(numbers[at : at + COLUMNS]) + ",")
        print("};")


main()
