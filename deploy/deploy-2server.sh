#!/bin/bash
# Makes two machines one objstore cluster, and says what it survives. Safe to run again: secrets,
# data and a running cluster are kept, and what is as it should be is left alone.
#
#   deploy-2server.sh [OPTION...] [SERVER1 SERVER2]
#
#   SERVER1 SERVER2      addresses by which clients and the other server reach each server; they
#                        and everything else may stand in deploy/.env (see deploy/.env.example)
#   --env FILE           settings from FILE instead of deploy/.env
#   --drives PATTERN     drives of each server [/mnt/drive{1...2}]
#   --parity EC:N        parity shards of every object [EC:1]
#   --port PORT          the S3 port; servers talk to each other on PORT + 2 [9000]
#   --wheel FILE         the package; without it, it is built from this repository
#   --wheelhouse DIR     wheels of all dependencies, for servers that do not reach PyPI
#   --allow-unmounted    accept drives that are directories of another file system, for a trial
#   --witness HOST       a third machine, with whose vote one server goes on without the other: a
#                        member of etcd is set up there and on both servers, and nothing else there
#   --tls                serve by https, with certificates of a CA that is made in deploy/ca
#   --no-systemd         start the processes without systemd
#   --dry-run            print every command, and run none
#
# Needs ssh to every machine, as root or as a user who may `sudo -n`, and Python 3.11 on the servers.

set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=package.sh
. "$HERE/package.sh"
# shellcheck source=tls.sh
. "$HERE/tls.sh"
# shellcheck source=etcd.sh
. "$HERE/etcd.sh"
# shellcheck source=config.sh
. "$HERE/config.sh"

CLOCK_APART_S=60   # servers refuse each other beyond 300 s; this leaves room to drift
SECRETS=(root_user root_password cluster_secret)

WHEEL_GIVEN=''
ALLOW_UNMOUNTED=no

# --- arguments ---------------------------------------------------------------------------

parse_arguments() {
    local given=() name
    declare -A option=()
    while [ $# -gt 0 ]; do
        case "$1" in
            --help | -h) usage; exit 0 ;;
            --dry-run) DRY_RUN=yes ;;
            --no-systemd) option[SYSTEMD]=no ;;
            --tls) option[TLS]=yes ;;
            --allow-unmounted) ALLOW_UNMOUNTED=yes ;;
            --env | --drives | --parity | --port | --wheel | --wheelhouse | --witness)
                [ $# -gt 1 ] || refuse "$1 without a value" "$1 VALUE" "see $SCRIPT --help"
                case "$1" in
                    --env) ENV_FILE=$2 ;;
                    --wheel) WHEEL_GIVEN=$2 ;;
                    *) name=${1#--}; option[${name^^}]=$2 ;;
                esac
                shift ;;
            -*) refuse "$1" "an option of $SCRIPT" "see $SCRIPT --help" ;;
            *) given+=("$1") ;;
        esac
        shift
    done
    case ${#given[@]} in
        0) ;;
        2) option[SERVER1]=${given[0]}; option[SERVER2]=${given[1]} ;;
        *) refuse "${#given[@]} address(es): ${given[*]}" "the addresses of two servers" \
            "give two, or none and set SERVER1 and SERVER2 in deploy/.env" ;;
    esac
    default_env
    for name in "${!option[@]}"; do set_value "$name" "${option[$name]}" "the arguments"; done
    finish_settings
}

# --- before anything is changed ----------------------------------------------------------

check_server() {
    remote "$1" <<END
python=${SETTING[PYTHON]}
command -v \$python >/dev/null || refuse "no \$python" "Python 3.11 or newer" \\
    "install it (Debian, Ubuntu: apt-get install python3 python3-venv), or set PYTHON in .env"
\$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || refuse "\$(\$python --version)" \\
    "Python 3.11 or newer" "install a newer one beside it, and set PYTHON in .env"
if ! \$python -c 'import ensurepip, venv' 2>/dev/null; then
    command -v apt-get >/dev/null || refuse "a Python without venv and ensurepip" \\
        "one that makes virtual environments" "install its venv package"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
fi
END
    if [ "${SETTING[SYSTEMD]}" = yes ]; then
        remote "$1" <<'END'
[ -d /run/systemd/system ] || refuse "a machine that systemd does not run" "systemd" \
    "use --no-systemd, and have PREFIX/bin/objstore-service start called at boot"
END
    fi
    check_drives "$1"
}

