# shellcheck shell=bash
# The witness: a member of etcd on both servers and on a third machine (docs/operating/witness.md).
# Sourced after lib.sh and tls.sh.
#
# objstore's members have a user, a directory of settings and a directory of data of their own. An
# etcd that is there for something else is never touched: where it is in the way, that is refused.

ETCD=objstore-etcd             # the service and its user
ETCD_DATA=/var/lib/$ETCD       # "data" in it is etcd's; "formed": all members have met once
CLIENT_PORT=2379
PEER_PORT=2380
FORMS_S=60                     # how long three members may take to agree on a leader

# member_urls: where the members answer, in the order of the machines.
member_urls() {
    local machine
    for machine in "${MACHINES[@]}"; do say "$SCHEME://${ADDRESS[$machine]}:$CLIENT_PORT"; done
}

initial_cluster() {
    local machine
    for machine in "${MACHINES[@]}"; do say "$machine=$SCHEME://${ADDRESS[$machine]}:$PEER_PORT"; done |
        paste -sd ,
}

# --- before anything is changed ----------------------------------------------------------

check_etcd() {
    check_etcd_version "$1"
    check_etcd_place "$1"
}

# An etcd that is there is used; where there is none, Debian's package will be.
check_etcd_version() {
    remote "$1" <<'END'
if command -v etcd >/dev/null; then
    version=$(etcd --version | sed -n 's/^etcd Version: *//p')
    found="$(command -v etcd) of version ${version:-unknown}"
elif command -v apt-get >/dev/null; then
    apt-get update -qq
    version=$(apt-cache show --no-all-versions etcd-server 2>/dev/null |
        sed -n 's/^Version: *\([0-9]*:\)\{0,1\}//p')
    found="no etcd, and a package etcd-server of version ${version:-none}"
else
    version=''
    found="no etcd, and no apt-get to install it with"
fi
case $version in
    '' | [0-2].* | 3.[0-3] | 3.[0-3][!0-9]*) refuse "$found" "etcd 3.4 or newer" \
        "put etcd of https://github.com/etcd-io/etcd/releases into /usr/local/bin, and run this again" ;;
esac
END
}

# The ports must be free, but for a member of objstore. The one that Debian's package starts by
# itself is taken away when nobody ever put anything into it.
check_etcd_place() {
    {
        say "systemd=${SETTING[SYSTEMD]}"
        etcd_place_script
        say "$(own_member_runs) || ! listening || in_the_way 'another program on port 2379 or 2380'"
    } | remote "$1"
}

