#!/bin/sh
# Installs Prometheus, promtool, Alertmanager and amtool from the distribution, without starting them.
# Says why and exits 1 when they cannot be had; exits 0 at once when they are there.
set -eu

have() { command -v promtool >/dev/null 2>&1 && command -v amtool >/dev/null 2>&1; }

have && exit 0
command -v apt-get >/dev/null 2>&1 || { echo "no apt-get: install prometheus and alertmanager by hand" >&2; exit 1; }
if [ "$(id -u)" -ne 0 ]; then
    echo "not root: run 'sudo sh ops/install-prometheus.sh'" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
install_both() {
    apt-get install -y --no-install-recommends prometheus prometheus-alertmanager >/dev/null 2>&1
}
install_both || { apt-get update >/dev/null 2>&1 && install_both; } || true
have || { echo "apt-get could not install prometheus and prometheus-alertmanager" >&2; exit 1; }
