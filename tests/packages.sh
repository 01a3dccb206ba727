# Servers from Debian's packages, for the suites that need them. Sourced after scripts/lib.sh.

# The service that a package brings, as systemd calls it.
service_of() {
    case $1 in
    nginx-light) echo nginx ;;
    php-fpm) basename /usr/sbin/php-fpm* ;;
    *) echo "$1" ;;
    esac
}

# Installs what is missing of the packages named; none of their services is started, now or at the
# next boot: Debian's packages start theirs unless a policy says no.
bring_packages() {
    local policy=/usr/sbin/policy-rc.d missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' ||
            missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ ! -e "$policy" ]; then
        undo as_root rm -f "$policy"
        printf '#!/bin/sh\nexit 101\n' | as_root install -m 755 /dev/stdin "$policy"
    fi
    apt_install "${missing[@]}"
    for package in "${missing[@]}"; do
        # It works for packages' scripts alone, and is there on every Debian.
        as_root env DPKG_MAINTSCRIPT_PACKAGE="$package" \
            deb-systemd-helper disable "$(service_of "$package").service" >/dev/null 2>&1 || true
    done
}
