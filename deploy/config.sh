# shellcheck shell=bash
# objstore.toml on the servers. Three sections of it are the scripts', each between "# BEGIN NAME"
# and "# END NAME"; whatever else is in it is the operator's, and stays. Sourced after etcd.sh.
#
# The layout is fixed once there is data. Witness and TLS may be turned on later, with both servers
# stopped: one that has them and one that has not would refuse each other.

declare -A FOUND_CONFIG WANTED_CONFIG    # by server: the text that is there, and that is to be

# --- what it is to be --------------------------------------------------------------------

layout_lines() {
    cat <<END
[[pools]]
endpoints = ["$SCHEME://${ADDRESS[server1]}:$PORT${SETTING[DRIVES]}", "$SCHEME://${ADDRESS[server2]}:$PORT${SETTING[DRIVES]}"]
parity = "${SETTING[PARITY]}"
END
}

witness_lines() {
    ! has_witness || say "witness = [$(member_urls | sed 's/.*/"&"/' | paste -sd , | sed 's/,/, /g')]"
}

tls_lines() {
    has_tls || return 0
    cat <<END
tls_certificate = "$CONFIG_DIR/tls/server.crt"
tls_key = "$CONFIG_DIR/tls/server.key"
internal_tls_certificate = "$CONFIG_DIR/tls/server.crt"
internal_tls_key = "$CONFIG_DIR/tls/server.key"
internal_tls_ca = "$CONFIG_DIR/tls/ca.crt"
END
}

# What a section's first line says after its name.
section_note() {
    case "$1" in
        layout) say "Fixed once there is data: see docs/operating/layouts.md" ;;
        witness) say "Turned on with both servers stopped: see docs/operating/witness.md" ;;
        tls) say "Turned on with both servers stopped: see docs/operating/tls.md" ;;
    esac
}

# config_with_sections <TEXT: the same, or a new one, with the three sections as they are to be.
config_with_sections() {
    local text name
    text=$(cat)
    if [ -z "$text" ]; then
        text="# Settings: docs/operating/layouts.md. Keep this file the same on both servers.
address = \":$PORT\"
workers = ${SETTING[WORKERS]}
"
    fi
    for name in tls witness layout; do
        # One that says the same in other words of comment is left alone.
        [ "$(section_of "$name" <<<"$text")" = "$("${name}_lines")" ] ||
            text=$(put_section "$name" <<<"$text")
    done
    say "$text"
}

# section_of NAME <TEXT: the lines of a section, without its comments.
section_of() {
    sed -n "/^# BEGIN $1[, ]/,/^# END $1\$/p" | grep -v '^#' || true
}

