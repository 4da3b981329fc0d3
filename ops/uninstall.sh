#!/bin/sh
# Removes basisd: uninstall.sh [--prefix DIR] [--root DIR] [--purge --yes]
#
# Refused while a daemon runs or a safety check is at work. Journals, configuration and credentials stay, so that
# install.sh brings everything back; --purge --yes removes them too, for good: without its journal nobody can tell
# what was traded. Positions at the venues are not touched by either.
set -eu

prefix=/opt/basisd root='' purge=no sure=no
die() { printf 'uninstall.sh: %s\n' "$*" >&2; exit 1; }

while [ $# -gt 0 ]; do
    case $1 in
        --prefix | --root)
            [ $# -ge 2 ] || die "$1 needs a value"
            case $1 in --prefix) prefix=$2 ;; --root) root=${2%/} ;; esac
            shift 2 ;;
        --purge) purge=yes; shift ;;
        --yes) sure=yes; shift ;;
        -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "$0"; exit 0 ;;
        *) die "unknown argument $1; see --help" ;;
    esac
done
case $prefix in /?*) ;; *) die "--prefix must be absolute: $prefix" ;; esac
case $root in '' | /?*) ;; *) die "--root must be absolute: $root" ;; esac
[ -n "$root" ] || [ "$(id -u)" -eq 0 ] || die "needs root (sudo)"
[ $purge = no ] || [ $sure = yes ] || die "--purge deletes every journal, configuration and secret: add --yes if that is meant"

if [ -z "$root" ] && [ -d /run/systemd/system ]; then
    busy=$(systemctl list-units --plain --no-legend --state=active,activating,deactivating,reloading \
        'basisd@*.service' 'basisd-failed@*.service' 'basisd-flatten@*.service' 'basisd-closing@*.service' | cut -d ' ' -f 1 | tr '\n' ' ')
    [ -z "$busy" ] || die "still running: $busy- stop it first (systemctl stop ...), look at its positions, then run this again"
    enabled=$(systemctl list-unit-files --no-legend 'basisd@*.service' | awk '$2 == "enabled" { print $1 }')
    # shellcheck disable=SC2086 # one word per unit
    [ -z "$enabled" ] || systemctl disable --quiet $enabled
    systemctl stop 'basisd-closing@*.timer'
fi

for unit in basisd@.service basisd-failed@.service basisd-flatten@.service basisd-closing@.service basisd-closing@.timer; do
    rm -f "$root/etc/systemd/system/$unit"
done
rm -f "$root/etc/tmpfiles.d/basisd.conf"
link=$root/usr/local/bin/basis
if [ "$(readlink "$link" 2>/dev/null || true)" = "$prefix/venv/bin/basis" ]; then
    rm -f "$link"
fi
rm -rf "$root$prefix/releases"
rm -rf "$root$prefix/venv" "$root$prefix/docs"
rmdir "$root$prefix" 2>/dev/null || true

if [ $purge = yes ]; then
    rm -rf "$root/etc/basisd" "$root/var/lib/private/basisd" "$root/var/lib/basisd" \
        "$root/var/cache/private/basisd" "$root/var/cache/basisd"
    rm -rf "$root"/etc/systemd/system/basisd@*.service.d "$root"/etc/systemd/system/basisd-*@*.service.d
    printf 'removed, with state, configuration and credentials\n'
else
    printf 'removed; kept: /etc/basisd, /var/lib/basisd\n'
fi
if [ -z "$root" ]; then
    [ ! -d /run/systemd/system ] || systemctl daemon-reload
    [ $purge = no ] || ! getent group basisd >/dev/null || groupdel basisd
fi
