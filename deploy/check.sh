#!/bin/bash
# The monthly check of a two-server cluster: servers, drives, healing, the witness, clocks, disk
# use, settings, certificates. A line a fact: "ok|warn|fail SUBJECT: WORDS".
#
#   check.sh [--env FILE] [--quiet]
#
#   --env FILE   settings from FILE instead of deploy/.env
#   --quiet      print nothing that is ok; for cron, which sends what is printed
#
# Exit code: 0 all is well; 1 something needs attention; 2 something is wrong, or could not be
# looked at.
#
#   17 6 1 * *   root   /path/to/deploy/check.sh --quiet

set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=tls.sh
. "$HERE/tls.sh"
# shellcheck source=etcd.sh
. "$HERE/etcd.sh"

CLOCK_WARN_MS=1000
CLOCK_FAIL_MS=60000   # servers refuse each other beyond 300 s
INODES_WARN=80        # per cent
ETCD_ROOM_WARN=80     # per cent of the disk that etcd's data are on
CERTIFICATE_FAIL_DAYS=7
RESTARTS_WARN=3
QUIET=no
WORST=0

parse_arguments() {
    while [ $# -gt 0 ]; do
        case "$1" in
            --help | -h) usage; exit 0 ;;
            --quiet) QUIET=yes ;;
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

# report LEVEL SUBJECT WORDS
report() {
    case "$1" in
        ok) [ "$QUIET" = no ] || return 0 ;;
        warn) [ "$WORST" -ge 1 ] || WORST=1 ;;
        *) WORST=2 ;;
    esac
    printf '%-4s %s: %s\n' "$1" "$2" "$3"
}

# report_lines SERVER: facts that a server told, "LEVEL SUBJECT: WORDS" a line.
report_lines() {
    local line level subject
    while IFS= read -r line; do
        level=${line%% *}
        subject=${line#* }
        case "$level" in
            ok | warn | fail) report "$level" "$1, ${subject%%: *}" "${subject#*: }" ;;
            '') ;;
            *) report fail "$1" "$line" ;;
        esac
    done
}

check_service() {
    remote "$1" <<END
if [ ${SETTING[SYSTEMD]} = yes ]; then
    state=\$(systemctl is-active objstore.service || true)
    restarts=\$(systemctl show -p NRestarts --value objstore.service)
else
    state=\$($PREFIX/bin/objstore-service status || true)
    restarts=0
fi
case \$state in
    active | running*) echo "ok service: \$state, \$(readlink $PREFIX/current)" ;;
    *) echo "fail service: \$state; see its log: $(log_command objstore)" ;;
esac
[ "\$restarts" -lt $RESTARTS_WARN ] || echo "warn service: restarted \$restarts times; see its log"
END
}

check_inodes() {
    remote "$1" <<END
for drive in ${DRIVE_PATHS[*]}; do
    [ -e \$drive/drive.json ] || { echo "fail \$drive: no drive of objstore there; is it mounted?"; continue; }
    used=\$(df --output=ipcent \$drive | tail -n 1 | tr -dc 0-9)
    [ "\${used:-0}" -lt $INODES_WARN ] || echo "warn \$drive: \$used % of its inodes used"
done
END
}

