#!/bin/bash
# A client takes the server's port through the server's own NAT (CVE-2021-3773, "port shadow"): mallory
# sends from the server's port to a client-to-be, and with naive masquerading the connection tracking
# hands her what that client sends to the server.  It is shown to work with a naive table and without
# ours, and to fail with ours: alone, and beside the naive one.
#
#   cli (alice)    192.0.2.2 ─── 192.0.2.1 ┐
#                                          srv (51820, masquerades 10.8.0.0/24 on eth0)
#   two (mallory)  192.0.3.2 ─── 192.0.3.1 ┘
. "$(dirname "$0")/lib.sh"
command -v nft >/dev/null || skip "no nft(8)"
command -v conntrack >/dev/null || skip "no conntrack(8)"
topo_up
TWO=vpnt-2-$$-$RANDOM
trap 'topo_down; ip netns del $TWO 2>/dev/null' EXIT
ip netns add "$TWO"
ip -n "$TWO" link set lo up
ip link add vpnt-d$$ netns "$TWO" type veth peer name eth2 netns "$SRV"
ip -n "$TWO" link set vpnt-d$$ name eth0
ip -n "$TWO" addr add 192.0.3.2/24 dev eth0
ip -n "$SRV" addr add 192.0.3.1/24 dev eth2
ip -n "$TWO" link set eth0 up
ip -n "$SRV" link set eth2 up
two() { ip netns exec "$TWO" "$@"; }

naive_on() {
    srv nft 'add table ip naive; add chain ip naive post { type nat hook postrouting priority 90; };
             add rule ip naive post ip saddr 10.8.0.0/24 oifname "eth0" masquerade'
}
naive_off() { srv nft delete table ip naive; }
reloads=0
reload() {
    kill -HUP "$SERVER"
    reloads=$((reloads + 1))
    wait_for 5 sh -c "[ \$(grep -c 'configuration reloaded' $T/server.log) -ge $reloads ]"
}
# heard TEXT: by mallory, on the server's port of her tunnel address
heard() { grep -q "$1" "$T/at-mallory"; }
# said TEXT FROM-PORT: alice's host sends it to the server's port from there
said() { cli socat -u - "UDP4-SENDTO:192.0.2.1:51820,bind=192.0.2.2:$2,reuseaddr" <<<"$1"; }
# seen TEXT: by alice's host on port 40000 (what mallory sends gets out, and how)
seen() { grep -q "$1" "$T/at-cli"; }
# shadow PORT: mallory's part of the attack: a datagram from the server's port to alice's
shadow() { two socat -u - "UDP4-SENDTO:192.0.2.2:$1,bind=$mallory4:51820,reuseaddr" <<<"shadow of $1"; }

server_config 'reconcile: {drift: report}' 'masquerade:' '  - {from: 10.8.0.0/24, device: eth0}'
user_add alice
user_add mallory 192.0.3.1:51820
client_config alice
client_config mallory 'routes: [10.8.0.0/24, 192.0.2.0/24]'
check "the server starts" server_start
: >"$T/client-mallory.log"
ip netns exec "$TWO" "$BIN/vpn-client" -v -c "$T/mallory.yaml" >"$T/client-mallory.log" 2>&1 &
PIDS+=($!)
check "mallory connects" client_connected mallory
mallory4=$(two ip -4 -o addr show dev tun0 | sed 's/.*inet \([0-9.]*\).*/\1/')

ip netns exec "$TWO" perl -MSocket=:all -MIO::Handle -e '
    open my $o, ">", $ARGV[0]; $o->autoflush;
    socket my $s, PF_INET, SOCK_DGRAM, 0; setsockopt $s, SOL_SOCKET, SO_REUSEADDR, 1;
    bind $s, sockaddr_in(51820, inet_aton($ARGV[1])) or die $!;
    print $o "ready\n";
    while (recv $s, my $b, 9000, 0) { print $o ($b =~ /^[ -~\n]+$/ ? $b : "sealed\n") }' "$T/at-mallory" "$mallory4" &
