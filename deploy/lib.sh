# shellcheck shell=bash
# What the scripts of this directory share: the settings, ssh to both servers, steps, waiting.
# Sourced by them, after `set -euo pipefail`.
#
# A step is a piece of sh that runs as root on one server, is safe to run again, and is written
# to its standard input: nothing secret is ever on a command line. With --dry-run it is printed.

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
REPOSITORY=$(dirname "$HERE")
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
    [PORT]=9000 [DRIVES]='/mnt/drive{1...2}' [PARITY]=EC:1 [WORKERS]=0
    [PREFIX]=/opt/objstore [CONFIG_DIR]=/etc/objstore [LOG_DIR]=/var/log/objstore
    [SERVICE_USER]=objstore [PYTHON]=python3 [WHEELHOUSE]='' [SYSTEMD]=yes
)
# What a value may be: they become part of commands, so nothing in them may mean anything to sh.
declare -A GRAMMAR=(
    [SERVER1]='[A-Za-z0-9][A-Za-z0-9.-]*' [SERVER2]='[A-Za-z0-9][A-Za-z0-9.-]*'
    [SSH1]='[A-Za-z0-9_.@-]+' [SSH2]='[A-Za-z0-9_.@-]+' [SSH_OPTIONS]='[A-Za-z0-9 =/_.,:@-]*'
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
    SETTING[SSH1]=${SETTING[SSH1]:-root@${SETTING[SERVER1]}}
    SETTING[SSH2]=${SETTING[SSH2]:-root@${SETTING[SERVER2]}}
    PREFIX=${SETTING[PREFIX]}
    CONFIG_DIR=${SETTING[CONFIG_DIR]}
    SERVICE_USER=${SETTING[SERVICE_USER]}
    PORT=${SETTING[PORT]}
    # shellcheck disable=SC2034  # for the scripts
    read -r -a DRIVE_PATHS <<<"$(drive_paths "${SETTING[DRIVES]}")"
    read -r -a SSH_WORDS <<<"${SETTING[SSH_OPTIONS]}"
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

server() {
    say "${SETTING[SERVER$1]}"
}

target() {
    say "${SETTING[SSH$1]}"
}

# --- the operator's side of ssh ----------------------------------------------------------

# One connection per server carries all steps; a password is asked for once.
prepare_connections() {
    CONTROL=$(mktemp -d)
    trap close_connections EXIT
    SSH=(-o "ConnectTimeout=$CONNECT_S" -o ServerAliveInterval=15 -o ServerAliveCountMax=4
        -o ControlMaster=auto -o ControlPersist=60 -o "ControlPath=$CONTROL/%C" "${SSH_WORDS[@]}")
    declare -gA BECOME_ROOT=([1]='' [2]='') STAGE=([1]=/root/.objstore-deploy [2]=/root/.objstore-deploy)
}

open_connections() {
    local number
    prepare_connections
    [ "$DRY_RUN" = no ] || return 0
    for number in 1 2; do
        look_at_login "$number" ||
            refuse "no answer to: ssh ${SSH_WORDS[*]:+${SSH_WORDS[*]} }$(target "$number")" \
                "a login by key, without questions" \
                "try that; set SSH$number and SSH_OPTIONS to what works, and see that sshd runs there"
    done
}

close_connections() {
    local number
    for number in 1 2; do
        ssh "${SSH[@]}" -O exit "$(target "$number")" 2>/dev/null || true
    done
    rm -rf "$CONTROL"
}

# look_at_login N: who we are there, and where that user's files may be put; 1 when it fails.
look_at_login() {
    local said user_id home
    # shellcheck disable=SC2016  # for the server's shell
    said=$(ssh "${SSH[@]}" "$(target "$1")" 'echo "$(id -u) $HOME"' </dev/null) || return 1
    read -r user_id home <<<"$said"
    STAGE[$1]=$home/.objstore-deploy
    [ "$user_id" = 0 ] || BECOME_ROOT[$1]='sudo -n '
}

# remote N: run the script on standard input on server N as root. --dry-run prints it.
remote() {
    if [ "$DRY_RUN" = yes ]; then
        sed "s/^/$(server "$1")# /"
        return 0
    fi
    # Read to its end before it is run, so that no command of it can take the rest as its input.
    # shellcheck disable=SC2016  # for the server's shell
    local run='script=$(cat); eval "$script" </dev/null'
    # shellcheck disable=SC2029  # meant to be expanded here
    { remote_prelude; cat; } | ssh "${SSH[@]}" "$(target "$1")" "${BECOME_ROOT[$1]}sh -euc '$run'"
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

# ask N: like `remote`, for steps that only look; nothing is asked in a dry run.
ask() {
    if [ "$DRY_RUN" = yes ]; then
        sed "s/^/$(server "$1")# /" >&2
        return 0
    fi
    remote "$1"
}

# copy N FILE...: put files into the staging directory of server N.
copy() {
    local number=$1
    shift
    if [ "$DRY_RUN" = yes ]; then
        say "scp -r $* $(target "$number"):${STAGE[$number]}/"
        return 0
    fi
    # shellcheck disable=SC2029  # meant to be expanded here
    ssh "${SSH[@]}" "$(target "$number")" "mkdir -p -m 700 ${STAGE[$number]}" </dev/null
    scp -q -r "${SSH[@]}" "$@" "$(target "$number"):${STAGE[$number]}/"
}

# both STEP [ARGUMENT...]: do a step on both servers side by side; fail when either does.
both() {
    local step=$1 first second failed=0
    shift
    if [ "$DRY_RUN" = yes ]; then
        "$step" 1 "$@"
        "$step" 2 "$@"
        return 0
    fi
    "$step" 1 "$@" &
    first=$!
    "$step" 2 "$@" &
    second=$!
    wait "$first" || failed=$?
    wait "$second" || failed=$?
    [ "$failed" -eq 0 ] || exit "$failed"
}

# --- the package -------------------------------------------------------------------------

# find_wheel [WHEEL]: set WHEEL to the package to install, built from this repository unless given.
find_wheel() {
    WHEEL=${1:-}
    if [ -z "$WHEEL" ]; then
        build_wheel
    elif [ ! -f "$WHEEL" ]; then
        refuse "no file $WHEEL" "a wheel of objstore" "correct --wheel, or leave it out to build one"
    fi
    [[ $(basename "$WHEEL") =~ ^objstore-([0-9][A-Za-z0-9.+]*)-py3-none-any\.whl$ ]] ||
        refuse "$WHEEL" "objstore-VERSION-py3-none-any.whl" "give a wheel of objstore"
    local version=${BASH_REMATCH[1]}
    VERSION_ID=$version-unbuilt
    [ ! -f "$WHEEL" ] || VERSION_ID=$version-$(sha256sum "$WHEEL" | cut -c 1-8)
}

build_wheel() {
    local directory=$HERE/dist
    # The same sources give the same wheel, so that running a script again changes nothing.
    local build=(env SOURCE_DATE_EPOCH=315532800 python3 -m pip wheel --quiet --no-deps
        --wheel-dir "$directory" "$REPOSITORY")
    [ -z "${SETTING[WHEELHOUSE]}" ] || build+=(--no-index --find-links "${SETTING[WHEELHOUSE]}")
    if [ "$DRY_RUN" = yes ]; then
        say "${build[*]}"
        WHEEL=$directory/objstore-VERSION-py3-none-any.whl
        WHEEL=${WHEEL/VERSION/0}
        return 0
    fi
    rm -rf "$directory"
    "${build[@]}" || refuse "a wheel that cannot be built" "python3 with pip, and setuptools from PyPI" \
        "read pip's words above; or give a wheel that was built elsewhere with --wheel"
    WHEEL=$(echo "$directory"/objstore-*.whl)
}

# copy_package N: bring the wheel, and the wheelhouse if there is one.
copy_package() {
    local files=("$WHEEL")
    [ -z "${SETTING[WHEELHOUSE]}" ] || files+=("${SETTING[WHEELHOUSE]}")
    copy "$1" "${files[@]}"
}

# install_package N: make a virtual environment for this version, beside those that are there.
install_package() {
    local index=''
    [ -z "${SETTING[WHEELHOUSE]}" ] ||
        index="--no-index --find-links ${STAGE[$1]}/$(basename "${SETTING[WHEELHOUSE]}")"
    copy_package "$1"
    remote "$1" <<END
umask 022
version=$PREFIX/versions/$VERSION_ID
if [ ! -f \$version/installed ]; then
    rm -rf \$version
    mkdir -p $PREFIX/versions
    ${SETTING[PYTHON]} -m venv \$version
    \$version/bin/pip install --quiet --disable-pip-version-check --root-user-action=ignore $index ${STAGE[$1]}/$(basename "$WHEEL")
    \$version/bin/objstore --help >/dev/null
    touch \$version/installed
fi
rm -rf ${STAGE[$1]}
END
}

# switch_version N: make this version the current one; the one before stays for a way back.
switch_version() {
    remote "$1" <<END
current=\$(readlink $PREFIX/current || true)
if [ "\$current" != versions/$VERSION_ID ]; then
    [ -z "\$current" ] || ln -sfnT "\$current" $PREFIX/previous
    ln -sfnT versions/$VERSION_ID $PREFIX/current.new
    mv -T $PREFIX/current.new $PREFIX/current
fi
for version in $PREFIX/versions/*; do
    case "\$(readlink $PREFIX/current) \$(readlink $PREFIX/previous || true)" in
        *"versions/\$(basename "\$version")"*) ;;
        *) rm -rf "\$version" ;;
    esac
done
END
}

# --- the service -------------------------------------------------------------------------

# service N start|stop|restart
service() {
    if [ "${SETTING[SYSTEMD]}" = yes ]; then
        echo "systemctl $2 objstore.service" | remote "$1"
    else
        echo "$PREFIX/bin/objstore-service $2" | remote "$1"
    fi
}

# service_is_running N
service_is_running() {
    if [ "${SETTING[SYSTEMD]}" = yes ]; then
        echo "systemctl --quiet is-active objstore.service" | ask "$1"
    else
        echo "[ -x $PREFIX/bin/objstore-service ] && $PREFIX/bin/objstore-service status >/dev/null" |
            ask "$1"
    fi
}

# look_at_cluster N: what server N says of servers, drives and sets, a line each:
# "ok|warn|fail SUBJECT: WORDS". Exit code 0 when everything is whole.
look_at_cluster() {
    ask "$1" <<END
$PREFIX/current/bin/python - $CONFIG_DIR/server.env $PREFIX/current/bin/objstore $(server "$1"):$PORT <<'PYTHON'
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
    local number said waited deadline=$((SECONDS + HEALTH_S)) told=$SECONDS
    for number in 1 2; do
        until said=$(look_at_cluster "$number" 2>&1); do
            waited="$(server "$number"): $(grep -v '^ok' <<<"$said" | paste -sd ';')"
            [ "$SECONDS" -lt "$deadline" ] || refuse "$waited after $HEALTH_S s" \
                "every server and every drive online, with nothing to catch up" \
                "read its log ($(log_command)); docs/operating/deploy.md, \"When it does not start\""
            if [ $((SECONDS - told)) -ge 10 ]; then
                say "   waiting: $waited"
                told=$SECONDS
            fi
            sleep 0.5
        done
    done
}

log_command() {
    if [ "${SETTING[SYSTEMD]}" = yes ]; then
        say "journalctl -u objstore"
    else
        say "${SETTING[LOG_DIR]}/objstore.log"
    fi
}
