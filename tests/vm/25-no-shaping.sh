#!/bin/bash
# Kernels that lack a part of traffic control: HTB, u32, ifb, mirred, tbf, fq_codel.  The server serves and
# carries packets; what cannot be limited is not limited, and plan, status, vpnctl qos and the log say so.
. "$(dirname "$0")/../net/lib.sh"
[ -n "${VPN_VM:-}" ] || skip "runs in tests/vm/run: it keeps modules from being loaded"
. "$(dirname "$0")/modules"
topo_up
trap 'allow_all; topo_down' EXIT
D=$T/etc/vpn.yaml.d

server_config
user_add alice
client_config alice 'routes: [192.168.100.0/24]'
sed -i 's|^    key:|    class: all\n    key:|' "$D/user-alice.yaml"
printf 'qos: {download: 20mbit, upload: 20mbit, classes: {all: {rate: 10mbit}}}\n' >"$T/qos.yaml"
cp "$D/user-alice.yaml" "$T/alice-all"

trees_are() { [ "$(srv tc qdisc show | grep -c '^qdisc htb 1: ')" = "$1" ]; }
# told TEXT VERB...: vpnctl says it
told() { vpnctl "${@:2}" 2>&1 | grep -F "$1"; }
passes() { cli ping -c 3 -i 0.3 -W 5 192.168.100.2 && cli ping -c 2 -i 0.3 -W 5 -s 4000 192.168.100.2; }

# lacking NAME TREES STATE PATTERN MODULE...: all the same server, without these modules
lacking() {
    local name=$1 trees=$2 state=$3 pattern=$4 m
    shift 4
    allow_all
    for m in "$@"; do unload "$m" || { ok "$name # SKIP $m is in use or built in"; return; }; done
    forbid "$@"
    rm -f "$D/30-qos.yaml"
    sed '/^    class: /d' "$T/alice-all" >"$D/user-alice.yaml"
    check "$name: the server starts" slow_start
    # A wish that the kernel cannot fulfil is told before it is in force.
    cp "$T/alice-all" "$D/user-alice.yaml"
    cp "$T/qos.yaml" "$D/30-qos.yaml"
    check "$name: plan says so" told "$pattern" plan "$T/etc/vpn.yaml"
    check "$name: clean exit" stop "$SERVER"
    check "$name: the server starts with rates asked for" slow_start
    check "$name: status says so" says "rates +$state"
    check "$name: and why" told "$pattern" status
    check "$name: vpnctl qos as well" told "$pattern" qos
    check "$name: the log as well" grep -q "warning: .*$pattern" "$T/server.log"
    client_start alice
    check "$name: alice connects" client_connected alice
    check "$name: trees: $trees" wait_for 5 trees_are "$trees"
    check "$name: her packets pass, both ways" passes
    check "$name: nothing is refused by the kernel" sh -c "! grep -iE 'refused|cannot (make|change)' $T/server.log"
    stop "$CLIENT" >/dev/null
    check "$name: clean exit" stop "$SERVER"
    check "$name: nothing is left" sh -c "! ip -n $SRV link show | grep -qE 'tun0|ifb|vpn-probe'"
}
lacking "no HTB" 0 missing 'users are not limited: this kernel has no HTB (load module sch_htb' sch_htb
lacking "no u32" 0 missing 'users are not limited: this kernel has no u32 filters (load module cls_u32' cls_u32
lacking "no ifb" 1 partial 'what users send is not limited: this kernel lacks ifb' ifb
lacking "no mirred" 1 partial 'what users send is not limited: this kernel lacks ifb' act_mirred
lacking "no ingress" 1 partial 'what users send is not limited: this kernel lacks ifb' sch_ingress
lacking "no tbf" 2 active 'this kernel has no tbf (module sch_tbf)' sch_tbf
# Debian's has this one built in; tests/net/40-qos.sh looks where a kernel lacks it.
forbid sch_fq_codel
if unload sch_fq_codel && ! srv tc qdisc add dev lo root handle 9: fq_codel; then
    lacking "no fq_codel" 2 'active, leaf bfifo' 'this kernel has no fq_codel (module sch_fq_codel)' sch_fq_codel
else
    ok "no fq_codel # SKIP in use or built in"
fi
finish
