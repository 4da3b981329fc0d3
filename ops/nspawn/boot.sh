#!/bin/sh
# Boots a throw-away systemd over a copy-on-write view of this machine: boot.sh FILES RESULTS [systemd-nspawn option ...]
#
# FILES is laid over the root file system; the scenario in it is FILES/etc/systemd/system/scenario.target, which must
# end with a power-off. RESULTS appears inside as /results. Nothing outside RESULTS changes: the overlay lives on a
# tmpfs, in a mount namespace of its own that goes away with this process, and the network is loopback only.
# Exit codes: 0 powered off, 69 this machine cannot do it (the reason on stderr), 124 not done within BOOT_SECONDS.
set -eu
unavailable() { printf 'boot.sh: %s\n' "$*" >&2; exit 69; }

[ $# -ge 2 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 64; }
[ "$(id -u)" -eq 0 ] || unavailable "needs root"
command -v systemd-nspawn >/dev/null || unavailable "no systemd-nspawn (apt install systemd-container)"
if [ -z "${BOOT_UNSHARED-}" ]; then
    unshare --mount --propagation private true 2>/dev/null || unavailable "may not make a mount namespace"
    BOOT_UNSHARED=1 exec unshare --mount --propagation private -- "$0" "$@"
fi

files=$1 results=$2
shift 2
space=$results/overlay
mkdir -p "$space"
mount -t tmpfs -o size=1G,mode=0755 tmpfs "$space" || unavailable "may not mount a tmpfs"
mkdir "$space/upper" "$space/work" "$space/root" "$space/out"
mount -t overlay overlay -o "lowerdir=/,upperdir=$space/upper,workdir=$space/work" "$space/root" ||
    unavailable "may not mount an overlay over /"

# Only the scenario starts: no unit of this machine is wanted by anything any more.
rm -rf "$space/root"/etc/systemd/system/*.wants "$space/root"/usr/lib/systemd/system/*.target.wants
rm -f "$space/root/etc/fstab" "$space/root/etc/machine-id"
: >"$space/root/etc/machine-id"
cp -R "$files/." "$space/root/"

# "systemd-nspawn -D /" is refused; over an overlay it is an ordinary folder.
code=0
timeout --kill-after=5 "${BOOT_SECONDS:-120}" systemd-nspawn --quiet --register=no --keep-unit --link-journal=no \
    --private-network --console=pipe --bind="$results/shared:/results" "$@" \
    --directory="$space/root" --boot systemd.unit=scenario.target systemd.log_level=warning \
    >"$results/console.log" 2>&1 </dev/null || code=$?
exit "$code"
