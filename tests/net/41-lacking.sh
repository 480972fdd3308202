#!/bin/bash
# Kernels that lack something that rates need: what it is and what runs without it is said before and
# after, what can be limited is, and packets pass in both directions.
. "$(dirname "$0")/lib.sh"
lacking=${VPN_BUILD:-$BIN/../build}/tests/net/lacking.so
[ -e "$lacking" ] || skip "not built: $lacking"
topo_up
ip -n "$SRV" link add probe type ifb 2>/dev/null || skip "no ifb in this kernel"
ip -n "$SRV" link del probe
chmod 755 "$T"
cp "$lacking" "$T/lacking.so"

server_config
user_add alice
client_config alice 'routes: [192.168.100.0/24]'
F=$T/etc/vpn.yaml
rates() {
    echo 'qos:
  download: 20mbit
  upload: 10mbit
  default-class: only
  classes:
    only: {rate: 1mbit, ceil: 2mbit}' >"$T/etc/vpn.yaml.d/20-rates.yaml"
}
# start KIND: the server in a kernel that does not have it
start() {
    # The sanitizer's library would rather be the first.
    LD_PRELOAD=$T/lacking.so VPN_LACKING=$1 ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0 server_start
}
online() { vpnctl users | grep -qE '^alice +online'; }
# says VERB TEXT: the verb's output has it
# shellcheck disable=SC2086 # words on purpose
says() { vpnctl $1 >"$T/said" 2>&1; grep -q "$2" "$T/said"; }
limited() { srv tc class show dev "$1" 2>/dev/null | grep -q 'rate 1Mbit ceil 2Mbit'; }
passes() { cli ping -c 2 -i 0.2 -W 2 192.168.100.2; }
# in_kernel_without KIND STATE TEXT
in_kernel_without() {
    check "without $1 the server starts" start "$1"
    [ -n "${VPN_LACKING_LATE:-}" ] || check "the log says it" grep -q "warning: $3" "$T/server.log"
    check "vpnctl status: rates $2" says status "^  rates *$2"
    check "and why" grep -q "$3" "$T/said"
    check "vpnctl qos says it" says qos "$3"
    check "alice is connected" wait_for 15 online
    check "packets pass" passes
}

check "without HTB the server starts" start htb
client_start alice
rates
check "vpnctl plan says what will not be" says "plan $F" 'qos is not in force.* no HTB (load module sch_htb'
check "vpnctl apply does so too" says "apply $F" 'qos is not in force.* no HTB'
check "alice is connected" wait_for 15 online
check "packets pass" passes
check "nothing is half there" sh -c "! ip netns exec $SRV tc qdisc show | grep -qE 'htb|ingress|tbf'"
check "the server ends" stop "$SERVER"

in_kernel_without u32 missing 'qos is not in force.*no u32 filters (load module cls_u32'
check "nothing is half there" sh -c "! ip netns exec $SRV tc qdisc show | grep -qE 'htb|ingress|tbf'"
check "the server ends" stop "$SERVER"

for kind in ifb mirred; do
    in_kernel_without $kind partial 'qos.upload is not in force.*lacks ifb or mirred'
    check "download is limited" wait_for 3 limited tun0
    check "upload is not led astray" sh -c "! ip netns exec $SRV tc qdisc show dev tun0 | grep -q ingress"
    check "the server ends" stop "$SERVER"
done

in_kernel_without tbf active 'this kernel has no tbf (module sch_tbf)'
check "both directions are limited" wait_for 3 limited tun0
check "upload too" limited ifb-tun0
check "the server ends" stop "$SERVER"

# It seemed to have it, and takes none: no rates are called active that are not there.
export VPN_LACKING_LATE=1
in_kernel_without htb partial 'qos.download is not in force, or not wholly: .*htb 1:.* is not set'
check "of upload too" grep -q 'qos.upload is not in force, or not wholly' "$T/said"
check "the server ends" stop "$SERVER"
check "and leaves nothing" sh -c "! ip -n $SRV link show | grep -qE 'tun0|ifb'"
finish
