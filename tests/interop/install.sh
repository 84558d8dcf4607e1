#!/bin/sh
# Installs the clients of the interop tests, at the versions pinned beside this file, into
# ../../.venv-interop and node_modules. Does nothing when they are there; needs Python and, for the
# clients on Node, npm. As root it installs missing Debian packages itself; without root it names
# them, and the tests that need them are skipped by name.
set -eu
cd "$(dirname "$0")"

NODE_LEAST=20
venv=../../.venv-interop
python=python3
[ -x ../../.venv/bin/python ] && python=../../.venv/bin/python

debian_packages() {
    missing=
    command -v restic >/dev/null || missing="$missing restic"
    command -v npm >/dev/null || missing="$missing nodejs npm"
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "Not installed, so the tests with them are skipped:$missing"
        return 0
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # shellcheck disable=SC2086  # a list of names
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

python_clients() {
    wanted=$({ "$python" --version; cat requirements.txt; } | cksum)
    installed=$venv/installed
    [ -f $installed ] && [ "$(cat $installed)" = "$wanted" ] && return 0
    "$python" -m venv --clear $venv
    # Every package is pinned, so nothing has to be resolved: --no-deps.
    $venv/bin/python -m pip install --quiet --disable-pip-version-check \
        --root-user-action=ignore --no-compile --no-deps --only-binary :all: -r requirements.txt
    $venv/bin/python -m pip check
    echo "$wanted" >$installed
}

node_clients() {
    command -v npm >/dev/null || return 0
    if ! node -e "process.exit(+(parseInt(process.versions.node) < $NODE_LEAST))"; then
        echo "Node $(node --version) is too old for the AWS SDK, which needs $NODE_LEAST:" \
            "the tests on Node are skipped."
        return 0
    fi
    wanted=$({ node --version; cat package.json package-lock.json; } | cksum)
    installed=node_modules/installed
    [ -f $installed ] && [ "$(cat $installed)" = "$wanted" ] && return 0
    npm ci --silent --ignore-scripts --no-audit --no-fund
    echo "$wanted" >$installed
}

debian_packages
python_clients
node_clients
