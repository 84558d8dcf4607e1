#!/bin/bash
# Brings both servers to another version (or just restarts them), one at a time: the second one
# only when the first is back and every drive is whole again.
#
#   rolling-upgrade.sh [OPTION...]
#
#   --env FILE           settings from FILE instead of deploy/.env
#   --wheel FILE         the package; without it, it is built from this repository
#   --wheelhouse DIR     wheels of all dependencies, for servers that do not reach PyPI
#   --rollback           back to the version before; nothing is installed
#   --restart            only restart, for example after a change of objstore.toml
#   --timeout SECONDS    how long a server may take until all is whole again [600]
#   --dry-run            print every command, and run none
#
# What the layout does not serve without one server waits in the other one while that server
# restarts, for at most 20 s: clients see a delay. deploy-2server.sh and `objstore layout explain`
# say what that is.

set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=package.sh
. "$HERE/package.sh"

WHEEL_GIVEN=''
MODE=upgrade

parse_arguments() {
    declare -A option=()
    while [ $# -gt 0 ]; do
        case "$1" in
            --help | -h) usage; exit 0 ;;
            --dry-run) DRY_RUN=yes ;;
            --rollback | --restart)
                [ "$MODE" = upgrade ] || refuse "--rollback and --restart" "one of them" "leave out one"
                MODE=${1#--} ;;
            --env | --wheel | --wheelhouse | --timeout)
                [ $# -gt 1 ] || refuse "$1 without a value" "$1 VALUE" "see $SCRIPT --help"
                case "$1" in
                    --env) ENV_FILE=$2 ;;
                    --wheel) WHEEL_GIVEN=$2 ;;
                    --wheelhouse) option[WHEELHOUSE]=$2 ;;
                    --timeout) [[ $2 =~ ^[1-9][0-9]{0,5}$ ]] ||
                        refuse "--timeout $2" "a number of seconds" "correct it"
                        HEALTH_S=$2 ;;
                esac
                shift ;;
            *) refuse "$1" "an option of $SCRIPT" "see $SCRIPT --help" ;;
        esac
        shift
    done
    [ "$MODE" = upgrade ] || [ -z "$WHEEL_GIVEN${option[WHEELHOUSE]:-}" ] ||
        refuse "--$MODE with a package" "one of them" "leave out --wheel and --wheelhouse"
    default_env
    for name in "${!option[@]}"; do set_value "$name" "${option[$name]}" "the arguments"; done
    finish_settings
}

require_whole() {
    local machine said
    [ "$DRY_RUN" = no ] || { say "# see that both servers report a whole cluster"; return 0; }
    for machine in "${SERVERS[@]}"; do
        said=$(look_at_cluster "$machine" 2>&1) || refuse \
            "${ADDRESS[$machine]}: $(grep -v '^ok' <<<"$said" | paste -sd ';')" \
            "a whole cluster before a server is taken away from it" \
            "repair it first (deploy/check.sh says more); or wait until healing has ended"
    done
}

swap_versions() {
    remote "$1" <<END
[ -L $PREFIX/previous ] || refuse "no version before this one" "an upgrade that can be taken back" \\
    "install the version you want: rolling-upgrade.sh --wheel FILE"
current=\$(readlink $PREFIX/current)
ln -sfnT "\$(readlink $PREFIX/previous)" $PREFIX/current.new
mv -T $PREFIX/current.new $PREFIX/current
ln -sfnT "\$current" $PREFIX/previous
END
}

# A server that runs what it shall run already is left alone, so a run that was interrupted goes on.
has_version() {
    [ "$DRY_RUN" = no ] && [ "$MODE" = upgrade ] &&
        [ "$(echo "readlink $PREFIX/current || true" | remote "$1")" = "versions/$VERSION_ID" ]
}

upgrade_server() {
    local started=$SECONDS
    if has_version "$1"; then
        say "== ${ADDRESS[$1]} has $VERSION_ID"
        return 0
    fi
    say "== ${ADDRESS[$1]}"
    case "$MODE" in
        upgrade) switch_version "$1" ;;
        rollback) swap_versions "$1" ;;
    esac
    service "$1" restart
    wait_whole
    [ "$DRY_RUN" = yes ] || say "   whole again after $((SECONDS - started)) s"
}

main() {
    parse_arguments "$@"
    open_connections
    require_whole
    if [ "$MODE" = upgrade ]; then
        say "== package"
        find_wheel "$WHEEL_GIVEN"
        say "== installing $VERSION_ID beside the running version"
        both install_package
    fi
    upgrade_server server1
    upgrade_server server2
    say "Done. The way back: rolling-upgrade.sh --rollback"
}

main "$@"
