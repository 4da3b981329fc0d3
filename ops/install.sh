#!/bin/sh
# Installs basisd on Debian 12, or upgrades it: install.sh [INSTANCE] [--prefix DIR] [--root DIR] [--python FILE] [--no-venv]
#
# Each version goes into a folder of its own, PREFIX/releases/ID; PREFIX/venv and PREFIX/docs point at the newest. A
# running daemon keeps the release it was started from. What an operator wrote in /etc/basisd is never changed.
#   INSTANCE      name of the first daemon, default: paper (small letters, digits, dashes, at most 24)
#   --prefix DIR  where the program goes, default: /opt/basisd
#   --root DIR    install below DIR and touch nothing outside it: no users, no systemd (tests, images)
#   --python FILE the interpreter, default: /usr/bin/python3; not one under /home or /root, the service cannot see it
#   --no-venv     everything but the Python environment
set -eu
umask 022
export LC_ALL=C

instance=paper prefix=/opt/basisd root='' python=/usr/bin/python3 with_venv=yes
say() { printf '%s\n' "$*"; }
die() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }

while [ $# -gt 0 ]; do
    case $1 in
        --prefix | --root | --python)
            [ $# -ge 2 ] || die "$1 needs a value"
            case $1 in --prefix) prefix=$2 ;; --root) root=${2%/} ;; --python) python=$2 ;; esac
            shift 2 ;;
        --no-venv) with_venv=no; shift ;;
        -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "$0"; exit 0 ;;
        -*) die "unknown option $1; see --help" ;;
        *) instance=$1; shift ;;
    esac
done

case $prefix in /*) ;; *) die "--prefix must be absolute: $prefix" ;; esac
case $root in '' | /*) ;; *) die "--root must be absolute: $root" ;; esac
case $instance in
    '' | -* | *[!a-z0-9-]* | ?????????????????????????*)
        die "'$instance' cannot be an instance: small letters, digits, dashes, at most 24 (the service user is basisd-NAME)" ;;
esac
[ -n "$root" ] || [ "$(id -u)" -eq 0 ] || die "needs root (sudo), or --root DIR to install into a folder"

source=$(cd "$(dirname "$0")/.." && pwd)
for needed in pyproject.toml uv.lock requirements-dev.txt systemd/basisd@.service; do
    [ -f "$source/$needed" ] || die "$source/$needed is missing: run it from a complete clone"
done

# The same sources with the same interpreter are the same release, and installing it again changes nothing.
release_id() {
    version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$source/pyproject.toml" | head -n 1)
    digest=$(
        cd "$source" && {
            "$python" --version 2>&1
            find components daemon venues configs docs pyproject.toml uv.lock requirements-dev.txt -type f \
                ! -name '*.pyc' -exec sha256sum {} + | LC_ALL=C sort -k 2
        } | sha256sum | cut -c 1-12
    )
    say "$version-$digest"
}

# Points $2 at $1 in one step: there is no moment without it.
point() { ln -sfn "$1" "$2.next" && mv -T "$2.next" "$2"; }

environment() {
    venv=$1
    if command -v uv >/dev/null 2>&1; then
        uv venv --quiet --relocatable --python "$python" "$venv"
        (cd "$source" && UV_PROJECT_ENVIRONMENT=$venv UV_LINK_MODE=copy \
            uv sync --quiet --frozen --no-dev --no-editable --compile-bytecode --python "$python")
        return
    fi
    "$python" -m venv --copies "$venv" || die "install python3-venv (apt install python3-venv) or uv, then run this again"
    "$venv/bin/pip" install --quiet --require-hashes -r "$source/requirements-dev.txt"
    "$venv/bin/pip" install --quiet --no-deps "$source"
    # Scripts name their interpreter by its final place, not by where --root put it.
    [ -z "$root" ] || grep -Ilr "^#!$root" "$venv/bin" | xargs -r sed -i "1s|^#!$root|#!|"
}

install_program() {
    id=$(release_id)
    release=$root$prefix/releases/$id
    if [ -e "$release/.complete" ]; then
        say "release $id is there already"
    else
        rm -rf "$release"
        mkdir -p "$release"
        cp -R "$source/docs" "$release/docs"
        [ $with_venv = no ] || environment "$release/venv"
        [ $with_venv = no ] || : >"$release/.complete"
        say "installed release $id"
    fi
    point "releases/$id/docs" "$root$prefix/docs"
    [ $with_venv = no ] || point "releases/$id/venv" "$root$prefix/venv"
}

install_units() {
    mkdir -p "$root/etc/systemd/system"
    for unit in basisd@.service basisd-failed@.service basisd-flatten@.service basisd-closing@.service basisd-closing@.timer; do
        sed "s|/opt/basisd|$prefix|g" "$source/systemd/$unit" >"$root/etc/systemd/system/$unit.next"
        mv "$root/etc/systemd/system/$unit.next" "$root/etc/systemd/system/$unit"
    done
    mkdir -p "$root/etc/tmpfiles.d"
    install -m 0644 "$source/systemd/basisd.tmpfiles.conf" "$root/etc/tmpfiles.d/basisd.conf"
    if [ $with_venv = yes ]; then
        mkdir -p "$root/usr/local/bin"
        ln -sfn "$prefix/venv/bin/basis" "$root/usr/local/bin/basis"
    fi
}

# Owner and mode are given when something is made, and left alone afterwards.
install_configuration() {
    mkdir -p "$root/etc/basisd"
    for folder in "$root/etc/basisd/credentials" "$root/etc/basisd/credentials/$instance"; do
        [ -d "$folder" ] || mkdir -m 0700 "$folder"
    done
    # Everybody may read these: the service's own user reads the first one, and neither is a place for secrets.
    if [ -e "$root/etc/basisd/$instance.yaml" ]; then
        say "kept /etc/basisd/$instance.yaml"
    elif [ -f "$source/configs/paper.yaml" ]; then
        install -m 0644 "$source/configs/paper.yaml" "$root/etc/basisd/$instance.yaml"
        say "wrote /etc/basisd/$instance.yaml, a copy of configs/paper.yaml"
    else
        say "no configs/paper.yaml in $source: write /etc/basisd/$instance.yaml yourself"
    fi
}

[ -x "$python" ] || [ $with_venv = no ] || die "no interpreter $python (apt install python3 python3-venv)"
if [ $with_venv = yes ]; then
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "$python is older than Python 3.11"
    case $(readlink -f "$("$python" -c 'import sys; print(sys.base_prefix)')") in
        /home/* | /root/* | /root) die "$python lives in a home folder, which the service cannot see; use /usr/bin/python3" ;;
    esac
fi

if [ -z "$root" ]; then
    # Members may reach the control socket; who may see or move money is the same people.
    getent group basisd >/dev/null || groupadd --system basisd
fi
install_program
install_units
install_configuration
if [ -z "$root" ] && [ -d /run/systemd/system ]; then
    systemd-tmpfiles --create /etc/tmpfiles.d/basisd.conf
    systemctl daemon-reload
fi

cat <<NEXT

Next:
  1. look at                 /etc/basisd/$instance.yaml
  2. secrets, one per file   install -m 0600 FILE /etc/basisd/credentials/$instance/NAME   (paper needs none)
  3. start, now and at boot  systemctl enable --now basisd@$instance
  4. see what it does        basis status --state /var/lib/basisd/$instance
  5. who may talk to it      adduser NAME basisd
A daemon that is running goes on with its own release until: systemctl restart basisd@$instance
The operator's guide: $prefix/docs/operating.md
NEXT