check_drives() {
    if [ "$ALLOW_UNMOUNTED" = yes ]; then
        echo "mkdir -p ${DRIVE_PATHS[*]}" | remote "$1"
    fi
    remote "$1" <<END
for drive in ${DRIVE_PATHS[*]}; do
    [ $ALLOW_UNMOUNTED = yes ] || mountpoint -q \$drive ||
        refuse "\$drive, on which nothing is mounted" "a mounted disk for each drive" \\
            "mkfs the disk, add it to /etc/fstab with nofail, mount it; for a trial: --allow-unmounted"
    others=\$(ls -A \$drive | grep -vx lost+found | head -n 3 | paste -sd ' ')
    [ -z "\$others" ] || [ -e \$drive/drive.json ] || refuse "\$drive with \$others ... in it" \\
        "an empty drive, or one of objstore" "see whose it is; empty it, or give other drives"
done
END
}

check_clocks() {
    local machine now first='' last=''
    [ "$DRY_RUN" = no ] || { say "# compare the clocks of all machines"; return 0; }
    # Certificates hold from the moment that this machine's clock says.
    ! has_tls || { first=$(date +%s); last=$first; }
    for machine in "${MACHINES[@]}"; do
        now=$(echo 'date +%s' | remote "$machine")
        [ -n "$first" ] && [ "$first" -le "$now" ] || first=$now
        [ -n "$last" ] && [ "$last" -ge "$now" ] || last=$now
    done
    [ $((last - first)) -le "$CLOCK_APART_S" ] || refuse "clocks that are $((last - first)) s apart" \
        "at most $CLOCK_APART_S s (servers refuse each other beyond 300 s)" \
        "install chrony or systemd-timesyncd on all machines, and wait until they agree"
}

# --- what is put on a server -------------------------------------------------------------

make_account() {
    remote "$1" <<END
getent group $SERVICE_USER >/dev/null || groupadd --system $SERVICE_USER
id -u $SERVICE_USER >/dev/null 2>&1 || useradd --system --gid $SERVICE_USER \\
    --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin $SERVICE_USER
install -d -m 755 $PREFIX $PREFIX/versions $PREFIX/bin
install -d -m 750 -o root -g $SERVICE_USER $CONFIG_DIR $CONFIG_DIR/secrets
chown $SERVICE_USER:$SERVICE_USER ${DRIVE_PATHS[@]}
chmod 700 ${DRIVE_PATHS[@]}
END
}

# The secrets lie on the servers alone. Whichever server has them gives them to the other.
share_secrets() {
    if [ "$DRY_RUN" = yes ]; then
        say "# take ${SECRETS[*]} from a server that has them, else draw them; the same on both:"
        write_secrets server1 </dev/null
        write_secrets server2 </dev/null
        return 0
    fi
    local first second
    first=$(read_secrets server1)
    second=$(read_secrets server2)
    [ -z "$first" ] || [ -z "$second" ] || [ "$first" = "$second" ] || refuse \
        "different secrets in $CONFIG_DIR/secrets on ${ADDRESS[server1]} and ${ADDRESS[server2]}" "the same on both" \
        "find out which cluster each belongs to; move the directory away on the one that is to join"
    first=${first:-${second:-$(draw_secrets)}}
    write_secrets server1 <<<"$first"
    write_secrets server2 <<<"$first"
}

# read_secrets SERVER: one line each, or nothing when there are none.
read_secrets() {
    remote "$1" <<END
cd $CONFIG_DIR/secrets
[ -e root_user ] || [ -e root_password ] || [ -e cluster_secret ] || exit 0
cat ${SECRETS[*]} || refuse "only some of ${SECRETS[*]} in $CONFIG_DIR/secrets" "all of them" \\
    "put back what is missing, or remove all to take those of the other server"
END
}

draw_secrets() {
    python3 -c 'import base64, secrets
print(base64.b32encode(secrets.token_bytes(10)).decode())
print(secrets.token_urlsafe(30))
print(secrets.token_urlsafe(48))'
}

# write_secrets SERVER: from standard input, and only what is not there.
write_secrets() {
    local values=() name
    mapfile -t values
    for name in "${!SECRETS[@]}"; do
        remote "$1" <<END
file=$CONFIG_DIR/secrets/${SECRETS[$name]}
if [ ! -e \$file ]; then
    umask 077
    printf '%s\n' '${values[$name]:-DRAWN-AND-NOT-SHOWN}' >\$file.new
    chgrp $SERVICE_USER \$file.new
    chmod 640 \$file.new
    mv \$file.new \$file
fi
END
    done
}

install_service() {
    if [ "${SETTING[SYSTEMD]}" = yes ]; then
        install_unit "$1"
    else
        install_plain_service "$1" objstore "$CONFIG_DIR/server.env" \
            "$PREFIX/current/bin/objstore server --log-format json" "$SERVICE_USER"
    fi
}

