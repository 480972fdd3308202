#!/bin/bash
# A kernel without nf_tables: server and client serve all the same, and say what is not protected.
. "$(dirname "$0")/lib.sh"
without=${VPN_BUILD:-$BIN/../build}/tests/net/without
[ -x "$without" ] || skip "not built: $without"
topo_up
srv "$without" /bin/true || skip "seccomp filters are refused"
srv nft list ruleset >"$T/nft" 2>/dev/null

server_config 'masquerade: [{from: 10.8.0.0/24, device: eth1}]' 'forwarding: true'
user_add alice
client_config alice 'routes: [default]'
ip netns exec "$SRV" "$without" "$BIN/vpn-server" -v -c "$T/etc/vpn.yaml" >"$T/server.log" 2>&1 &
SERVER=$!
PIDS+=("$SERVER")
check "the server runs" wait_for 10 grep -q running "$T/server.log"
check "it says what is not protected" \
    grep -q 'warning: packet filter: .*other interfaces are not dropped, nothing is masqueraded' "$T/server.log"
check "and why" grep -q 'cannot connect to netfilter: Protocol not supported' "$T/server.log"
: >"$T/client-alice.log"
ip netns exec "$CLI" "$without" "$BIN/vpn-client" -v -c "$T/alice.yaml" >"$T/client-alice.log" 2>&1 &
CLIENT=$!
PIDS+=("$CLIENT")
check "alice connects" client_connected alice
check "her client says what is not protected" \
    grep -q 'warning: packets to tunnel addresses from other interfaces are not dropped: ' "$T/client-alice.log"
check "and who is not answered" grep -q 'warning: ARP requests are not answered where rp_filter is 1' "$T/client-alice.log"
check "the tunnel works" cli ping -c 2 -i 0.2 -W 2 10.8.0.1
check "what is behind the server is reached" cli ping -c 2 -i 0.2 -W 2 192.168.100.2
srv "$BIN/vpnctl" -s "$T/etc/vpn.sock" status >"$T/status"
check "the server's status says so" grep -q 'packet filter *missing' "$T/status"
check "with the reason" grep -q 'cannot connect to netfilter' "$T/status"
cli "$BIN/vpnctl" -s "$T/alice.sock" status >"$T/status"
check "the client's status says so" grep -q 'packet filter *missing' "$T/status"
kill -HUP "$SERVER"
check "a reload changes nothing of it" wait_for 5 grep -q 'configuration reloaded' "$T/server.log"
check "the tunnel still works" cli ping -c 2 -i 0.2 -W 2 10.8.0.1
check "the client ends" stop "$CLIENT"
check "the server ends" stop "$SERVER"
check "nothing complains that it cannot be removed" sh -c "! grep -hE 'not removed|failed' $T/*.log"
srv nft list ruleset >"$T/nft-after" 2>/dev/null
check "the packet filter was never touched" cmp "$T/nft" "$T/nft-after"

# One that does not let us (13: a security module, a container) is no reason to refuse changes.
: >"$T/server.log" # the child opens it later: what an earlier run said must be gone
ip netns exec "$SRV" "$without" -e 13 "$BIN/vpn-server" -v -c "$T/etc/vpn.yaml" >"$T/server.log" 2>&1 &
SERVER=$!
PIDS+=("$SERVER")
check "not permitted: the server runs" wait_for 10 grep -qE '(^|: )running$' "$T/server.log"
check "its status says so" sh -c "ip netns exec $SRV $BIN/vpnctl -s $T/etc/vpn.sock status | grep -q 'packet filter *missing'"
printf 'routes: [{to: 10.66.0.0/16, type: blackhole}]\n' >"$T/etc/vpn.yaml.d/50-route.yaml"
check "a change is applied" srv "$BIN/vpnctl" -s "$T/etc/vpn.sock" apply "$T/etc/vpn.yaml"
check "and in the kernel" sh -c "ip -n $SRV route | grep -q 'blackhole 10.66.0.0/16'"
check "the server ends" stop "$SERVER"
finish
