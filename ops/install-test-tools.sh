#!/bin/sh
# Installs from the distribution what some tests run beside the daemon: Prometheus, promtool, Alertmanager and amtool
# (none is started), shellcheck, and a headless browser. Exits 0 at once when all are there; else says what is missing
# and exits 1.
set -eu

# command and package, one pair per word
WANTED="promtool:prometheus amtool:prometheus-alertmanager shellcheck:shellcheck chromium:chromium"

missing() {
    for pair in $WANTED; do
        command -v "${pair%%:*}" >/dev/null 2>&1 || printf '%s ' "${pair#*:}"
    done
}

packages=$(missing)
[ -z "$packages" ] && exit 0
command -v apt-get >/dev/null 2>&1 || { echo "no apt-get: install $packages by hand" >&2; exit 1; }
if [ "$(id -u)" -ne 0 ]; then
    echo "not root: run 'sudo sh ops/install-test-tools.sh' for $packages" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
install() {
    # shellcheck disable=SC2086 # one word per package
    apt-get install -y --no-install-recommends $packages >/dev/null 2>&1
}
install || { apt-get update >/dev/null 2>&1 && install; } || true
packages=$(missing)
[ -z "$packages" ] || { echo "apt-get could not install $packages" >&2; exit 1; }
