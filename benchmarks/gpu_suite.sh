#!/usr/bin/env bash
# Everything of this project that needs a GPU, on a bare machine without a network.
#
#   benchmarks/gpu_suite.sh [--quick] [PIECE ... | all] ...
#
# Pieces: environment parity load scaling step32 step224 losses augment blurred operations32 operations224 train methods
# claims speedrun.
# They can be chosen; each ends within PIECE_S seconds. A piece that fails is named at the end, and the others still
# run. At most eight files are left under $OUT. DEVICE=cpu runs the same steps on a CPU, to try the script itself.
#
#   OUT      folder for the results                             (runs/gpu-suite)
#   DEVICE   cuda or cpu                                        (cuda)
#   PYTHON   an interpreter that has torch                      (.venv/bin/python where there is one, else python3)
#   WHEELS   a folder made by prepare_offline.sh: its wheels are installed beside PYTHON's packages, its betons are used
#            (of an archive of CIFAR-10 the betons are written first)
#   BUDGET_S seconds of training clock per recipe               (120, quick 5)
#   CLAIMS   which claims, in this order                        (C0 C7 C1 C2 C4 C5 C6 C13 C14 C15 C16 C18, quick C8)
#   TARGETS  rungs of the speedrun                              (80 85.6, quick the CPU's 50)
set -uo pipefail
cd "$(dirname "$0")/.."

OUT=${OUT:-runs/gpu-suite} DEVICE=${DEVICE:-cuda} PIECE_S=${PIECE_S:-540} WHEELS=${WHEELS:-}
PYTHON=${PYTHON:-$([[ -x .venv/bin/python ]] && echo .venv/bin/python || command -v python3)}
ALL=(environment parity load scaling step32 step224 losses augment blurred operations32 operations224 train methods claims speedrun) QUICK="" PIECES=()
for word in "$@"; do
  case $word in
    --quick) QUICK=--quick ;;
    environment | parity | load | scaling | step32 | step224 | losses | augment | blurred | operations32 | operations224 | train | methods | claims | speedrun) PIECES+=("$word") ;;
    all) PIECES+=("${ALL[@]}") ;;
    *) echo "gpu_suite: '$word' is no piece; give ${ALL[*]} or all" >&2; exit 2 ;;
  esac
