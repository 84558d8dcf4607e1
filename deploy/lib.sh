# shellcheck shell=bash
# What the scripts of this directory share: the settings, ssh to the machines, steps, waiting.
# Sourced by them, after `set -euo pipefail`.
#
# Machines are called server1, server2 and, where there is one, witness.
# A step is a piece of sh that runs as root on one of them, is safe to run again, and is written
# to its standard input: nothing secret is ever on a command line. With --dry-run it is printed.

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SCRIPT=$(basename "$0")
DRY_RUN=no
HEALTH_S=600      # how long a cluster may take to be whole again
CONNECT_S=10

# --- saying ------------------------------------------------------------------------------

say() {
    printf '%s\n' "$*"
}

# refuse FOUND EXPECTED WHAT-TO-DO
refuse() {
    printf '%s: refused\n  found:      %s\n  expected:   %s\n  what to do: %s\n' "$SCRIPT" "$@" >&2
    exit 2
}

# The comment that a script begins with is its help.
usage() {
    sed -n '2,/^[^#]/ { s/^# \{0,1\}//p }' "$0"
}

# --- settings ----------------------------------------------------------------------------

declare -A SETTING=(
    [SERVER1]='' [SERVER2]='' [SSH1]='' [SSH2]='' [SSH_OPTIONS]=''
    [WITNESS]='' [SSH_WITNESS]='' [TLS]=no [TLS_NAMES]='' [CA_DIR]=''
    [PORT]=9000 [DRIVES]='/mnt/drive{1...2}' [PARITY]=EC:1 [WORKERS]=0
    [PREFIX]=/opt/objstore [CONFIG_DIR]=/etc/objstore [LOG_DIR]=/var/log/objstore
    [SERVICE_USER]=objstore [PYTHON]=python3 [WHEELHOUSE]='' [SYSTEMD]=yes
)
# What a value may be: they become part of commands, so nothing in them may mean anything to sh.
declare -A GRAMMAR=(
    [SERVER1]='[A-Za-z0-9][A-Za-z0-9.-]*' [SERVER2]='[A-Za-z0-9][A-Za-z0-9.-]*'
    [SSH1]='[A-Za-z0-9_.@-]+' [SSH2]='[A-Za-z0-9_.@-]+' [SSH_OPTIONS]='[A-Za-z0-9 =/_.,:@-]*'
    [WITNESS]='([A-Za-z0-9][A-Za-z0-9.-]*)?' [SSH_WITNESS]='[A-Za-z0-9_.@-]*'
    [TLS]='yes|no' [TLS_NAMES]='([A-Za-z0-9.*-]+(,[A-Za-z0-9.*-]+)*)?' [CA_DIR]='[A-Za-z0-9/._+ -]*'
    [PORT]='[1-9][0-9]{0,4}' [DRIVES]='/[A-Za-z0-9/_-]+(\{[0-9]+\.\.\.[0-9]+\})?'
    [PARITY]='EC:[0-9]{1,2}' [WORKERS]='[0-9]{1,3}'
    [PREFIX]='/[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)+' [CONFIG_DIR]='/[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)+'
    [LOG_DIR]='/[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)+'
    [SERVICE_USER]='[a-z_][a-z0-9_-]{0,30}' [PYTHON]='[A-Za-z0-9/._-]+'
    [WHEELHOUSE]='[A-Za-z0-9/._+ -]*' [SYSTEMD]='yes|no'
)

# set_value NAME VALUE WHERE
set_value() {
    [[ -v SETTING[$1] ]] ||
        refuse "$1 in $3" "one of: $(printf '%s\n' "${!SETTING[@]}" | sort | paste -sd ' ')" \
            "correct the name; deploy/.env.example has them all"
    [[ $2 =~ ^(${GRAMMAR[$1]})$ ]] ||
        refuse "$1=$2 in $3" "a value of the form ${GRAMMAR[$1]}" "correct the value"
    SETTING[$1]=$2
}

