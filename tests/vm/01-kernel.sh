#!/bin/bash
# The guest's kernel has what the design counts on and the machine outside may lack.
. "$(dirname "$0")/../net/lib.sh"
[ -n "${VPN_VM:-}" ] || skip "runs in tests/vm/run"
T=$(mktemp -d /tmp/vpn-test.XXXXXX)
CLI=vpnt-k-$$
trap 'ip netns del $CLI; rm -rf "$T"' EXIT
ip netns add $CLI
echo "# $(uname -r)"

link() { cli ip link add test0 "$@" && cli ip link del test0; }
check "dummy devices" link type dummy
check "ifb devices" link type ifb
check "VRF devices" link type vrf table 77
check "WireGuard devices" link type wireguard
check "veth pairs" link type veth peer name test1

cli ip link add d0 type dummy
cli ip link set d0 up
qdisc() {
    cli tc qdisc del dev d0 root 2>/dev/null
    cli tc qdisc add dev d0 root handle 1: "$@" && cli tc qdisc show dev d0 | grep "^qdisc $1 "
}
for q in htb fq_codel cake; do check "qdisc $q" qdisc $q; done
check "qdisc bfifo" qdisc bfifo limit 10000
check "qdisc netem" qdisc netem delay 10ms
qdisc htb >/dev/null
check "u32 filters" cli tc filter add dev d0 parent 1: protocol ip u32 match ip dst 10.0.0.1 flowid 1:1
cli tc qdisc add dev d0 ingress
check "mirred" cli tc filter add dev d0 parent ffff: protocol ip u32 match u32 0 0 \
    action mirred egress redirect dev lo
check "rules by uid" cli ip rule add uidrange 1101-1101 lookup 101
check "nf_tables" cli perl -MSocket -e 'socket(my $s, 16, SOCK_RAW, 12) or die "$!\n"'

check "memfd_secret" perl -e 'exit(syscall(447, 0) < 0)'
check "Landlock" perl -e 'exit(syscall(444, 0, 0, 1) < 1)'
check "memory can be locked" perl -e 'exit(syscall(151, 1) != 0)'
check "cgroups" grep -q memory /sys/fs/cgroup/cgroup.controllers
check "nothing else gets in: no network but lo" sh -c '[ "$(ls /sys/class/net)" = lo ]'
finish
