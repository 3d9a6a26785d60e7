#!/bin/sh
# Installs the Debian packages that a task needs; without root, says which are missing.
# No service that a package brings is started: policy-rc.d says no while apt runs.
set -eu

missing=""
need() { # need COMMAND PACKAGE...
    command -v "$1" >/dev/null 2>&1 && return 0
    shift
    missing="$missing $*"
}

python="${PYTHON:-python3}"
need "$python" python3
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
    echo "scanpost needs Python 3.11 or later; set PYTHON to one, as in: make PYTHON=python3.11 $1" >&2
    exit 1
}
"$python" -c 'import venv, ensurepip' 2>/dev/null || missing="$missing python3-venv"
if [ "${1:-demo}" = test ]; then
    need chromium chromium fonts-dejavu-core
    need node nodejs
    need npm npm
    # Debian keeps these out of the path of ordinary users.
    PATH="$PATH:/usr/sbin"
    need postfix postfix
    need dovecot dovecot-imapd
    need swaks swaks
    need openssl openssl
fi

[ -z "$missing" ] && exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "These Debian packages are missing:$missing" >&2
    echo "Install them, then try again:  sudo apt-get install --no-install-recommends$missing" >&2
    exit 1
fi

echo "Installing:$missing"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq
# shellcheck disable=SC2086 -- a list of names
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