install_unit() {
    remote "$1" <<END
cat >/etc/systemd/system/objstore.service <<'UNIT'
$(cat "$HERE/systemd/objstore.service")
UNIT
mkdir -p /etc/systemd/system/objstore.service.d
cat >/etc/systemd/system/objstore.service.d/paths.conf <<'PATHS'
[Service]
User=$SERVICE_USER
Group=$SERVICE_USER
EnvironmentFile=
EnvironmentFile=$CONFIG_DIR/server.env
ExecStart=
ExecStart=$PREFIX/current/bin/objstore server --log-format json
PATHS
systemctl daemon-reload
systemctl --quiet enable objstore.service
END
}

# install_plain_service MACHINE NAME ENVIRONMENT COMMAND USER: the COMMAND may hold a $(...) that the
# machine's shell is to answer.
install_plain_service() {
    remote "$1" <<END
install -d -m 755 $PREFIX $PREFIX/bin
[ -d ${SETTING[LOG_DIR]} ] || install -d -m 750 ${SETTING[LOG_DIR]}
{
    sed -e "s|@COMMAND@|$4|" <<'SERVICE'
$(sed -e "s|@NAME@|$2|" -e "s|@ENVIRONMENT@|$3|" -e "s|@LOG_DIR@|${SETTING[LOG_DIR]}|" \
        -e "s|@SERVICE_USER@|$5|" "$HERE/objstore-service")
SERVICE
} >$PREFIX/bin/$2-service
chmod 755 $PREFIX/bin/$2-service
END
}

# --- starting ----------------------------------------------------------------------------

# A cluster that runs goes on with what it was started with, unless the version is another one.
current_version() {
    echo "readlink $PREFIX/current || true" | ask "$1"
}

start_server() {
    service "$1" start
}

start_or_upgrade() {
    local machine
    for machine in "${SERVERS[@]}"; do
        if [ "$DRY_RUN" = no ] && service_is_running "$machine" &&
            [ "$(current_version "$machine")" != "versions/$VERSION_ID" ]; then
            refuse "${ADDRESS[$machine]} running another version" "$VERSION_ID, or no running server" \
                "upgrade one server at a time: deploy/rolling-upgrade.sh"
        fi
    done
    both switch_version
    both start_server
    wait_whole
}

summary() {
    local one=${ADDRESS[server1]} explain=layout\ explain
    [ "$DRY_RUN" = no ] || return 0
    ! has_witness || explain+=" --witness"
    say ""
    say "Ready: $SCHEME://$one:$PORT and $SCHEME://${ADDRESS[server2]}:$PORT (any server serves any request)"
    say "  version     $VERSION_ID"
    say "  access key  $(echo "cat $CONFIG_DIR/secrets/root_user" | remote server1)"
    say "  secret key  ssh ${LOGIN[server1]} ${BECOME_ROOT[server1]}cat $CONFIG_DIR/secrets/root_password"
    ! has_tls || say "  CA          $(ca_directory)/ca.crt, for clients: AWS_CA_BUNDLE, OBJSTORE_CA_FILE"
    ! has_witness || say "  witness     ${ADDRESS[witness]}; let nobody but the three machines reach ports $CLIENT_PORT and $PEER_PORT"
    say "  settings    $CONFIG_DIR/objstore.toml (after a change: deploy/rolling-upgrade.sh --restart)"
    say "  log         $(log_command objstore)"
    say "  next        deploy/check.sh from cron; docs/operating/deploy.md for a load balancer"
    say ""
    say "What this layout survives (objstore $explain $CONFIG_DIR/objstore.toml)"
    echo "COLUMNS=100 $PREFIX/current/bin/objstore $explain $CONFIG_DIR/objstore.toml" |
        remote server1 | sed 's/^/  /'
}

look_around() {
    say "== looking at ${#MACHINES[@]} machines"
    both check_server
    if has_witness; then
        everywhere check_etcd
        check_members_data
    fi
    check_clocks
    check_ca
    plan_config
}

configure() {
    say "== accounts, secrets, configuration"
    both make_account
    ! has_witness || everywhere make_etcd_account
    share_secrets
    if has_tls; then
        make_ca
        everywhere install_certificates
    fi
    both write_config
}

main() {
    parse_arguments "$@"
    open_connections
    look_around
    say "== package"
    find_wheel "$WHEEL_GIVEN"
    configure
    if has_witness; then
        say "== the witness: etcd on $(addresses)"
        everywhere install_etcd
        start_etcd
    fi
    say "== installing $VERSION_ID"
    both install_package
    both install_service
    say "== starting"
    start_or_upgrade
    summary
}

main "$@"
