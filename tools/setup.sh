#!/usr/bin/env bash
# Sets up a fresh Debian or Ubuntu machine: system packages for ffcv, a virtual environment, this library and its tools.
set -euo pipefail
PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}
PACKAGES=(build-essential pkg-config libturbojpeg0-dev libjpeg-dev libopencv-dev)

say() { printf 'setup: %s\n' "$*" >&2; }

"$PYTHON" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || {
  say "$PYTHON is missing or not Python 3.10 to 3.13; give one: make setup PYTHON=python3.12"; exit 1; }

"$PYTHON" -c 'import venv, ensurepip; import sysconfig, os; assert os.path.exists(sysconfig.get_path("include") + "/Python.h")' \
  2>/dev/null || PACKAGES+=(python3-venv python3-dev)

# ffcv and the native decoder compile against these; pkg-config itself is among them.
if ! { command -v c++ >/dev/null && command -v pkg-config >/dev/null && pkg-config --exists opencv4 libturbojpeg libjpeg &&
       [[ ! " ${PACKAGES[*]} " =~ python3-venv ]]; }; then
  install="apt-get update && apt-get install -y ${PACKAGES[*]}"
  if [[ $(id -u) == 0 ]]; then root=""
  elif sudo -n true 2>/dev/null; then root="sudo"
  else say "ffcv needs system packages and this user may not install them. Run this once, then make again:"
       say "  sudo sh -c '$install'"; exit 1
  fi
  say "installing ${PACKAGES[*]}"
  $root env DEBIAN_FRONTEND=noninteractive sh -c "${install/install -y/install -y -qq --no-install-recommends}" >/dev/null || {
    say "apt-get failed; run it by hand to see why: $install"; exit 1; }
fi

[[ -x $VENV/bin/python ]] || "$PYTHON" -m venv "$VENV"
say "installing Python packages into $VENV (torch is large: some minutes on a first run)"
"$VENV/bin/python" -m pip install -q --disable-pip-version-check 'pip>=25.1'  # the first that reads dependency groups
"$VENV/bin/python" -m pip install -q --disable-pip-version-check -c constraints.txt -e . --group dev
"$VENV/bin/python" -c 'import ffcv, torch, fastssl' || { say "the installed packages do not import; see the error above"; exit 1; }
"$VENV/bin/python" -c 'import sys; from fastssl import native; sys.exit(native.available())' || say "fastssl.native is not compiled (see above); loaders take the slower plain pool"
touch "$VENV/.ready"
say "ready: $VENV/bin/fastssl doctor"
