#!/bin/busybox sh
# What the guest does: each part prints "@@ " and its name, then what the master said. The test judges.
#
# The machine's first process is `dutch-master init`, and this its command. A part has a cgroup of its
# own, in which a master is the first process of a namespace, as in a container.
/bin/busybox --install -s /bin
export PATH=/bin DUTCH_MASTER_LOG_FORMAT=json
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t tmpfs run /run
cd /sys/fs/cgroup || exit 1
echo '+cpu +memory +pids' >cgroup.subtree_control

# start NAME SETTING... -- COMMAND...: a master in the cgroup NAME, which it sees as the root.
start() {
    local name=$1 settings=
    shift
    while [ "$1" != -- ]; do
        settings="$settings DUTCH_MASTER_$1"
        shift
    done
    mkdir -p "/run/$name"
    env $settings DUTCH_MASTER_CONTRACT=plain DUTCH_MASTER_READY=start \
        DUTCH_MASTER_CONTROL="/run/$name/control" unshare -f -p -m --mount-proc sh -c '
            echo 0 >/sys/fs/cgroup/'"$name"'/cgroup.procs
            mount --bind /sys/fs/cgroup/'"$name"' /sys/fs/cgroup
            exec /dutch-master "$@"' sh "$@" >"/run/$name/log" 2>&1 </dev/null &
}

# said NAME PATTERN SECONDS: waits until the log has it; prints the line.
said() {
    local tries=$(($3 * 4))
    until grep "$2" "/run/$1/log"; do
        tries=$((tries - 1))
        if [ "$tries" = 0 ]; then
            echo "never said: $2"
            tail -n 5 "/run/$1/log"
            return 1
        fi
        sleep 0.25
    done
}

ask() {
    local name=$1
    shift
    DUTCH_MASTER_CONTROL=/run/$name/control /dutch-master "$@"
}

# settled NAME COUNT: waits until so many workers are ready.
settled() {
    local tries=120
    until ask "$1" status --json | grep -o "\"ready\":$2\b"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.25
    done
}

echo '@@ machine'
cat /proc/1/comm
(for number in 1 2 3 4 5 6 7 8; do (sleep 0.1 & exit) & done; wait)
sleep 1
grep -l '^State:.Z' /proc/[0-9]*/status || echo 'no zombie'

echo '@@ quota'
mkdir quota
echo '150000 100000' >quota/cpu.max
start quota WORKERS=auto -- sleep 10000
said quota '"every worker ready"' 30
cat /run/quota/log

echo '@@ ancestor'
mkdir -p above/below
echo '+cpu' >above/cgroup.subtree_control
echo '100000 100000' >above/cpu.max
(
    echo 0 >above/below/cgroup.procs
    exec env DUTCH_MASTER_WORKERS=auto DUTCH_MASTER_CONTROL=off DUTCH_MASTER_CONTRACT=plain \
        DUTCH_MASTER_READY=start /dutch-master -- sleep 10000
) >/run/ancestor 2>&1 &
mkdir -p /run/above && ln -s /run/ancestor /run/above/log
said above '"every worker ready"' 30
cat /run/ancestor

echo '@@ pids'
mkdir pids
echo 9 >pids/pids.max
start pids 'WORKERS=auto*2' -- sleep 10000
said pids '"every worker ready"' 30
cat /run/pids/log

echo '@@ memory'
mkdir memory
echo 256M >memory/memory.max
start memory WORKERS=auto WORKER_MEMORY=100M -- sleep 10000
said memory '"every worker ready"' 30
cat /run/memory/log

# The quota of the first part grows now; its effect is looked at last.
echo '300000 100000' >quota/cpu.max

# Two workers, of which one eats what there is when the file says so.
eater='until mv /run/eat /run/eaten 2>/dev/null; do sleep 0.2; done; exec dd if=/dev/zero of=/dev/null bs=300M'
echo '@@ oom'
mkdir oom
echo 64M >oom/memory.max
start oom WORKERS=2 BACKOFF=100ms-1s -- sh -c "$eater"
said oom '"every worker ready"' 30
touch /run/eat
said oom '"worker exited"' 30
settled oom 2
ask oom metrics | grep 'worker_exits_total'
ask oom doctor | grep 'want of memory'
ask oom events | grep 'out of memory'
cat oom/memory.events
ask oom stop

echo '@@ group'
mkdir group
echo 64M >group/memory.max
echo 1 >group/memory.oom.group
rm -f /run/eaten
start group WORKERS=2 -- sh -c "$eater"
said group '"every worker ready"' 30
ask group doctor | grep 'oom.group'
touch /run/eat
tries=100
until grep 'populated 0' group/cgroup.events; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || break
    sleep 0.25
done
cat group/memory.events

echo '@@ resize'
said quota '"scaling"' 60
settled quota 3

echo '@@ stop'
ask quota stop && echo 'stopped cleanly'
cat /proc/1/comm

echo '@@ end'
sync
poweroff -f
