#!/bin/sh
# Sets grilly up in .venv: `./setup.sh` for using it, `./setup.sh test` for developing and testing it too.
# Installs the Debian packages that are missing (as root, or with sudo), then the Python ones. Safe to run again.
set -eu
cd "$(dirname "$0")"

say() { printf '\n==> %s\n' "$*"; }

fail() {
    printf '\nsetup.sh: %s\n' "$*" >&2
    exit 1
}

system_packages="libvulkan1 mesa-vulkan-drivers" # the loader; drivers for AMD, Intel and the CPU
extra=""
case "${1-}" in
"") ;;
test)
    system_packages="$system_packages vulkan-validationlayers spirv-tools dataset-fashion-mnist"
    extra="[dev]"
    ;;
*) fail "unknown argument '$1': expected nothing, or 'test'" ;;
esac

usable() { # a Python that jax has wheels for, able to make virtual environments
    "$1" -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null
}

find_python() {
    for candidate in python3 python3.13 python3.12 python3.11 /usr/bin/python3; do
        if usable "$candidate"; then
            echo "$candidate"
            return
        fi
    done
}

missing=""
[ -n "$(find_python)" ] || missing="python3 python3-venv"
if command -v dpkg-query >/dev/null; then
    for package in $system_packages; do
        state=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
        [ "$state" = "install ok installed" ] || missing="$missing $package"
    done
fi

if [ -n "$missing" ] && command -v apt-get >/dev/null; then
    say "Debian packages: $missing"
    as_root=""
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || fail "needs $missing; run it as root, or install sudo"
        as_root="sudo"
    fi
    $as_root apt-get update -qq
    # shellcheck disable=SC2086  # a list of packages
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

python=$(find_python)
[ -n "$python" ] || fail "needs Python 3.11, 3.12 or 3.13 with its venv module; install one and run this again"

say "Python packages, into .venv ($("$python" --version))"
usable .venv/bin/python || "$python" -m venv --clear .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".$extra"

say "Ready"