# Certificates that the settings name: the public port's, the one between servers, etcd's member's.
check_certificates() {
    remote "$1" <<END
{
    sed -n 's/^ *\\(internal_\\)\\{0,1\\}tls_\\(certificate\\|ca\\) *= *"\\(..*\\)".*/\\3/p' $CONFIG_DIR/objstore.toml || true
    sed -n 's/^ETCD_CERT_FILE=//p' $ETCD_DIR/etcd.env || true
} 2>/dev/null | sort -u |
while IFS= read -r file; do
    case \$file in /*) ;; *) file=$CONFIG_DIR/\$file ;; esac
    command -v openssl >/dev/null || { echo "warn certificate \$file: openssl is not installed, so not looked at"; continue; }
    end=\$(openssl x509 -noout -enddate -in "\$file" 2>/dev/null) || { echo "fail certificate \$file: cannot be read"; continue; }
    end=\${end#notAfter=}
    days=\$(( (\$(date -d "\$end" +%s) - \$(date +%s)) / 86400 ))
    level=ok
    [ \$days -ge $RENEW_DAYS ] || level=warn
    [ \$days -ge $CERTIFICATE_FAIL_DAYS ] || level=fail
    echo "\$level certificate \$file: \$days days left, until \$end"
done
END
}

# One member may be down: the others are a majority. But no other may be lost then.
check_member() {
    remote "$1" <<END
if ! { $(own_member_runs); }; then
    echo "warn etcd's member: not running; see its log: $(log_command $ETCD)"
    exit 0
fi
echo "ok etcd's member: running"
used=\$(df --output=pcent $ETCD_DATA | tail -n 1 | tr -dc 0-9)
[ "\${used:-0}" -lt $ETCD_ROOM_WARN ] || echo "warn etcd's member: \$used % of the disk of $ETCD_DATA used"
END
}

# NTP keeps clocks together; without it they drift apart until servers refuse each other.
check_clock_source() {
    remote "$1" <<'END'
command -v timedatectl >/dev/null || exit 0
case $(timedatectl show -p NTPSynchronized --value 2>/dev/null || true) in
    yes) echo "ok clock: kept by NTP" ;;
    no) echo "warn clock: not kept by NTP; install chrony or enable systemd-timesyncd" ;;
esac
END
}

# clock_offset SERVER: its clock minus this machine's, in ms, taken in the middle of the call.
clock_offset() {
    local before there after
    before=$(date +%s%3N)
    there=$(echo 'date +%s%3N' | remote "$1")
    after=$(date +%s%3N)
    say $((there - (before + after) / 2))
}

check_clocks() {
    local first second apart level=ok
    if ! { first=$(clock_offset server1) && second=$(clock_offset server2); }; then
        report fail clocks "cannot be compared"
        return 0
    fi
    apart=$((first > second ? first - second : second - first))
    [ "$apart" -lt "$CLOCK_WARN_MS" ] || level=warn
    [ "$apart" -lt "$CLOCK_FAIL_MS" ] || level=fail
    report "$level" clocks "$apart ms apart"
}

settings_digest() {
    echo "sha256sum <$CONFIG_DIR/objstore.toml" | remote "$1"
}

# Every server answers from its own file, so they have to be the same.
check_settings() {
    local first second
    if ! { first=$(settings_digest server1) && second=$(settings_digest server2); }; then
        report fail settings "cannot be compared"
    elif [ "$first" = "$second" ]; then
        report ok settings "the same on both servers"
    else
        report fail settings "$CONFIG_DIR/objstore.toml differs between the servers; make them the same, then rolling-upgrade.sh --restart"
    fi
}

# check_machine MACHINE: whatever fails to be looked at is a finding, and the rest is looked at.
check_machine() {
    if ! look_at_login "$1"; then
        report fail "${ADDRESS[$1]}" "no answer to ssh ${LOGIN[$1]}"
        return 0
    fi
    {
        if [ "$1" != witness ]; then
            check_service "$1" || true
            look_at_cluster "$1" || true
            look_at_etcd "$1" || true
            check_inodes "$1" || true
        fi
        ! has_witness || check_member "$1" || true
        check_certificates "$1" || true
        check_clock_source "$1" || true
    } >"$CONTROL/facts" 2>&1
    report_lines "${ADDRESS[$1]}" <"$CONTROL/facts"
}

main() {
    local machine
    parse_arguments "$@"
    prepare_connections
    for machine in "${MACHINES[@]}"; do check_machine "$machine"; done
    check_clocks
    check_settings
    exit "$WORST"
}

main "$@"
