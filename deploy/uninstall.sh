#!/bin/bash
# Removes objstore from both servers, and its members of etcd from them and the witness. What clients
# stored is kept, and so are the secrets and settings that give access to it, unless an option says
# otherwise.
#
#   uninstall.sh [OPTION...]
#
#   --env FILE           settings from FILE instead of deploy/.env
#   --yes                do not ask before objstore is stopped and removed
#   --delete-settings    also delete settings, secrets and logs, and the account
#   --delete-data        also delete everything that is stored, after a question of its own that
#                        --yes does not answer: the answer is the two addresses
#   --dry-run            print every command, and run none

set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=tls.sh
. "$HERE/tls.sh"
# shellcheck source=etcd.sh
. "$HERE/etcd.sh"

ASK=yes
DELETE_SETTINGS=no
DELETE_DATA=no

parse_arguments() {
    while [ $# -gt 0 ]; do
        case "$1" in
            --help | -h) usage; exit 0 ;;
            --dry-run) DRY_RUN=yes ;;
            --yes) ASK=no ;;
            --delete-settings) DELETE_SETTINGS=yes ;;
            --delete-data) DELETE_DATA=yes ;;
            --env)
                [ $# -gt 1 ] || refuse "$1 without a value" "$1 FILE" "see $SCRIPT --help"
                ENV_FILE=$2
                shift ;;
            *) refuse "$1" "an option of $SCRIPT" "see $SCRIPT --help" ;;
        esac
        shift
    done
    default_env
    finish_settings
}

# expect ANSWER QUESTION: go on only with exactly this answer.
expect() {
    local answer=''
    [ "$DRY_RUN" = no ] || return 0
    printf '%s\nType "%s" to go on: ' "$2" "$1"
    read -r answer || true
    say ""
    [ "$answer" = "$1" ] || refuse "the answer \"$answer\"" "\"$1\"" "nothing was changed"
}

confirm() {
    if [ "$ASK" = yes ]; then
        expect yes "objstore is stopped and removed on $(addresses)."
    fi
    if [ "$DELETE_DATA" = yes ]; then
        expect "${ADDRESS[server1]} ${ADDRESS[server2]}" \
            "EVERYTHING STORED on ${DRIVE_PATHS[*]} of both servers is deleted, for good."
    fi
}

remove_service() {
    if [ "${SETTING[SYSTEMD]}" = yes ]; then
        remote "$1" <<'END'
if [ -e /etc/systemd/system/objstore.service ]; then
    systemctl --quiet disable --now objstore.service
    rm -rf /etc/systemd/system/objstore.service /etc/systemd/system/objstore.service.d
    systemctl daemon-reload
fi
END
    else
        remote "$1" <<END
[ ! -x $PREFIX/bin/objstore-service ] || $PREFIX/bin/objstore-service stop
END
    fi
}

# Only what this project puts there.
remove_package() {
    remote "$1" <<END
rm -rf $PREFIX/versions
rm -f $PREFIX/current $PREFIX/previous $PREFIX/bin/objstore-service
END
}

delete_settings() {
    remote "$1" <<END
rm -rf $CONFIG_DIR ${SETTING[LOG_DIR]}/objstore.log ${SETTING[LOG_DIR]}/objstore.pid
! id -u $SERVICE_USER >/dev/null 2>&1 || userdel $SERVICE_USER
END
}

# The directories themselves, when nothing else is in them.
remove_empty() {
    remote "$1" <<END
for directory in $PREFIX/bin $PREFIX ${SETTING[LOG_DIR]}; do
    [ ! -d \$directory ] || rmdir --ignore-fail-on-non-empty \$directory
done
END
}

# objstore's own names and no others (docs/format/drive.md); the drives stay mounted.
delete_data() {
    remote "$1" <<END
for drive in ${DRIVE_PATHS[*]}; do
    [ -e \$drive/drive.json ] || continue
    cd \$drive
    rm -rf shards trash journal.db journal.db-wal journal.db-shm journal.lock \\
        cluster.json cluster.json.new drive.json.new drive.json
    cd /
done
END
}

main() {
    parse_arguments "$@"
    confirm
    open_connections
    both remove_service
    everywhere remove_etcd
    both remove_package
    if [ "$DELETE_DATA" = yes ]; then
        both delete_data
        everywhere delete_etcd_data
    fi
    if [ "$DELETE_SETTINGS" = yes ]; then
        both delete_settings
        everywhere delete_etcd_settings
    fi
    everywhere remove_empty
    say "objstore is removed from $(addresses)."
    [ "$DELETE_DATA" = yes ] || say "Kept: what is stored, on ${DRIVE_PATHS[*]} of both servers."
    [ "$DELETE_SETTINGS" = yes ] || say "Kept: settings and secrets, in $CONFIG_DIR on both servers."
    ! has_tls || say "Kept: the CA, in $(ca_directory) on this machine."
}

main "$@"
