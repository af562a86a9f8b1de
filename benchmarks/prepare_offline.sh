#!/usr/bin/env bash
# Collects what a machine without a network lacks beside torch: wheels, and betons or an archive of CIFAR-10 if named.
#
#   benchmarks/prepare_offline.sh FOLDER [PYTHON_VERSION [BETON ... | cifar10_ARCHIVE.tar.zst]]
#   benchmarks/prepare_offline.sh offline 3.12 datasets/betons/cifar10-*.beton
#
# PYTHON_VERSION is that of the other machine (x86-64 Linux, a C library as new as this one's); the default is that of
# $PYTHON. ffcv has no wheels and is built here, so $PYTHON must be of that version:
#   PYTHON=python3.12 benchmarks/prepare_offline.sh offline 3.12
# otherwise it is left out: the augmentation can then be measured there, but nothing trained. The native decoder goes
# along as it is compiled here (`python -m fastssl.native.build`). The libraries that both are linked against go to
# FOLDER/lib.tgz.
# Then carry FOLDER and run: WHEELS=FOLDER benchmarks/gpu_suite.sh
set -euo pipefail
cd "$(dirname "$0")/.."
[[ $# -ge 1 ]] || { echo "prepare_offline: give a folder" >&2; exit 2; }
FOLDER=$1
PYTHON=${PYTHON:-$([[ -x .venv/bin/python ]] && echo .venv/bin/python || command -v python3)}
HERE=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
VERSION=${2:-$HERE}
[[ $VERSION =~ ^3\.1[0-3]$ ]] || { echo "prepare_offline: PYTHON_VERSION=$VERSION; give 3.10 to 3.13" >&2; exit 2; }
# Not torch, torchvision, triton, numpy and numba, which fit that machine's CUDA, nor opencv, scikit-learn and
# scikit-image (the benchmark of the loaders takes photographs from the last two), which it is to have; not polars and
# matplotlib, which only draw, and can do that here from the records.
NAMES=(kornia kornia_rs tyro docstring_parser typeguard jaxtyping wadler_lindig beartype zstandard rich markdown-it-py mdurl
       pygments pytest-benchmark py-cpuinfo2 pytest-timeout hypothesis sortedcontainers simplejpeg)
[[ $VERSION == "$HERE" ]] || echo "prepare_offline: no ffcv for Python $VERSION, as PYTHON is $HERE" >&2
mkdir -p "$FOLDER/lib" "$FOLDER/native"
carry_libraries() {  # LIBRARY ...: what they are linked against, but for the C and C++ libraries
  ldd "$@" | awk '$3 ~ /^\// {print $3}' | grep -vE '/(libc|libm|libstdc\+\+|libgcc_s)\.so' | sort -u |
    xargs -I{} cp -L {} "$FOLDER/lib/"
}
platforms=()
for glibc in 2_17 2_24 2_26 2_27 2_28 2_31 2_34; do platforms+=(--platform "manylinux_${glibc}_x86_64"); done
"$PYTHON" -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: --python-version "$VERSION" \
  --implementation cp "${platforms[@]}" --platform manylinux2014_x86_64 --platform manylinux1_x86_64 \
  -c constraints.txt -d "$FOLDER" "${NAMES[@]}"
# Peers of the losses, in a folder of their own: their wheels hold more than a test run should find on its path.
"$PYTHON" -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: -c constraints.txt \
  -d "$FOLDER/peers" lightly solo-learn
if [[ $VERSION == "$HERE" ]]; then
  "$PYTHON" -m pip wheel -q --disable-pip-version-check --no-deps -c constraints.txt -w "$FOLDER" ffcv
  scratch=$(mktemp -d) && trap 'rm -rf "$scratch"' EXIT
  "$PYTHON" -m zipfile -e "$FOLDER"/ffcv-*.whl "$scratch"
  carry_libraries "$scratch"/ffcv/_libffcv*.so
fi
BUILDER=$([[ -x .venv/bin/python ]] && echo .venv/bin/python || echo "$PYTHON")  # the library is of no Python version
"$BUILDER" -m fastssl.native.build
cp fastssl/native/_views.so "$FOLDER/native/"
"$BUILDER" -c 'import sys; from pathlib import Path; from benchmarks.load.ceilings import library; library(Path(sys.argv[1]))' \
  "$FOLDER/native"  # the loaders' ceilings: that machine may lack libjpeg-turbo's headers
carry_libraries fastssl/native/_views.so "$FOLDER"/native/ceilings-*.so
git bundle create -q "$FOLDER/code.bundle" HEAD  # so that records made there name the commit they were made with
for file in "${@:3}"; do
  cp "$file" "$FOLDER"/
  if [[ $file == *.beton ]]; then cp "$file.json" "$FOLDER"/; fi
done
tar czf "$FOLDER/lib.tgz" -C "$FOLDER" lib && rm -r "$FOLDER/lib"
du -sh "$FOLDER"