PIDS+=($!)
ip netns exec "$CLI" perl -MSocket=:all -MIO::Handle -e '
    open my $o, ">", $ARGV[0]; $o->autoflush;
    my $rin = "";
    my @s = map { socket my $s, PF_INET, SOCK_DGRAM, 0; setsockopt $s, SOL_SOCKET, SO_REUSEADDR, 1;
                  bind $s, sockaddr_in($_, INADDR_ANY) or die $!; vec($rin, fileno $s, 1) = 1; $s } 40001 .. 40004;
    print $o "ready\n";
    while (select my $r = $rin, undef, undef, undef) {
        for (@s) { next unless vec $r, fileno $_, 1; my $from = recv $_, my $b, 9000, 0;
                   my ($port) = sockaddr_in $from; chomp $b; print $o "$b from $port\n" } }' "$T/at-cli" &
PIDS+=($!)
check "listeners" wait_for 5 sh -c "grep -q ready $T/at-mallory && grep -q ready $T/at-cli"

# The attack against a naive table, ours gone.
srv nft delete table inet vpn
naive_on
srv conntrack -F 2>/dev/null
shadow 40001
check "naive: mallory sends from the server's own address and port" wait_for 3 seen "shadow of 40001 from 51820"
said "hello from alice" 40001
check "naive: what alice's host sends to the server comes to mallory" wait_for 3 heard "hello from alice"

# Ours instead.
naive_off
check "reload" reload
srv conntrack -F 2>/dev/null
shadow 40002
check "masquerading works, but not from the server's port" wait_for 3 seen "shadow of 40002 from [0-9]"
check "it is a port below" sh -c "p=\$(sed -n 's/shadow of 40002 from //p' $T/at-cli); [ \$p -ge 32768 ] && [ \$p -le 51819 ]"
said "again from alice" 40002
# What she is sent in the ordinary way comes later: then the other would have come too.
srv socat -u - "UDP4-SENDTO:$mallory4:51820" <<<"marker 1"
check "mallory hears what the server sends her" wait_for 3 heard "marker 1"
check "but nothing of alice's" sh -c "! grep -q 'again from alice' $T/at-mallory"

# Ours beside the naive one, which decides first: the server's port is not tracked.
naive_on
srv conntrack -F 2>/dev/null
shadow 40003
check "beside the naive one: mallory sends from the server's port" wait_for 3 seen "shadow of 40003 from 51820"
said "once more from alice" 40003
srv socat -u - "UDP4-SENDTO:$mallory4:51820" <<<"marker 2"
check "mallory hears what the server sends her" wait_for 3 heard "marker 2"
check "but nothing of alice's" sh -c "! grep -q 'once more from alice' $T/at-mallory"

# The real thing: alice's client logs in, and mallory has been faster with every port it may use.
client_start alice
check "alice connects" client_connected alice
# Each lane of a client has a port.
ports=$(cli ss -Hulpn | grep vpn-client | sed -n 's/.* 0\.0\.0\.0:\([0-9][0-9]*\) .*/\1/p')
shadow_all() { local p; for p in $ports; do shadow "$p"; done; }
# taken: each of them is mallory's, as the connection tracking sees it
taken() {
    local p
    srv conntrack -F 2>/dev/null
    shadow_all
    for p in $ports; do
        srv conntrack -L -p udp 2>/dev/null |
            grep -q "src=$mallory4 dst=192.0.2.2 sport=51820 dport=$p .*dst=192.0.2.1 sport=$p dport=51820" || return 1
    done
}
srv conntrack -F 2>/dev/null
shadow_all
check "alice's tunnel works under the attack" cli ping -c 3 -i 0.2 -W 2 10.8.0.1
check "mallory heard nothing of it" sh -c "! grep -q sealed $T/at-mallory"
check "no packet of the server's port is tracked" sh -c "! ip netns exec $SRV conntrack -L -p udp 2>/dev/null | grep -q 'dport=51820 .*src=192.0.2.1 '"

# And without ours: her tunnel dies, and mallory has its packets.
srv nft delete table inet vpn
kill -STOP "$CLIENT" # a packet of hers that came first would keep her connection
check "without ours mallory takes alice's ports" wait_for 5 taken
kill -CONT "$CLIENT"
check "alice's tunnel is cut" sh -c "! ip netns exec $CLI ping -c 3 -i 0.2 -W 1 10.8.0.1"
check "mallory has its packets" wait_for 3 heard sealed
check "reload" reload
srv conntrack -F 2>/dev/null
check "with ours again it works" wait_for 10 cli ping -c 1 -W 1 10.8.0.1
naive_off
check "clean exit" stop "$SERVER"
check "no table is left" sh -c "[ -z \"\$(ip netns exec $SRV nft list ruleset)\" ]"
finish
