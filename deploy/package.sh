# shellcheck shell=bash
# The package: building it, and installing it on the servers beside the versions that are there.
# Sourced after lib.sh.

REPOSITORY=$(dirname "$HERE")

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

# copy_package SERVER: bring the wheel, and the wheelhouse if there is one.
copy_package() {
    local files=("$WHEEL")
    [ -z "${SETTING[WHEELHOUSE]}" ] || files+=("${SETTING[WHEELHOUSE]}")
    copy "$1" "${files[@]}"
}

# install_package SERVER: make a virtual environment for this version, beside those that are there.
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

# switch_version SERVER: make this version the current one; the one before stays for a way back.
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
