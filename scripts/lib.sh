# What the scripts share: where things are, what must be installed, a container engine, and cleaning up.
# Sourced, never run. Whatever is made here is undone when the script ends, however it ends.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

say() { printf '%s\n' "== $*" >&2; }
die() { printf '%s\n' "$(basename "$0"): $*" >&2; exit 1; }

# --- undoing -----------------------------------------------------------------------------------

undo_list=()
running=

# Registers a command that is run when the script ends; the last one registered is run first.
undo() { undo_list=("$*" ${undo_list[@]+"${undo_list[@]}"}); }

undo_all() {
    local status=$? step
    # What cannot be undone must not keep the rest from being undone.
    set +e
    trap - EXIT
    trap '' INT TERM HUP
    if [ -n "$running" ]; then
        kill -TERM "$running" 2>/dev/null
        wait "$running"
    fi
    for step in ${undo_list[@]+"${undo_list[@]}"}; do
        eval "$step" || say "could not undo: $step"
    done
    exit "$status"
}
trap undo_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# A new directory, in the variable named, that is gone when the script ends.
temporary() {
    local made
    made=$(mktemp -d "${TMPDIR:-/tmp}/dutch-master-$1.XXXXXX")
    printf -v "$1" %s "$made"
    undo "rm -rf --one-file-system '$made'"
}

# bounded SECONDS COMMAND...: nothing may hang for ever; ends with this script, too.
bounded() {
    local seconds=$1 status=0
    shift
    timeout --kill-after=10 "$seconds" "$@" </dev/null &
    running=$!
    wait "$running" || status=$?
    running=
    [ "$status" != 124 ] || say "ended after $seconds seconds: $*"
    return "$status"
}

# --- packages ----------------------------------------------------------------------------------

apt_updated=

# Runs a command as root.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        command -v sudo >/dev/null || die "not root, and no sudo: as root, $*"
        sudo "$@"
    fi
}

apt_install() {
    command -v apt-get >/dev/null || die "this is no Debian: install $*"
    say "installing Debian's $*"
    if [ -z "$apt_updated" ]; then
        as_root apt-get update -qq </dev/null >&2
        apt_updated=yes
    fi
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$@" </dev/null >&2
}

# ensure COMMAND PACKAGE...: installs Debian's packages unless the command is there already.
ensure() {
    local command=$1
    shift
    PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
    command -v "$command" >/dev/null && return
    say "$command is missing"
    apt_install "$@"
    command -v "$command" >/dev/null || die "$* did not bring $command"
}

# What reads metrics in earnest: Python's prometheus_client, and promtool without the server around it.
ensure_metrics_parsers() {
    /usr/bin/python3 -c 'import prometheus_client' 2>/dev/null ||
        apt_install python3 python3-prometheus-client
    PATH=$PATH:$root/target/promtool/usr/bin
    command -v promtool >/dev/null && return
    mkdir -p target/promtool
    [ -n "$apt_updated" ] || as_root apt-get update -qq </dev/null >&2
    (cd target/promtool && apt-get download -qq prometheus && dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb) >&2
    command -v promtool >/dev/null || die "Debian's prometheus did not bring promtool"
}

ensure_rust() {
    command -v cargo >/dev/null || PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    command -v cargo >/dev/null || die "cargo is missing: a Rust toolchain is the one thing to bring along"
    ensure cc gcc libc6-dev
    ensure readelf binutils
}

# A tool of cargo's, from its registry, into target/tools unless it is there already.
ensure_cargo_tool() {
    local folder=${CARGO_TARGET_DIR:-$root/target}/tools
    PATH=$folder/bin:$PATH
    command -v "$1" >/dev/null && return
    say "building $1 into $folder"
    # It runs for seconds: what it would gain by optimisation is lost while it is built.
    CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=0 \
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS=256 CARGO_TARGET_DIR="$folder/build" RUSTFLAGS= \
        cargo install -q --locked "$1" --root "$folder" >&2
    rm -rf "$folder/build"
}

ensure_node() { ensure node nodejs; }

# Leaves in node_files what an image needs to have Node at this path: Debian's reads some of its own
# modules from files.
find_node_files() {
    ensure_node
    node_files=("$(command -v node)=$1")
    [ ! -d /usr/share/nodejs/cjs-module-lexer ] || node_files+=(/usr/share/nodejs)
}

# --- the engine --------------------------------------------------------------------------------

engine_label=${DM_LABEL:-org.dutch-master.run=$$-$RANDOM}
export DM_LABEL=$engine_label

# A container engine that answers: the one that runs, or a private one, which gets the arguments as
# dockerd's options and ends with this script.
# Containers that carry $DM_LABEL and images whose name begins with dm-test-$$- go in either case.
ensure_engine() {
    if command -v docker >/dev/null && docker info >/dev/null 2>&1; then
        say "using the container engine that runs here"
    else
        ensure dockerd docker.io
        ensure iptables iptables
        ensure docker docker.io
        start_engine "$@"
    fi
    undo clean_engine
    export DOCKER_BUILDKIT=0 DOCKER_CLI_HINTS=false
}

clean_engine() {
    local ids
    ids=$(docker ps -aq --filter "label=$engine_label") || return 0
    [ -z "$ids" ] || docker rm -f $ids >/dev/null
    ids=$(docker images --format '{{.Repository}}:{{.Tag}}' "dm-test-$$-*")
    [ -z "$ids" ] || docker rmi -f $ids >/dev/null
    docker image prune -f --filter "label=$engine_label" >/dev/null
}

start_engine() {
    local tries
    [ "$(id -u)" = 0 ] || die "no container engine answers, and only root can start one"
    engine=$(mktemp -d "${TMPDIR:-/tmp}/dm-engine.XXXXXX")
    say "no container engine answers: starting a private one in $engine"
    undo stop_engine
    # No bridge and no firewall rules: containers get loopback, and the machine stays as it was.
    setsid dockerd --data-root "$engine/data" --exec-root "$engine/exec" --pidfile "$engine/pid" \
        -H "unix://$engine/docker.sock" --bridge=none --iptables=false --ip6tables=false \
        --ip-masq=false --exec-opt native.cgroupdriver=cgroupfs \
        --cgroup-parent "/$(basename "$engine")" "$@" >"$engine/log" 2>&1 </dev/null &
    engine_pid=$!
    export DOCKER_HOST=unix://$engine/docker.sock
    for tries in $(seq 300); do
        docker info >/dev/null 2>&1 && return
        kill -0 "$engine_pid" 2>/dev/null || break
        sleep 0.2
    done
    tail -n 20 "$engine/log" >&2
    die "the container engine did not start"
}

stop_engine() {
    local tries mount
    kill -TERM "$engine_pid" 2>/dev/null
    for tries in $(seq 150); do
        kill -0 "$engine_pid" 2>/dev/null || break
        sleep 0.2
    done
    kill -KILL -- "-$engine_pid" 2>/dev/null
    wait "$engine_pid" 2>/dev/null
    awk -v under="$engine/" 'index($5, under) == 1 { print $5 }' /proc/self/mountinfo | sort -r |
        while read -r mount; do umount -l "$mount"; done
    rm -rf --one-file-system "$engine"
    find /sys/fs/cgroup -depth -type d -path "*/$(basename "$engine")*" -exec rmdir {} + 2>/dev/null
    return 0
}
