#!/usr/bin/env bash
# Builds icl-mask for NVIDIA GPUs: target/cuda/release/icl-mask. The machine that builds needs no GPU, no driver and no root.
# A toolkit that is installed is used (CUDA_HOME, or nvcc on the PATH; CUDA 12, or 13 up to 13.4). Where there is none,
# NVIDIA's compiler and libraries are fetched as Python packages (bin/cuda-toolkit.txt) into target/cuda-toolkit, 1.2 GB.
# The first time takes 17 minutes on two cores, most of it for candle's kernels. Prints how long it took and how to run it.
#
# With --tests it builds the tests of the kernels too, for ICL_MASK_TESTS of bin/bench-gpu.sh.
#
#   bin/build-cuda.sh [--tests]  CUDA_COMPUTE_CAP=80 for an A100, 86 A40 and RTX 30, 89 L40 and RTX 40, 90 H100 (the default)
set -euo pipefail
cd "$(dirname "$0")/.."
. bin/needs.sh
need_rust
need g++ g++

# NVIDIA's packages as a toolkit: names that linkers look for, and the driver's library as far as its names go.
fetched_toolkit() {
  need python3 python3
  need_packages target/cuda-toolkit/venv bin/cuda-toolkit.txt installed.txt --no-deps || exit 1
  home=$(echo "$PWD"/target/cuda-toolkit/venv/lib/python3*/site-packages/nvidia/cu13)
  [ -x "$home/bin/nvcc" ] || { say "error: there is no nvcc in $home"; exit 1; }
  for library in "$home"/lib/lib*.so.*; do
    ln -sf "$(basename "$library")" "${library%%.so.*}.so"
  done
  ln -sfn lib "$home/lib64"
  mkdir -p "$home/lib/stubs"
  echo '#include <cuda.h>' | cc -E -I "$home/include" - | grep -oE '\bcu[A-Z][A-Za-z0-9_]*\(' | tr -d '(' | sort -u |
    sed 's/.*/void &(void) {}/' >"$home/lib/stubs/names.c"
  cc -shared -w -Wl,-soname,libcuda.so.1 -o "$home/lib/stubs/libcuda.so" "$home/lib/stubs/names.c"
}

if [ -n "${CUDA_HOME:-}" ]; then
  home=$CUDA_HOME
elif command -v nvcc >/dev/null; then
  home=$(dirname "$(dirname "$(readlink -f "$(command -v nvcc)")")")
else
  fetched_toolkit
fi
export CUDA_HOME=$home CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-90} PATH=$home/bin:$PATH
say "with $(nvcc --version | grep release), for compute capability $CUDA_COMPUTE_CAP"

begun=$SECONDS
cargo build --release --locked --features cuda --target-dir target/cuda --bin icl-mask
binary=target/cuda/release/icl-mask
if [ "${1:-}" = --tests ]; then
  cargo test --release --locked --features cuda --target-dir target/cuda --no-run --test model_goldens --test laws
fi
say "built $binary in $((SECONDS - begun)) s ($(du -h "$binary" | cut -f 1))
on the machine with the GPU: LD_LIBRARY_PATH=FOLDER $binary run --device cuda --dtype bf16 ...
where FOLDER holds $(ldd "$binary" | grep -oE 'lib(cu|nv)[A-Za-z]*\.so[.0-9]*' | sort -u | grep -v '^libcuda\.' | paste -sd ' '); libcuda.so.1 is the driver's"