# load_env FILE: lines of NAME=VALUE; nothing in them is run.
load_env() {
    local line number=0
    [ -r "$1" ] || refuse "no file $1 that can be read" "a file of settings" \
        "copy deploy/.env.example to deploy/.env and fill it in, or give the addresses as arguments"
    while IFS= read -r line || [ -n "$line" ]; do
        number=$((number + 1))
        [[ $line =~ ^[[:space:]]*(#.*)?$ ]] && continue
        [[ $line =~ ^([A-Z][A-Z0-9_]*)=(\"(.*)\"|\'(.*)\'|(.*))$ ]] ||
            refuse "$line" "NAME=VALUE" "correct line $number of $1"
        set_value "${BASH_REMATCH[1]}" \
            "${BASH_REMATCH[3]}${BASH_REMATCH[4]}${BASH_REMATCH[5]}" "$1, line $number"
    done <"$1"
}

# Where the settings come from, for every script: --env FILE, else .env beside the scripts.
default_env() {
    if [ -n "${ENV_FILE:-}" ]; then
        load_env "$ENV_FILE"
    elif [ -f "$HERE/.env" ]; then
        load_env "$HERE/.env"
    fi
}

finish_settings() {
    local name
    for name in SERVER1 SERVER2; do
        [ -n "${SETTING[$name]}" ] || refuse "no $name" "the addresses of two servers" \
            "give them as arguments, or as SERVER1 and SERVER2 in deploy/.env"
    done
    [ "${SETTING[SERVER1]}" != "${SETTING[SERVER2]}" ] ||
        refuse "${SETTING[SERVER1]} twice" "two different servers" "correct one of them"
    name_machines
    PREFIX=${SETTING[PREFIX]}
    CONFIG_DIR=${SETTING[CONFIG_DIR]}
    # shellcheck disable=SC2034  # for the scripts
    ETCD_DIR=$CONFIG_DIR-etcd SCHEME=http
    # shellcheck disable=SC2034  # for the scripts
    ! has_tls || SCHEME=https
    SERVICE_USER=${SETTING[SERVICE_USER]}
    PORT=${SETTING[PORT]}
    # shellcheck disable=SC2034  # for the scripts
    read -r -a DRIVE_PATHS <<<"$(drive_paths "${SETTING[DRIVES]}")"
    read -r -a SSH_WORDS <<<"${SETTING[SSH_OPTIONS]}"
}

has_tls() {
    [ "${SETTING[TLS]}" = yes ]
}

has_witness() {
    [ -n "${SETTING[WITNESS]}" ]
}

name_machines() {
    local witness=${SETTING[WITNESS]}
    declare -gA ADDRESS=([server1]=${SETTING[SERVER1]} [server2]=${SETTING[SERVER2]}) LOGIN
    LOGIN=([server1]=${SETTING[SSH1]:-root@${SETTING[SERVER1]}}
        [server2]=${SETTING[SSH2]:-root@${SETTING[SERVER2]}})
    SERVERS=(server1 server2)
    MACHINES=("${SERVERS[@]}")
    if [ -z "$witness" ]; then
        [ -z "${SETTING[SSH_WITNESS]}" ] || refuse "SSH_WITNESS without WITNESS" \
            "both, or neither" "set WITNESS to the address by which the servers reach it"
        return 0
    fi
    [[ $witness != "${SETTING[SERVER1]}" && $witness != "${SETTING[SERVER2]}" ]] ||
        refuse "WITNESS=$witness, which is one of the servers" "a third machine" \
            "name another one: a witness that is lost along with a server is no third vote"
    ADDRESS[witness]=$witness
    LOGIN[witness]=${SETTING[SSH_WITNESS]:-root@$witness}
    MACHINES+=(witness)
}

# addresses: of all machines, in order.
addresses() {
    local machine
    for machine in "${MACHINES[@]}"; do say "${ADDRESS[$machine]}"; done | paste -sd ' '
}

# drive_paths /mnt/drive{1...3}  ->  /mnt/drive1 /mnt/drive2 /mnt/drive3
drive_paths() {
    if [[ $1 =~ ^(.*)\{([0-9]+)\.\.\.([0-9]+)\}$ ]]; then
        # seq -w keeps the zeros of {01...16}.
        local width=${#BASH_REMATCH[2]}
        seq -f "${BASH_REMATCH[1]}%0${width}.0f" "${BASH_REMATCH[2]}" "${BASH_REMATCH[3]}" | paste -sd ' '
    else
        say "$1"
    fi
}

# --- the operator's side of ssh ----------------------------------------------------------

# One connection per machine carries all steps; a password is asked for once.
prepare_connections() {
    local machine
    CONTROL=$(mktemp -d)
    trap close_connections EXIT
    SSH=(-o "ConnectTimeout=$CONNECT_S" -o ServerAliveInterval=15 -o ServerAliveCountMax=4
        -o ControlMaster=auto -o ControlPersist=60 -o "ControlPath=$CONTROL/%C" "${SSH_WORDS[@]}")
    declare -gA BECOME_ROOT STAGE
    for machine in "${MACHINES[@]}"; do
        BECOME_ROOT[$machine]=''
        STAGE[$machine]=/root/.objstore-deploy
    done
}

open_connections() {
    local machine
    declare -A setting=([server1]=SSH1 [server2]=SSH2 [witness]=SSH_WITNESS)
    prepare_connections
    [ "$DRY_RUN" = no ] || return 0
    for machine in "${MACHINES[@]}"; do
        look_at_login "$machine" ||
            refuse "no answer to: ssh ${SSH_WORDS[*]:+${SSH_WORDS[*]} }${LOGIN[$machine]}" \
                "a login by key, without questions" \
                "try that; set ${setting[$machine]} and SSH_OPTIONS to what works, and see that sshd runs there"
    done
}

close_connections() {
    local machine
    for machine in "${MACHINES[@]}"; do
        ssh "${SSH[@]}" -O exit "${LOGIN[$machine]}" 2>/dev/null || true
    done
    rm -rf "$CONTROL"
}

# look_at_login MACHINE: who we are there, and where that user's files may be put; 1 when it fails.
look_at_login() {
    local said user_id home
    # shellcheck disable=SC2016  # for the server's shell
    said=$(ssh "${SSH[@]}" "${LOGIN[$1]}" 'echo "$(id -u) $HOME"' </dev/null) || return 1
    read -r user_id home <<<"$said"
    STAGE[$1]=$home/.objstore-deploy
    [ "$user_id" = 0 ] || BECOME_ROOT[$1]='sudo -n '
}

# remote MACHINE: run the script on standard input there, as root. --dry-run prints it.
remote() {
    if [ "$DRY_RUN" = yes ]; then
        sed "s/^/${ADDRESS[$1]}# /"
        return 0
    fi
    # Read to its end before it is run, so that no command of it can take the rest as its input.
    # shellcheck disable=SC2016  # for the server's shell
    local run='script=$(cat); eval "$script" </dev/null'
    # shellcheck disable=SC2029  # meant to be expanded here
    { remote_prelude; cat; } | ssh "${SSH[@]}" "${LOGIN[$1]}" "${BECOME_ROOT[$1]}sh -euc '$run'"
}

# What every remote script may use.
remote_prelude() {
    cat <<'END'
refuse() {
    printf '%s: refused\n  found:      %s\n  expected:   %s\n  what to do: %s\n' "$(hostname)" "$@" >&2
    exit 2
}
END
}

# ask MACHINE: like `remote`, for steps that only look; nothing is asked in a dry run.
ask() {
    if [ "$DRY_RUN" = yes ]; then
        sed "s/^/${ADDRESS[$1]}# /" >&2
        return 0
    fi
    remote "$1"
}

# copy MACHINE FILE...: put files into its staging directory.
copy() {
    local machine=$1
    shift
    if [ "$DRY_RUN" = yes ]; then
        say "scp -r $* ${LOGIN[$machine]}:${STAGE[$machine]}/"
        return 0
    fi
    # shellcheck disable=SC2029  # meant to be expanded here
    ssh "${SSH[@]}" "${LOGIN[$machine]}" "mkdir -p -m 700 ${STAGE[$machine]}" </dev/null
    scp -q -r "${SSH[@]}" "$@" "${LOGIN[$machine]}:${STAGE[$machine]}/"
}

# on_each STEP MACHINE...: do a step on machines side by side; fail when it does on any.
on_each() {
    local step=$1 machine process failed=0 running=()
    shift
    for machine; do
        if [ "$DRY_RUN" = yes ]; then
            "$step" "$machine"
        else
            "$step" "$machine" &
            running+=($!)
        fi
    done
    for process in "${running[@]}"; do
        wait "$process" || failed=$?
    done
    [ "$failed" -eq 0 ] || exit "$failed"
}

both() {
    on_each "$1" "${SERVERS[@]}"
}

everywhere() {
    on_each "$1" "${MACHINES[@]}"
}

# --- the service -------------------------------------------------------------------------

# service MACHINE start|stop|restart [NAME]
service() {
    local name=${3:-objstore}
    if [ "${SETTING[SYSTEMD]}" = yes ]; then
        echo "systemctl $2 $name.service" | remote "$1"
    else
        echo "$PREFIX/bin/$name-service $2" | remote "$1"
    fi
}

# service_is_running MACHINE [NAME]
service_is_running() {
    local name=${2:-objstore}
    if [ "${SETTING[SYSTEMD]}" = yes ]; then
        echo "systemctl --quiet is-active $name.service" | ask "$1"
    else
        echo "[ -x $PREFIX/bin/$name-service ] && $PREFIX/bin/$name-service status >/dev/null" |
            ask "$1"
    fi
}

# look_at_cluster SERVER: what it says of servers, drives and sets, a line each:
# "ok|warn|fail SUBJECT: WORDS". Exit code 0 when everything is whole.
look_at_cluster() {
    ask "$1" <<END
$PREFIX/current/bin/python - $CONFIG_DIR/server.env $PREFIX/current/bin/objstore ${ADDRESS[$1]}:$PORT <<'PYTHON'
$(cat "$HERE/cluster_state.py")
PYTHON
END
}

# wait_whole: wait until both servers say that every server and every drive is there and whole.
wait_whole() {
    if [ "$DRY_RUN" = yes ]; then
        say "# wait until both servers answer /.objstore/health with 200 and \`objstore admin info\`"
        say "# shows every drive online with nothing to catch up, at most $HEALTH_S s"
        return 0
    fi
    local machine said waited deadline=$((SECONDS + HEALTH_S)) told=$SECONDS
    for machine in "${SERVERS[@]}"; do
        until said=$(look_at_cluster "$machine" 2>&1); do
            waited="${ADDRESS[$machine]}: $(grep -v '^ok' <<<"$said" | paste -sd ';')"
            [ "$SECONDS" -lt "$deadline" ] || refuse "$waited after $HEALTH_S s" \
                "every server and every drive online, with nothing to catch up" \
                "read its log ($(log_command objstore)); docs/operating/deploy.md, \"When it does not start\""
            if [ $((SECONDS - told)) -ge 10 ]; then
                say "   waiting: $waited"
                told=$SECONDS
            fi
            sleep 0.5
        done
    done
}

# log_command NAME
log_command() {
    if [ "${SETTING[SYSTEMD]}" = yes ]; then
        say "journalctl -u $1"
    else
        say "${SETTING[LOG_DIR]}/$1.log"
    fi
}
