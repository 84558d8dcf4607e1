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
#   --no-systemd         start the processes without systemd
#   --dry-run            print every command, and run none
#
# Needs ssh to both servers, as root or as a user who may `sudo -n`, and Python 3.11 there.
# It sets up no witness (etcd, by which one server goes on without the other); that takes a third
# machine and a few steps by hand: docs/operating/witness.md.

set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

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
            --allow-unmounted) ALLOW_UNMOUNTED=yes ;;
            --env | --drives | --parity | --port | --wheel | --wheelhouse)
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
    [ "$DRY_RUN" = no ] || { say "# compare the clocks of both servers"; return 0; }
    local first second apart
    first=$(echo 'date +%s' | remote 1)
    second=$(echo 'date +%s' | remote 2)
    apart=$((first > second ? first - second : second - first))
    [ "$apart" -le "$CLOCK_APART_S" ] || refuse "clocks that are $apart s apart" \
        "at most $CLOCK_APART_S s (servers refuse each other beyond 300 s)" \
        "install chrony or systemd-timesyncd on both servers, and wait until they agree"
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
        write_secrets 1 </dev/null
        write_secrets 2 </dev/null
        return 0
    fi
    local first second
    first=$(read_secrets 1)
    second=$(read_secrets 2)
    [ -z "$first" ] || [ -z "$second" ] || [ "$first" = "$second" ] || refuse \
        "different secrets in $CONFIG_DIR/secrets on $(server 1) and $(server 2)" "the same on both" \
        "find out which cluster each belongs to; move the directory away on the one that is to join"
    first=${first:-${second:-$(draw_secrets)}}
    write_secrets 1 <<<"$first"
    write_secrets 2 <<<"$first"
}

# read_secrets N: one line each, or nothing when there are none.
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

# write_secrets N: from standard input, and only what is not there.
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

# The part of the configuration that this script owns; the rest is the operator's.
layout_section() {
    cat <<END
# BEGIN layout, written by deploy-2server.sh. Fixed once there is data: see docs/operating/layouts.md
[[pools]]
endpoints = ["http://$(server 1):$PORT${SETTING[DRIVES]}", "http://$(server 2):$PORT${SETTING[DRIVES]}"]
parity = "${SETTING[PARITY]}"
# END layout
END
}

# write_config N: the same file on both servers; one that is there keeps what was added to it.
write_config() {
    remote "$1" <<END
file=$CONFIG_DIR/objstore.toml
cat >\$file.layout <<'LAYOUT'
$(layout_section)
LAYOUT
if [ ! -e \$file ]; then
    { echo "# Settings: docs/operating/layouts.md. Keep this file the same on both servers."
      echo 'address = ":$PORT"'
      echo 'workers = ${SETTING[WORKERS]}'
      echo
      cat \$file.layout; } >\$file.new
    chgrp $SERVICE_USER \$file.new
    chmod 640 \$file.new
    mv \$file.new \$file
elif ! sed -n '/^# BEGIN layout/,/^# END layout/p' \$file | cmp -s - \$file.layout; then
    was=\$(sed -n '/^# BEGIN layout/,/^# END layout/p' \$file | grep -E '^(endpoints|parity)' | paste -sd ' ')
    now=\$(grep -E '^(endpoints|parity)' \$file.layout | paste -sd ' ')
    rm \$file.layout
    refuse "in \$file: \$was" "\$now, which follows from the arguments and .env" \\
        "give the same addresses, port, drives and parity as the first time; a layout cannot be changed under its data"
fi
rm \$file.layout
END
    write_environment "$1"
}

write_environment() {
    remote "$1" <<END
cat >$CONFIG_DIR/server.env.new <<'ENVIRONMENT'
# Written by deploy-2server.sh; settings belong into objstore.toml.
OBJSTORE_CONFIG=$CONFIG_DIR/objstore.toml
OBJSTORE_SERVER=$(server "$1"):$PORT
OBJSTORE_ROOT_USER_FILE=$CONFIG_DIR/secrets/root_user
OBJSTORE_ROOT_PASSWORD_FILE=$CONFIG_DIR/secrets/root_password
OBJSTORE_CLUSTER_SECRET_FILE=$CONFIG_DIR/secrets/cluster_secret
ENVIRONMENT
chgrp $SERVICE_USER $CONFIG_DIR/server.env.new
chmod 640 $CONFIG_DIR/server.env.new
mv $CONFIG_DIR/server.env.new $CONFIG_DIR/server.env
END
}

install_service() {
    if [ "${SETTING[SYSTEMD]}" = yes ]; then
        install_unit "$1"
    else
        install_plain_service "$1"
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

install_plain_service() {
    remote "$1" <<END
install -d -m 750 -o root -g $SERVICE_USER ${SETTING[LOG_DIR]}
cat >$PREFIX/bin/objstore-service <<'SERVICE'
$(sed -e "s|@PREFIX@|$PREFIX|" -e "s|@CONFIG_DIR@|$CONFIG_DIR|" \
        -e "s|@LOG_DIR@|${SETTING[LOG_DIR]}|" -e "s|@SERVICE_USER@|$SERVICE_USER|" "$HERE/objstore-service")
SERVICE
chmod 755 $PREFIX/bin/objstore-service
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
    local number
    for number in 1 2; do
        if [ "$DRY_RUN" = no ] && service_is_running "$number" &&
            [ "$(current_version "$number")" != "versions/$VERSION_ID" ]; then
            refuse "$(server "$number") running another version" "$VERSION_ID, or no running server" \
                "upgrade one server at a time: deploy/rolling-upgrade.sh"
        fi
    done
    both switch_version
    both start_server
    wait_whole
}

summary() {
    [ "$DRY_RUN" = no ] || return 0
    say ""
    say "Ready: http://$(server 1):$PORT and http://$(server 2):$PORT (any server serves any request)"
    say "  version     $VERSION_ID"
    say "  access key  $(echo "cat $CONFIG_DIR/secrets/root_user" | remote 1)"
    say "  secret key  ssh $(target 1) ${BECOME_ROOT[1]}cat $CONFIG_DIR/secrets/root_password"
    say "  settings    $CONFIG_DIR/objstore.toml (after a change: deploy/rolling-upgrade.sh --restart)"
    say "  log         $(log_command)"
    say "  next        deploy/check.sh from cron; docs/operating/deploy.md for a load balancer"
    say ""
    say "What this layout survives (objstore layout explain $CONFIG_DIR/objstore.toml)"
    echo "COLUMNS=100 $PREFIX/current/bin/objstore layout explain $CONFIG_DIR/objstore.toml" |
        remote 1 | sed 's/^/  /'
}

main() {
    parse_arguments "$@"
    open_connections
    say "== looking at both servers"
    both check_server
    check_clocks
    say "== package"
    find_wheel "$WHEEL_GIVEN"
    say "== accounts, secrets, configuration"
    both make_account
    share_secrets
    both write_config
    say "== installing $VERSION_ID"
    both install_package
    both install_service
    say "== starting"
    start_or_upgrade
    summary
}

main "$@"