# put_section NAME <TEXT: with that section in the place of its old one. A new one of settings goes
# before the first setting, where no table has begun yet; the layout is tables, and goes to the end.
put_section() {
    local text lines
    text=$(cat)
    lines="# BEGIN $1, written by deploy-2server.sh. $(section_note "$1")
$("${1}_lines")
# END $1"
    if grep -q "^# BEGIN $1[, ]" <<<"$text"; then
        LINES_PUT=$lines awk -v name="$1" '
            $0 ~ "^# BEGIN " name "[, ]" { print ENVIRON["LINES_PUT"]; inside = 1 }
            !inside { print }
            $0 == "# END " name { inside = 0 }' <<<"$text"
    elif [ "$1" = layout ]; then
        printf '%s\n\n%s\n' "$text" "$lines"
    else
        LINES_PUT=$lines awk '
            !done && (!/^#/ || /^# BEGIN /) { print ENVIRON["LINES_PUT"]; done = 1 }
            { print }' <<<"$text"
    fi
}

# --- what is there -----------------------------------------------------------------------

# plan_config: read both files, and refuse what cannot be made of them. Changes nothing.
plan_config() {
    local machine
    for machine in "${SERVERS[@]}"; do
        FOUND_CONFIG[$machine]=''
        [ "$DRY_RUN" = yes ] ||
            FOUND_CONFIG[$machine]=$(echo "cat $CONFIG_DIR/objstore.toml 2>/dev/null || true" | remote "$machine")
        if [ -n "${FOUND_CONFIG[$machine]}" ]; then
            check_layout "$machine"
            check_section "$machine" witness WITNESS 'witness'
            check_section "$machine" tls TLS '(internal_)?tls_[a-z]+'
        fi
        WANTED_CONFIG[$machine]=$(config_with_sections <<<"${FOUND_CONFIG[$machine]}")
    done
    for machine in "${SERVERS[@]}"; do check_stopped "$machine"; done
}

# The same servers by https instead of http are the same layout (its fingerprint has no scheme).
check_layout() {
    local was now
    ! section_of layout <<<"${FOUND_CONFIG[$1]}" | grep -q '"https://' || has_tls ||
        refuse "TLS=no, and endpoints with https:// in $CONFIG_DIR/objstore.toml of ${ADDRESS[$1]}" \
            "TLS=yes, as it was turned on there" \
            "set TLS=yes; how to turn it off by hand: docs/operating/tls.md, \"Changing what deploy-2server.sh set up\""
    was=$(section_of layout <<<"${FOUND_CONFIG[$1]}" | sed 's|"http://|"https://|g')
    now=$(layout_lines | sed 's|"http://|"https://|g')
    [ "$was" = "$now" ] || refuse \
        "in $CONFIG_DIR/objstore.toml of ${ADDRESS[$1]}: $(grep -E '^(endpoints|parity)' <<<"$was" | paste -sd ' ')" \
        "$(grep -E '^(endpoints|parity)' <<<"$now" | paste -sd ' '), which follows from the arguments and .env" \
        "give the same addresses, port, drives and parity as the first time; a layout cannot be changed under its data"
}

# check_section SERVER NAME SETTING PATTERN: it may be turned on; off, or made another, by hand only.
check_section() {
    local text=${FOUND_CONFIG[$1]} held by_hand where="$CONFIG_DIR/objstore.toml of ${ADDRESS[$1]}"
    held=$(section_of "$2" <<<"$text")
    if [ -n "$held" ] && [ "$held" != "$("${2}_lines")" ]; then
        refuse "WITNESS=${SETTING[WITNESS]} and TLS=${SETTING[TLS]}; in $where: $(paste -sd ' ' <<<"$held")" \
            "settings that agree with what was turned on there" \
            "set WITNESS and TLS to it; how to change it by hand: docs/operating/$2.md, \"Changing what deploy-2server.sh set up\""
    fi
    by_hand=$(sed "/^# BEGIN $2[, ]/,/^# END $2\$/d" <<<"$text" | grep -E "^ *$4 *=" | paste -sd ' ' || true)
    [ -z "$by_hand" ] || [ -z "$("${2}_lines")" ] || refuse "in $where: $by_hand" \
        "no such line of your own beside $3=${SETTING[$3]}" \
        "stop both servers, remove it there on both, and run this again; or leave out $3"
}

# check_stopped SERVER: what is turned on later takes both servers stopped.
check_stopped() {
    local which=''
    [ "$DRY_RUN" = no ] && [ -n "${FOUND_CONFIG[$1]}" ] || return 0
    [ "${FOUND_CONFIG[$1]}" != "${WANTED_CONFIG[$1]}" ] || return 0
    ! service_is_running "$1" || {
        [ -n "$(section_of witness <<<"${FOUND_CONFIG[$1]}")" ] || ! has_witness || which='a witness'
        [ -n "$(section_of tls <<<"${FOUND_CONFIG[$1]}")" ] || ! has_tls || which+="${which:+ and }TLS"
        refuse "${ADDRESS[$1]} running without ${which:=what is in .env}" \
            "both servers stopped: turning $which on in an existing cluster needs that" \
            "when deploy/check.sh finds nothing wrong: $(stop_command) on both servers, then run this again; it starts them"
    }
}

stop_command() {
    if [ "${SETTING[SYSTEMD]}" = yes ]; then
        say "systemctl stop objstore"
    else
        say "$PREFIX/bin/objstore-service stop"
    fi
}

# write_config SERVER: only where it is to be another; the one before stays beside it.
write_config() {
    [ "${FOUND_CONFIG[$1]}" = "${WANTED_CONFIG[$1]}" ] || remote "$1" <<END
cd $CONFIG_DIR
cat >objstore.toml.new <<'END_OF_OBJSTORE_TOML'
${WANTED_CONFIG[$1]}
END_OF_OBJSTORE_TOML
chgrp $SERVICE_USER objstore.toml.new
chmod 640 objstore.toml.new
[ ! -e objstore.toml ] || cp -p objstore.toml objstore.toml.before
mv objstore.toml.new objstore.toml
END
    write_environment "$1"
}

write_environment() {
    remote "$1" <<END
cat >$CONFIG_DIR/server.env.new <<'ENVIRONMENT'
# Written by deploy-2server.sh; settings belong into objstore.toml.
OBJSTORE_CONFIG=$CONFIG_DIR/objstore.toml
OBJSTORE_SERVER=${ADDRESS[$1]}:$PORT
OBJSTORE_ROOT_USER_FILE=$CONFIG_DIR/secrets/root_user
OBJSTORE_ROOT_PASSWORD_FILE=$CONFIG_DIR/secrets/root_password
OBJSTORE_CLUSTER_SECRET_FILE=$CONFIG_DIR/secrets/cluster_secret
ENVIRONMENT
token=$CONFIG_DIR/secrets/metrics_token
[ ! -e \$token ] || echo "OBJSTORE_METRICS_TOKEN_FILE=\$token" >>$CONFIG_DIR/server.env.new
chgrp $SERVICE_USER $CONFIG_DIR/server.env.new
chmod 640 $CONFIG_DIR/server.env.new
mv $CONFIG_DIR/server.env.new $CONFIG_DIR/server.env
END
}