etcd_place_script() {
    cat <<'END'
listening() {
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -qE ':094[BC] [0-9A-F]+:0000 0A'
}
in_the_way() {
    refuse "$1" "ports 2379 and 2380 free for a member of objstore" \
        "see who uses it; if nobody does: systemctl disable --now etcd (its data stay), and run this again; else choose another machine"
}
is_debians_own() {
    case $(systemctl show -p FragmentPath --value etcd.service) in
        /lib/systemd/system/* | /usr/lib/systemd/system/*) ;;
        *) return 1 ;;
    esac
    [ -z "$(systemctl show -p DropInPaths --value etcd.service)" ] &&
        ! grep -q '^[A-Z]' /etc/default/etcd 2>/dev/null
}
is_empty() {
    all='{"key": "AA==", "range_end": "AA==", "count_only": true}'
    url=http://127.0.0.1:2379/v3/kv/range
    if command -v curl >/dev/null; then
        answer=$(curl -sf --noproxy "*" --max-time 5 -d "$all" $url)
    else
        answer=$(python3 -c 'import sys, urllib.request as ask
opener = ask.build_opener(ask.ProxyHandler({}))
print(opener.open(sys.argv[1], sys.argv[2].encode(), 5).read().decode())' $url "$all" 2>/dev/null)
    fi
    case $answer in *'"count"'*) return 1 ;; *'"header"'*) return 0 ;; *) return 1 ;; esac
}
if [ $systemd = yes ] && [ ! -d /run/systemd/system ]; then
    refuse "a machine that systemd does not run" "systemd" \
        "use --no-systemd, and have PREFIX/bin/objstore-etcd-service start called at boot"
fi
if [ $systemd = yes ] && [ ! -e /etc/systemd/system/objstore-etcd.service ]; then
    if systemctl --quiet is-active etcd.service; then
        is_debians_own || in_the_way "an etcd.service that runs with settings of somebody"
        is_empty || in_the_way "an etcd.service that runs and has keys in it, or cannot be asked"
        exit 0
    elif systemctl --quiet is-enabled etcd.service 2>/dev/null; then
        is_debians_own || in_the_way "an etcd.service with settings of somebody that starts at boot"
    fi
fi
END
}

# A command for a server's shell: whether objstore's member runs there.
own_member_runs() {
    if [ "${SETTING[SYSTEMD]}" = yes ]; then
        say "systemctl --quiet is-active $ETCD.service"
    else
        say "$PREFIX/bin/$ETCD-service status >/dev/null 2>&1"
    fi
}

# A member that lost its data must not start empty under its old name: it voted, and would not
# remember for whom.
check_members_data() {
    local machine state formed=no lost=''
    [ "$DRY_RUN" = no ] || { say "# see that no member has lost its data"; return 0; }
    for machine in "${MACHINES[@]}"; do
        state=$(remote "$machine" <<END
[ ! -e $ETCD_DATA/formed ] || echo formed
[ -d $ETCD_DATA/data/member ] || echo empty
END
        )
        [[ $state != *formed* ]] || formed=yes
        [[ $state != *empty* ]] || lost+=" $machine (${ADDRESS[$machine]})"
    done
    [ "$formed" = no ] || [ -z "$lost" ] || refuse "no data of etcd's member on$lost, in a cluster of members that had met" \
        "$ETCD_DATA/data on every machine" \
        "replace the member: docs/operating/witness.md, \"A member that lost its data\""
}

# --- installing --------------------------------------------------------------------------

install_etcd() {
    remote "$1" <<'END'
if ! command -v etcd >/dev/null; then
    # Debian starts what it installs, unless this says no.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        trap 'rm -f $policy' EXIT
        trap 'exit 1' HUP INT TERM
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends etcd-server >/dev/null
fi
END
    write_etcd_environment "$1"
    if [ "${SETTING[SYSTEMD]}" = yes ]; then
        install_etcd_unit "$1"
    else
        install_plain_service "$1" $ETCD "$ETCD_DIR/etcd.env" "\$(command -v etcd)" $ETCD
    fi
}

make_etcd_account() {
    remote "$1" <<END
getent group $ETCD >/dev/null || groupadd --system $ETCD
id -u $ETCD >/dev/null 2>&1 || useradd --system --gid $ETCD \\
    --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin $ETCD
install -d -m 750 -o root -g $ETCD $ETCD_DIR
install -d -m 700 -o $ETCD -g $ETCD $ETCD_DATA
END
}

# A member listens on its address alone where the machine has that; behind a translation of
# addresses, or with a name instead, on all.
write_etcd_environment() {
    remote "$1" <<END
listen=0.0.0.0
case " \$(hostname -I 2>/dev/null) " in *" ${ADDRESS[$1]} "*) listen=${ADDRESS[$1]} ;; esac
cd $ETCD_DIR
{
    cat <<'ENVIRONMENT'
# Written by deploy-2server.sh.
ETCD_NAME=$1
ETCD_DATA_DIR=$ETCD_DATA/data
ETCD_ADVERTISE_CLIENT_URLS=$SCHEME://${ADDRESS[$1]}:$CLIENT_PORT
ETCD_INITIAL_ADVERTISE_PEER_URLS=$SCHEME://${ADDRESS[$1]}:$PEER_PORT
ETCD_INITIAL_CLUSTER=$(initial_cluster)
ETCD_INITIAL_CLUSTER_TOKEN=objstore
ETCD_INITIAL_CLUSTER_STATE=new
ETCD_AUTO_COMPACTION_RETENTION=1
$(etcd_tls_environment)
ENVIRONMENT
    echo "ETCD_LISTEN_CLIENT_URLS=$SCHEME://\$listen:$CLIENT_PORT"
    echo "ETCD_LISTEN_PEER_URLS=$SCHEME://\$listen:$PEER_PORT"
    # etcd asks to be told so on what its makers do not test; a small witness is often one of these.
    case \$(uname -m) in
        aarch64) echo ETCD_UNSUPPORTED_ARCH=arm64 ;;
        armv*) echo ETCD_UNSUPPORTED_ARCH=arm ;;
        i?86) echo ETCD_UNSUPPORTED_ARCH=386 ;;
        riscv64) echo ETCD_UNSUPPORTED_ARCH=riscv64 ;;
    esac
} >etcd.env.new
chgrp $ETCD etcd.env.new
chmod 640 etcd.env.new
if cmp -s etcd.env.new etcd.env; then
    rm etcd.env.new
else
    [ ! -e etcd.env ] || touch changed
    mv etcd.env.new etcd.env
fi
END
}

etcd_tls_environment() {
    local kind
    has_tls || return 0
    for kind in ETCD ETCD_PEER; do
        cat <<END
${kind}_CERT_FILE=$ETCD_DIR/tls/member.crt
${kind}_KEY_FILE=$ETCD_DIR/tls/member.key
${kind}_TRUSTED_CA_FILE=$ETCD_DIR/tls/ca.crt
${kind}_CLIENT_CERT_AUTH=true
END
    done
}

# Debian's own member is stopped for good, once: what somebody makes of it later is theirs.
install_etcd_unit() {
    remote "$1" <<END
unit=/etc/systemd/system/$ETCD.service
if [ ! -e \$unit ] && systemctl cat etcd.service >/dev/null 2>&1; then
    systemctl --quiet disable --now etcd.service
fi
cat >\$unit <<'UNIT'
$(cat "$HERE/systemd/$ETCD.service")
UNIT
mkdir -p \$unit.d
cat >\$unit.d/paths.conf <<PATHS
[Service]
EnvironmentFile=
EnvironmentFile=$ETCD_DIR/etcd.env
ExecStart=
ExecStart=\$(command -v etcd)
PATHS
systemctl daemon-reload
systemctl --quiet enable $ETCD.service
END
}

# --- starting ----------------------------------------------------------------------------

start_member() {
    service "$1" start $ETCD
}

# look_at_etcd SERVER: which members answer it: "ok|warn|fail etcd: WORDS". 0 when all do.
look_at_etcd() {
    ask "$1" <<END
${SETTING[PYTHON]} - $CONFIG_DIR/objstore.toml <<'PYTHON'
$(cat "$HERE/etcd_state.py")
PYTHON
END
}

start_etcd() {
    local machine
    everywhere start_member
    wait_etcd
    for machine in "${MACHINES[@]}"; do restart_changed_member "$machine"; done
    everywhere mark_formed
}

# One after the other, so that the others are always a majority.
restart_changed_member() {
    [ "$DRY_RUN" = no ] || return 0
    [ -n "$(echo "ls $ETCD_DIR/changed 2>/dev/null || true" | remote "$1")" ] || return 0
    service "$1" restart $ETCD
    wait_etcd
    echo "rm $ETCD_DIR/changed" | remote "$1"
}

wait_etcd() {
    local said deadline=$((SECONDS + FORMS_S))
    if [ "$DRY_RUN" = yes ]; then
        say "# wait until every member of etcd answers, at most $FORMS_S s"
        return 0
    fi
    until said=$(look_at_etcd server1 2>&1); do
        [ "$SECONDS" -lt "$deadline" ] || refuse "$said, after $FORMS_S s" \
            "three members that agree" \
            "see that the three machines reach each other on ports $CLIENT_PORT and $PEER_PORT, and read the log of the one that is missing ($(log_command $ETCD))"
        sleep 0.5
    done
}

mark_formed() {
    echo "[ -e $ETCD_DATA/formed ] || touch $ETCD_DATA/formed" | remote "$1"
}

# --- removing ----------------------------------------------------------------------------

# The program stays: whoever installed it before may use it.
remove_etcd() {
    if [ "${SETTING[SYSTEMD]}" = yes ]; then
        remote "$1" <<END
unit=/etc/systemd/system/$ETCD.service
if [ -e \$unit ]; then
    systemctl --quiet disable --now $ETCD.service
    rm -rf \$unit \$unit.d
    systemctl daemon-reload
fi
END
    else
        remote "$1" <<END
[ ! -x $PREFIX/bin/$ETCD-service ] || $PREFIX/bin/$ETCD-service stop
rm -f $PREFIX/bin/$ETCD-service
END
    fi
}

delete_etcd_data() {
    echo "rm -rf $ETCD_DATA" | remote "$1"
}

delete_etcd_settings() {
    remote "$1" <<END
rm -rf $ETCD_DIR ${SETTING[LOG_DIR]}/$ETCD.log ${SETTING[LOG_DIR]}/$ETCD.pid
! id -u $ETCD >/dev/null 2>&1 || userdel $ETCD
END
}
