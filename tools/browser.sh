#!/usr/bin/env bash
# Installs a headless browser, in which the page of `fastssl report page` is tested.
set -euo pipefail
say() { printf 'browser: %s\n' "$*" >&2; }
command -v chromium >/dev/null && command -v chromedriver >/dev/null && exit 0
install="apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium chromium-driver"
if [[ $(id -u) == 0 ]]; then root=""
elif sudo -n true 2>/dev/null; then root="sudo"
else say "the tests of the page need a browser, and this user may not install it. Run this once: sudo sh -c '$install'"; exit 0
fi
say "installing chromium"
$root env DEBIAN_FRONTEND=noninteractive sh -c "$install" >/dev/null || say "apt-get failed; run it by hand to see why: $install"