done
[[ $DEVICE == cuda || $DEVICE == cpu ]] || { echo "gpu_suite: DEVICE=$DEVICE is unknown; give cuda or cpu" >&2; exit 2; }
((${#PIECES[@]})) || PIECES=("${ALL[@]}")
BUDGET_S=${BUDGET_S:-$([[ $QUICK ]] && echo 5 || echo 120)}
[[ $DEVICE == cuda ]] && unset TRITON_INTERPRET  # the compiled kernels, not the interpreter
mkdir -p "$OUT" && OUT=$(cd "$OUT" && pwd)
SCRATCH=$(mktemp -d) && trap 'rm -rf "$SCRATCH"' EXIT
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1

if [[ $WHEELS ]]; then
  "$PYTHON" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$SCRATCH/site" "$WHEELS"/*.whl ||
    { echo "gpu_suite: the wheels in $WHEELS do not fit $("$PYTHON" --version)" >&2; exit 2; }
  PYTHONPATH=$SCRATCH/site:$PYTHONPATH
  if [[ -d $WHEELS/peers ]]; then
    "$PYTHON" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$SCRATCH/peers" "$WHEELS"/peers/*.whl
  fi
  if [[ -e $WHEELS/lib.tgz ]]; then
    tar xzf "$WHEELS/lib.tgz" -C "$SCRATCH" && export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$SCRATCH/lib
  fi
  if [[ -e $WHEELS/code.bundle ]]; then  # a copy without its history: records name its commit, and say if a file differs
    git rev-parse -q HEAD >/dev/null 2>&1 || { git init -q . && git config core.fileMode false; }
    grep -qsxF "/$WHEELS/" .git/info/exclude || echo "/$WHEELS/" >>.git/info/exclude
    git fetch -q "$WHEELS/code.bundle" HEAD && git diff --quiet FETCH_HEAD && git reset -q FETCH_HEAD
  fi
  if [[ ! -e fastssl/native/_views.so && -e $WHEELS/native/_views.so ]]; then
    cp "$WHEELS/native/_views.so" fastssl/native/  # refused, with a line that says so, if its sources are others
  fi
  if compgen -G "$WHEELS/native/ceilings-*.so" >/dev/null; then
    mkdir -p "$SCRATCH/stored" && cp "$WHEELS"/native/ceilings-*.so "$SCRATCH/stored/"
  fi
  if compgen -G "$WHEELS/*.beton" >/dev/null; then FASTSSL_BETONS=$(cd "$WHEELS" && pwd); export FASTSSL_BETONS; fi
  for archive in "$WHEELS"/cifar10*.tar.*; do
    [[ -e $archive ]] || continue
    export FASTSSL_BETONS=$SCRATCH/cifar10
    "$PYTHON" -m fastssl.cli beton write cifar10 --archive "$archive" || exit 2
  done
fi
BETONS=${FASTSSL_BETONS:-datasets/betons}

environment() {
  { "$PYTHON" --version
    git rev-parse HEAD 2>/dev/null
    git status --porcelain 2>/dev/null
    if command -v nvidia-smi >/dev/null; then nvidia-smi; nvidia-smi -q -d CLOCK; fi
    "$PYTHON" -m pip list --format=freeze 2>/dev/null; } >"$OUT/environment.txt"
  [[ $DEVICE == cpu ]] || "$PYTHON" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' ||
    { echo "torch sees no CUDA device" >&2; return 1; }
  "$PYTHON" -m fastssl.cli doctor --json >>"$OUT/environment.txt"
}

parity() {
  local code=0
  : >"$OUT/parity.log"
  if [[ $DEVICE == cuda ]]; then
    run_tests parity.log gpu tests/parity tests/augment tests/kernels tests/train tests/telemetry tests/contracts || code=1
  fi
  # These need no GPU and carry no mark: they take one where there is one, and Triton's interpreter elsewhere.
  run_tests parity.log "not gpu and not slow and not network" \
    tests/augment/test_sample_triton.py tests/kernels/test_augment_views.py tests/parity/test_fused.py || code=1
  return $code
}

run_tests() {  # LOG MARKS PATH ...
  local code=0 SPREAD=()
  "$PYTHON" -c "import xdist" 2>/dev/null && SPREAD=(-n "$(($(nproc) > 16 ? 8 : ($(nproc) + 1) / 2))")  # it compiles much
  "$PYTHON" -m pytest -m "$2" "${@:3}" "${SPREAD[@]}" -p no:cacheprovider -rfE --tb=short >"$SCRATCH/tests.log" 2>&1 || code=$?
  cat "$SCRATCH/tests.log" >>"$OUT/$1"
  tail -n 5 "$SCRATCH/tests.log"
  return $code
}

# The loaders on the way to the device, then their CPU part beside its peers (two threads each, whatever the machine).
load() {
  local code=0
  if [[ $DEVICE == cuda ]]; then run_tests bench.log gpu tests/data tests/contracts || code=1; fi
  # Without the GPU: a peer forks its workers, which a process that has met CUDA cannot.
  CUDA_VISIBLE_DEVICES="" "$PYTHON" -m benchmarks.bench_loaders $QUICK --cache "$SCRATCH/stored" --records "$OUT/load.jsonl" \
    $([[ $QUICK ]] || echo --cases jpeg-2x224 jpeg-2x224-6x96) >>"$OUT/bench.log" 2>&1 || code=1
  tail -n 30 "$OUT/bench.log"
  return $code
}

# One loader after another on 1, 4, ... threads, for the curve over a machine's cores.
scaling() {
  local code=0
  CUDA_VISIBLE_DEVICES="" "$PYTHON" -m benchmarks.bench_loaders $QUICK --cache "$SCRATCH/stored" --records "$OUT/load.jsonl" \
    --cases jpeg-2x224 --contestants crops threads decode huffman --threads 1 4 "$(nproc)" >>"$OUT/bench.log" 2>&1 || code=1
  tail -n 30 "$OUT/bench.log"
  return $code
}

# Claims in turn, as many as the time allows; their records leave as one archive of a file each.
claims() {
  local code=0 form=cpu claim
  [[ $DEVICE == cuda ]] && form=gpu
  for claim in ${CLAIMS:-$([[ $QUICK ]] && echo C8 || echo C0 C7 C1 C2 C4 C5 C6 C13 C14 C15 C16 C18)}; do
    "$PYTHON" -m fastssl.cli claim "$claim" --on "$form" ${QUICK:+--seeds 1} --out "$SCRATCH/claims" >>"$OUT/claims.log" 2>&1 || code=1
    tar czf "$OUT/claims.tgz" -C "$SCRATCH/claims" --exclude runs .  # after each: the next may be cut off
  done
  grep -E "^C[0-9]+ .*: (PASS|FAIL|UNCLEAR)$" "$OUT/claims.log"
  return $code
}

# Races to a target, three seeds each; every finished run is kept, also of a race that is cut off.
speedrun() {
  local code=0 ladder=cpu target
  [[ $DEVICE == cuda && ! $QUICK ]] && ladder=gpu
  for target in ${TARGETS:-$([[ $QUICK ]] && echo 50 || echo 80 85.6)}; do
    "$PYTHON" -m fastssl.cli speedrun cifar10 --target "$target" --on "$ladder" ${QUICK:+--seeds 1} \
      --out "$SCRATCH/speedrun" >>"$OUT/speedrun.log" 2>&1 || code=1
    cat "$SCRATCH"/speedrun/*/records.jsonl >"$OUT/speedrun.jsonl"
  done
  tail -n 20 "$OUT/speedrun.log"
  return $code
}

# The training step fed by each loader, beside the step that waits for nobody.
step32() { if [[ $DEVICE == cuda ]]; then step resnet18-32; else step nano-32; fi; }
step224() { if [[ $DEVICE == cuda ]]; then step resnet50-224; else step nano-64; fi; }
step() {
  local code=0
  "$PYTHON" -m benchmarks.bench_step --device "$DEVICE" $QUICK --cache "$SCRATCH/stored" --records "$OUT/step.jsonl" \
    --limit-s $((PIECE_S > 120 ? PIECE_S - 60 : 60)) --cases "$@" >>"$OUT/bench.log" 2>&1 || code=$?
  tail -n 30 "$OUT/bench.log"
  return $code
}

# Losses forward and backward, beside lightly's and solo-learn's; where these are not, their rows say so.
losses() {
  local code=0 peers=.venv-peers
  [[ -d $SCRATCH/peers ]] && peers=$SCRATCH/peers
  "$PYTHON" -m benchmarks.bench_losses --device "$DEVICE" $QUICK --peers "$peers" --records "$OUT/losses.jsonl" \
    >>"$OUT/bench.log" 2>&1 || code=1
  tail -n 60 "$OUT/bench.log"
  return $code
}

measure() {
  local code=0
  "$PYTHON" -m benchmarks --device "$DEVICE" --records "$OUT/augment.jsonl" $QUICK --groups "$@" >>"$OUT/bench.log" 2>&1 || code=$?
  tail -n 40 "$OUT/bench.log"
  return $code
}

augment() { if [[ $QUICK ]]; then measure simclr-32; else measure simclr-32 simclr-224-no-blur; fi; }
blurred() { if [[ $QUICK ]]; then measure byol-224; else measure simclr-224 byol-224; fi; }
operations32() { measure ops-32; }
operations224() { measure ops-224; }

train() {
  local recipe=demo-simclr code=0
  : >"$OUT/train.log"
  [[ $DEVICE == cuda && -e $BETONS/cifar10-train.beton ]] && recipe=cifar10-simclr
  echo "recipe $recipe, $BUDGET_S s"
  if [[ $recipe == demo-simclr ]]; then
    export FASTSSL_BETONS=$SCRATCH/betons
    "$PYTHON" -m fastssl.cli beton write demo >"$OUT/train.log" 2>&1 || return
  fi
  "$PYTHON" -m fastssl.cli train "$recipe" --device "$DEVICE" --epochs None --budget-s "$BUDGET_S" \
    --runs-dir "$SCRATCH/runs" >>"$OUT/train.log" 2>&1 || code=$?
  cat "$SCRATCH"/runs/*/records.jsonl >>"$OUT/train.jsonl" 2>/dev/null || code=1
  tail -n 5 "$OUT/train.log"
  return $code
}

# Every method's recipe for the same seconds, in one process.
methods() {
  local dataset=demo code=0
  [[ $DEVICE == cuda && -e $BETONS/cifar10-train.beton ]] && dataset=cifar10
  [[ $dataset == cifar10 ]] || { export FASTSSL_BETONS=$SCRATCH/betons; "$PYTHON" -m fastssl.cli beton write demo; }
  "$PYTHON" - "$dataset" "$BUDGET_S" "$SCRATCH/methods" >"$OUT/methods.log" 2>&1 <<'END' || code=$?
import dataclasses, sys
from pathlib import Path
from fastssl.compare import budgeted, train_each
from fastssl.recipes import RECIPES
dataset, seconds, out = sys.argv[1], float(sys.argv[2]), Path(sys.argv[3])
names = [name for name in RECIPES if name.startswith(f"{dataset}-") and "-nano-" not in name]
arms = [budgeted(RECIPES[name](), seconds) for name in names]
probe_once = lambda arm: dataclasses.replace(arm, probe=dataclasses.replace(arm.probe, probes=1))
_, failures = train_each([probe_once(arm) for arm in arms], out)
print("\n".join(failures))
sys.exit(bool(failures))
END
  cat "$SCRATCH"/methods/*/records.jsonl >>"$OUT/methods.jsonl" 2>/dev/null || code=1
  grep -E "^(done|cifar10|demo|probe|Error|.*failed)" "$OUT/methods.log" | tail -n 60
  return $code
}

export -f environment parity run_tests load scaling step step32 step224 losses measure augment blurred operations32 operations224 train methods claims speedrun
export OUT DEVICE PYTHON QUICK SCRATCH BETONS BUDGET_S PIECE_S
FAILED=()
for piece in "${PIECES[@]}"; do
  echo "== $piece"
  begun=$SECONDS
  timeout --signal=INT --kill-after=30 "$PIECE_S" bash -uo pipefail -c "$piece" || FAILED+=("$piece ($?)")
  echo "== $piece: $((SECONDS - begun)) s"
done
ls -l "$OUT"
((${#FAILED[@]} == 0)) || { echo "gpu_suite: failed: ${FAILED[*]}" >&2; exit 1; }
