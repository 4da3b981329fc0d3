#!/bin/sh
# Makes the environment of this clone: make-environment.sh PYTHON FOLDER
# uv when it is there or can be installed; otherwise venv (or virtualenv) and the hashed requirements.
set -eu
python=$1
venv=$2

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "basisd needs Python 3.11 or newer; $python is older. Name another one: make PYTHON=python3.11" >&2
    exit 1
}

# Says that it lives: an installation can take a minute, and nobody should wonder.
echo "makes the environment in $venv, once (needs the package index)" >&2
seconds=0
(while sleep 5; do seconds=$((seconds + 5)); echo "  installing, $seconds s" >&2; done) &
ticker=$!
trap 'kill "$ticker" 2>/dev/null' EXIT INT TERM

bare_environment() {
    "$python" -m venv "$venv" 2>/dev/null && [ -x "$venv/bin/pip" ] && return 0
    rm -rf "$venv"
    # Debian ships venv apart from Python: without it, virtualenv from PyPI does the same.
    "$python" -m pip install --quiet --user --break-system-packages virtualenv 2>/dev/null &&
        "$python" -m virtualenv --quiet "$venv" && return 0
    echo "cannot make an environment: install python3-venv (apt install python3-venv) or uv, then run make again" >&2
    exit 1
}

if command -v uv >/dev/null 2>&1; then
    uv sync --quiet --frozen --python "$python"
    exit 0
fi

[ -x "$venv/bin/pip" ] || bare_environment
if "$venv/bin/pip" install --quiet uv 2>/dev/null && "$venv/bin/uv" sync --quiet --frozen --inexact --python "$venv/bin/python"; then
    exit 0
fi
"$venv/bin/pip" install --quiet --require-hashes -r requirements-dev.txt
"$venv/bin/pip" install --quiet --no-deps --editable .
