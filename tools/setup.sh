#!/usr/bin/env bash
# Installs what building and testing need and this machine lacks. Idempotent, and quick when nothing
# is missing. Knows apt (as root or through sudo); elsewhere it says what to install, and stops.
set -euo pipefail

fail() {
  echo "setup: $*" >&2
  exit 1
}

command -v swift > /dev/null \
  || fail "no 'swift' found. Install a Swift toolchain, 6.2 or newer, and put it on PATH."

has_pip() { python3 -c 'import sys, pip; sys.exit(sys.version_info < (3, 9))' 2> /dev/null; }

# The linker must find libomp5.so itself, not only the versioned library a program loads.
has_openmp() {
  compgen -G '/usr/lib/*/libomp5.so' > /dev/null || compgen -G '/usr/lib*/libomp5.so' > /dev/null \
    || compgen -G '/usr/local/lib/libomp5.so' > /dev/null
}

if [[ $(uname -s) == Darwin ]]; then
  missing=()
  command -v pkg-config > /dev/null || missing+=(pkg-config)
  pkg-config --exists openblas 2> /dev/null || missing+=(openblas)
  has_pip || missing+=(python)
  ((${#missing[@]} == 0)) && exit 0
  fail "missing: ${missing[*]}. Run:  brew install ${missing[*]}
       and let pkg-config see OpenBLAS:  export PKG_CONFIG_PATH=\"\$(brew --prefix openblas)/lib/pkgconfig\""
fi

missing=()
command -v pkg-config > /dev/null || missing+=(pkg-config)
pkg-config --exists openblas 2> /dev/null || missing+=(libopenblas-dev)
has_openmp || missing+=(libomp-dev)
command -v python3 > /dev/null || missing+=(python3)
has_pip || missing+=(python3-pip)
((${#missing[@]} == 0)) && exit 0

command -v apt-get > /dev/null \
  || fail "missing: ${missing[*]} (Debian's names). Install them with this system's package manager."
as_root=()
if ((EUID != 0)); then
  command -v sudo > /dev/null || fail "missing: ${missing[*]}. Run as root:  apt-get install ${missing[*]}"
  as_root=(sudo)
fi

echo "setup: installing ${missing[*]}"
refused="apt-get failed, see above. Check the network, or install by hand: ${missing[*]}"
"${as_root[@]}" apt-get update -qq || fail "$refused"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null || fail "$refused"

has_pip || fail "python3 on PATH ($(command -v python3)) is older than 3.9 or still has no pip. Put another first on PATH."
has_openmp || fail "libomp-dev was installed but libomp5.so is not under /usr/lib. Install the libomp-*-dev that brings it."
pkg-config --exists openblas || fail "libopenblas-dev was installed but pkg-config does not know 'openblas'."
echo "setup: done"
