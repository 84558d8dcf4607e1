# shellcheck shell=bash
# Certificates of a CA of the operator's own, for both servers and the members of the witness
# (docs/operating/tls.md). Sourced after lib.sh.
#
# The CA is made once, on this machine, and its key stays here. Keys of servers are drawn here as
# well, and kept nowhere but on the server that they are for.

CA_DAYS=3650
CERTIFICATE_DAYS=365
RENEW_DAYS=30      # check.sh warns from the same day on

ca_directory() {
    say "${SETTING[CA_DIR]:-$HERE/ca}"
}

# The directory of settings that a machine's certificates are for: server's, and etcd's.
tls_directories() {
    [ "$1" = witness ] || say "$CONFIG_DIR/tls"
    ! has_witness || say "$ETCD_DIR/tls"
}

# --- before anything is changed ----------------------------------------------------------

# check_ca: the CA here has to be the one that the machines believe, if they believe one.
check_ca() {
    local directory here='' machine held where
    has_tls || return 0
    directory=$(ca_directory)
    command -v openssl >/dev/null || refuse "no openssl on this machine" "OpenSSL 1.1.1 or newer" \
        "install it; certificates are made here"
    if [ -e "$directory/ca.key" ] && [ -e "$directory/ca.crt" ]; then
        here=$(pem_body <"$directory/ca.crt")
    elif [ -e "$directory/ca.key" ] || [ -e "$directory/ca.crt" ]; then
        refuse "only one of ca.key and ca.crt in $directory" "both, or neither" \
            "put back the other one; a new CA would not be believed"
    fi
    [ "$DRY_RUN" = no ] || return 0
    for machine in "${MACHINES[@]}"; do
        for where in $(tls_directories "$machine"); do
            held=$(echo "cat $where/ca.crt 2>/dev/null || true" | remote "$machine" | pem_body)
            # More than one may be believed there, while one takes the place of another.
            [ -z "$held" ] || [[ -n $here && $held = *"$here"* ]] || refuse \
                "a CA in $where/ca.crt of ${ADDRESS[$machine]} that is not in $directory" \
                "the CA that the machines believe" \
                "put back $directory of the machine that deployed before, or set CA_DIR; for a new CA: docs/operating/tls.md, \"Renewing\""
        done
    done
}

# pem_body: the contents of PEM files without their lines, to be compared.
pem_body() {
    grep -v -e '^-----' | tr -d '\r\n' || true
}

# --- making ------------------------------------------------------------------------------

make_ca() {
    local directory
    directory=$(ca_directory)
    if [ "$DRY_RUN" = yes ]; then
        say "# make a CA in $directory (ca.crt, ca.key) unless one is there; its key stays here"
        return 0
    fi
    [ ! -e "$directory/ca.key" ] || return 0
    (
        umask 077
        mkdir -p "$directory"
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days "$CA_DAYS" \
            -subj "/CN=objstore CA" -addext "basicConstraints=critical,CA:TRUE,pathlen:0" \
            -addext "keyUsage=critical,keyCertSign,cRLSign" \
            -keyout "$CONTROL/ca.key" -out "$CONTROL/ca.crt" 2>"$CONTROL/openssl" ||
            refuse "openssl req: $(cat "$CONTROL/openssl")" "a CA" "see what openssl says"
        # The key last: it is what says that a CA is there.
        cp "$CONTROL/ca.crt" "$directory/ca.crt"
        mv "$CONTROL/ca.key" "$directory/ca.key"
    )
    say "   a new CA is in $directory: keep a copy of it in a safe place"
}

# names_of MACHINE: its names as openssl writes them into a certificate, with commas.
names_of() {
    local name names="${ADDRESS[$1]}"
    # Clients ask servers alone by the names of a load balancer.
    [ "$1" = witness ] || [ -z "${SETTING[TLS_NAMES]}" ] || names+=",${SETTING[TLS_NAMES]}"
    while IFS= read -r name; do
        if [[ $name =~ ^[0-9]+(\.[0-9]+){3}$ ]]; then say "IP:$name"; else say "DNS:$name"; fi
    done <<<"${names//,/$'\n'}" | paste -sd ,
}

# install_certificates MACHINE: for what runs there, where those that are there will not do.
install_certificates() {
    if [ "$1" != witness ]; then
        install_certificate "$1" "$CONFIG_DIR/tls" server "$SERVICE_USER"
    fi
    if has_witness; then
        install_certificate "$1" "$ETCD_DIR/tls" member objstore-etcd
    fi
}

# install_certificate MACHINE DIRECTORY NAME GROUP
install_certificate() {
    local key='DRAWN-AND-NOT-SHOWN' certificate='' ca='' file=$CONTROL/$1-$3
    if [ "$DRY_RUN" = no ]; then
        echo "cat $2/$3.crt 2>/dev/null || true" | remote "$1" >"$file.held"
        ! will_do "$file.held" "$(names_of "$1")" || return 0
        issue "$file" "$1"
        key=$(cat "$file.key")
        certificate=$(cat "$file.crt")
        ca=$(cat "$(ca_directory)/ca.crt")
        rm -f "$file".*
        say "   ${ADDRESS[$1]}: a new certificate $2/$3.crt, for $CERTIFICATE_DAYS days"
    fi
    # Both new files are there before the first takes its place: a server that runs takes the pair.
    remote "$1" <<END
umask 077
install -d -m 750 -o root -g $4 $2
cd $2
cat >$3.key.new <<'PEM'
$key
PEM
cat >$3.crt.new <<'PEM'
$certificate
PEM
cat >ca.crt.new <<'PEM'
$ca
PEM
chgrp $4 $3.key.new $3.crt.new ca.crt.new
chmod 640 $3.key.new $3.crt.new ca.crt.new
mv $3.key.new $3.key
mv $3.crt.new $3.crt
if [ -e ca.crt ]; then rm ca.crt.new; else mv ca.crt.new ca.crt; fi
END
}

# will_do FILE NAMES: whether a certificate is of the CA, for these names, and for long enough.
will_do() {
    local held
    [ -s "$1" ] || return 1
    openssl verify -CAfile "$(ca_directory)/ca.crt" "$1" >/dev/null 2>&1 || return 1
    openssl x509 -noout -checkend $((RENEW_DAYS * 86400)) -in "$1" >/dev/null 2>&1 || return 1
    held=$(openssl x509 -noout -ext subjectAltName -in "$1" 2>/dev/null | tail -n 1)
    held=${held// /}
    [ "${held//IPAddress:/IP:}" = "$2" ]
}

# issue FILE MACHINE: FILE.key and FILE.crt, signed by the CA.
issue() {
    local names
    names=$(names_of "$2")
    (
        umask 077
        openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
            -subj "/CN=objstore $2" -keyout "$1.key" -out "$1.csr"
        printf '%s\n' "subjectAltName=$names" "extendedKeyUsage=serverAuth,clientAuth" \
            "keyUsage=critical,digitalSignature" "basicConstraints=critical,CA:FALSE" \
            "authorityKeyIdentifier=keyid" >"$1.ext"
        openssl x509 -req -in "$1.csr" -CA "$(ca_directory)/ca.crt" \
            -CAkey "$(ca_directory)/ca.key" -set_serial "0x01$(openssl rand -hex 15)" \
            -days "$CERTIFICATE_DAYS" -extfile "$1.ext" -out "$1.crt"
    ) 2>"$1.said" ||
        refuse "openssl: $(tail -n 3 "$1.said" | paste -sd ' ')" "a certificate for $names" \
            "see what openssl says; TLS_NAMES takes names and IPv4 addresses"
}
