#!/bin/sh
# Runs every check and every test, and installs what they need first. Works from an empty
# clone and again; needs Python 3.11 or newer, and root only for the faults of drives and networks
# that a kernel has to cause (those tests are skipped by name without it).
#
#   sh tests/run.sh [PYTEST ARGUMENT...]     default: tests
set -eu
cd "$(dirname "$0")/.."

stage() {
    printf '\n== %s\n' "$1"
    shift
    "$@"
}

die() {
    printf 'tests/run.sh: %s\n' "$*" >&2
    exit 1
}

is_root() {
    [ "$(id -u)" -eq 0 ]
}

install_packages() {
    is_root || die "missing: $*. Install with: sudo apt-get install $*"
    command -v apt-get >/dev/null || die "missing: $*. Install them, then run this again"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

system_packages() {
    command -v python3 >/dev/null || install_packages python3
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "Python 3.11 or newer is needed, found $(python3 --version)"
    # Debian ships venv without the ensurepip it needs; python3-venv brings both.
    python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv
    is_root || return 0
    # Drive faults: small ext4 images on loop devices.
    command -v mkfs.ext4 >/dev/null || install_packages e2fsprogs
    command -v losetup >/dev/null || install_packages mount
    command -v mkfs.xfs >/dev/null || install_packages xfsprogs
    # Faults below SQLite: a library made from tests/crash/disk_faults.c.
    command -v cc >/dev/null || install_packages gcc libc6-dev
    # Clusters on hosts of their own: network namespaces, bridges, slow links.
    command -v ip >/dev/null && command -v tc >/dev/null || install_packages iproute2
}

python_packages() {
    # A virtual environment that an interrupted run left without pip is made anew.
    .venv/bin/python -m pip --version >/dev/null 2>&1 || python3 -m venv --clear .venv
    if ! cmp -s pyproject.toml .venv/pyproject.installed; then
        .venv/bin/python -m pip install --quiet --disable-pip-version-check \
            --root-user-action=ignore --no-compile -e '.[dev]'
        cp pyproject.toml .venv/pyproject.installed
    fi
    .venv/bin/python --version
}

monitoring_tools() {
    command -v promtool >/dev/null || [ -x .venv/bin/promtool ] && return
    if is_root && command -v apt-get >/dev/null; then
        # promtool alone: to install Debian's package would start a Prometheus here.
        fetched=$(mktemp -d)
        (
            cd "$fetched"
            apt-get download -qq prometheus || { apt-get update -qq && apt-get download -qq prometheus; }
            dpkg-deb -x prometheus_*.deb .
        ) >/dev/null 2>&1 && cp "$fetched/usr/bin/promtool" .venv/bin/
        rm -rf "$fetched"
    fi
    [ -x .venv/bin/promtool ] || echo "No promtool: the alerts are not checked with it."
}

name_what_is_skipped() {
    if is_root; then
        losetup -f >/dev/null 2>&1 ||
            echo "No loop device is free: tests of full, read-only and failing drives are skipped."
        { ip netns add objs-probe && ip netns del objs-probe; } 2>/dev/null ||
            echo "No network namespace can be made: tests of clusters on hosts are skipped."
    else
        echo "Not root: tests marked 'root' are skipped. They mount small file systems to make"
        echo "drives that are full, read-only or answer with I/O errors, and make network"
        echo "namespaces for servers that are cut off, frozen or slow."
    fi
}

interop_tests_are_meant() {
    case "$*" in *interop*) true ;; *tests/*) false ;; *) true ;; esac
}

deploy_tests_are_meant() {
    case "$*" in *deploy*) true ;; *tests/*) false ;; *) true ;; esac
}

CLIENTS='clients for the interop tests'

clients_are_there() {
    failed=false
    wait "$clients" || failed=true
    cat .venv/interop-install.log
    ! $failed || die "the $CLIENTS could not be installed"
}

stage 'system packages' system_packages
stage 'python packages' python_packages
stage 'monitoring tools' monitoring_tools
! deploy_tests_are_meant "$@" || stage 'servers, proxies and linters for the tests of deploy/' \
    sh tests/deploy/install.sh
stage 'what this machine cannot test' name_what_is_skipped
if interop_tests_are_meant "$@"; then
    # Mostly downloads: they go on while the checks run, and the tests that need no clients.
    sh tests/interop/install.sh >.venv/interop-install.log 2>&1 &
    clients=$!
fi
.ci/run static
if [ $# -gt 0 ]; then
    ! interop_tests_are_meant "$@" || stage "$CLIENTS" clients_are_there
    stage tests .venv/bin/python -m pytest --durations=15 "$@"
else
    # One process more than there are cores: tests with servers wait a lot.
    processes=$(($(getconf _NPROCESSORS_ONLN) + 1))
    set -- -n "$processes" --dist loadgroup --durations=15
    stage tests .venv/bin/python -m pytest "$@" -m 'not interop and not long' tests
    stage "$CLIENTS" clients_are_there
    # Their directory alone: each process reads every test that it is given before it runs any.
    stage 'tests with real clients' .venv/bin/python -m pytest "$@" -m interop tests/interop
fi
