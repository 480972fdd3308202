#!/bin/bash
# Packets to tunnel addresses that arrive on another interface (CVE-2019-14899): somebody beside an
# outer interface of the server impersonates hosts and clients, to clients and to the server, and beside
# the client, in both families.  Each attack is also shown to work once our table of the packet filter is gone.
#
#   cli (alice, 10.8.0.10) ═══ tunnel ═══ srv 192.168.100.1 ─── 192.168.100.2 inner
#      └─ eth2 192.0.8.1                    └─ eth2 192.0.9.1 ─── 192.0.9.2 evil (beside the server,
#            └──────────────────────────────────────────────────── 192.0.8.2      and beside the client)
. "$(dirname "$0")/lib.sh"
command -v nft >/dev/null || skip "no nft(8)"
topo_up
EVIL=vpnt-e-$$-$RANDOM
trap 'topo_down; ip netns del $EVIL 2>/dev/null' EXIT
ip netns add "$EVIL"
ip -n "$EVIL" link set lo up
ip link add vpnt-f$$ netns "$EVIL" type veth peer name eth2 netns "$SRV"
ip -n "$EVIL" link set vpnt-f$$ name eth0
ip -n "$EVIL" addr add 192.0.9.2/24 dev eth0
ip -n "$EVIL" addr add 2001:db8:9::2/64 dev eth0 nodad
ip -n "$SRV" addr add 192.0.9.1/24 dev eth2
ip -n "$SRV" addr add 2001:db8:9::1/64 dev eth2 nodad
ip -n "$EVIL" link set eth0 up
ip -n "$SRV" link set eth2 up
ip -n "$EVIL" route add default via 192.0.9.1
ip -n "$EVIL" -6 route add default via 2001:db8:9::1
ip link add vpnt-g$$ netns "$EVIL" type veth peer name eth2 netns "$CLI"
ip -n "$EVIL" link set vpnt-g$$ name eth1
ip -n "$EVIL" addr add 192.0.8.2/24 dev eth1
ip -n "$EVIL" addr add 2001:db8:8::2/64 dev eth1 nodad
ip -n "$CLI" addr add 192.0.8.1/24 dev eth2
ip -n "$CLI" addr add 2001:db8:8::1/64 dev eth2 nodad
ip -n "$EVIL" link set eth1 up
ip -n "$CLI" link set eth2 up
# Whom it impersonates: a host of the inner network, and clients.
for a in 192.168.100.2/32 10.8.0.77/32; do ip -n "$EVIL" addr add "$a" dev lo; done
for a in fd64::2/128 fd08::77/128; do ip -n "$EVIL" addr add "$a" dev lo nodad; done
for ns in $SRV $CLI; do
    ip netns exec "$ns" sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv4.conf.eth2.rp_filter=0
done
evil() { ip netns exec "$EVIL" "$@"; }

n=0
# passes FILE NAMESPACE FROM TO: a datagram gets there
passes() {
    n=$((n + 1))
    udp_send "$2" "$3" "$4" "number $n" && wait_for 3 grep -q "number $n\$" "$1"
}
# stopped FILE NAMESPACE FROM TO: it does not, though one that is sent after it, and by the proper
# way, does
stopped() {
    local file=$1 ns=$2 from=$3 to=$4 mine
    n=$((n + 1))
    mine="number $n"
    udp_send "$ns" "$from" "$to" "$mine" || return 1
    passes "$file" "$(proper_ns "$file")" "$(proper_from "$file" "$to")" "$(proper_to "$file" "$to")" &&
        ! grep -q "$mine\$" "$file"
}
proper_ns() { case $1 in *srv*) echo "$CLI" ;; *) echo "$INNER" ;; esac; }
proper_from() {
    case $1$2 in
    *srv*:*) echo fd08::10 ;; *srv*) echo 10.8.0.10 ;;
    *:*) echo fd64::2 ;; *) echo 192.168.100.2 ;;
    esac
}
proper_to() {
    case $1$2 in *srv*:*) echo fd08::1 ;; *srv*) echo 10.8.0.1 ;; *:*) echo fd08::10 ;; *) echo 10.8.0.10 ;; esac
}
reload() {
    kill -HUP "$SERVER"
    reloads=$((${reloads:-0} + 1))
    wait_for 5 sh -c "[ \$(grep -c 'configuration reloaded' $T/server.log) -ge $reloads ]"
}

srv nft list ruleset >"$T/before.nft"
server_config 'reconcile: {drift: report}'
user_add alice
sed -i 's/^    key:/    address: [10.8.0.10, "fd08::10"]\n    key:/' "$T/etc/vpn.yaml.d/user-alice.yaml"
client_config alice 'routes: [192.168.100.0/24, "fd64::/64", 10.8.0.0/24, "fd08::/64", 192.0.9.0/24, "2001:db8:9::/64"]'
check "the server starts" server_start
client_start alice
check "alice connects" client_connected alice
udp_listen "$CLI" "$T/at-cli"
udp_listen "$SRV" "$T/at-srv"
udp_listen "$INNER" "$T/at-inner"
check "status says that the packet filter is set" \
    sh -c "ip netns exec $SRV $BIN/vpnctl status -s $T/etc/vpn.sock | grep -qE 'packet filter +active, [0-9]+ rules'"

# Each attack: who hears it, from which source, to which destination.
attacks() { # passes or stopped, WORDS
    check "$2: an inner host's address, to a client (IPv4)" "$1" "$T/at-cli" "$EVIL" 192.168.100.2 10.8.0.10
    check "$2: an inner host's address, to a client (IPv6)" "$1" "$T/at-cli" "$EVIL" fd64::2 fd08::10
    check "$2: another client's address, to a client (IPv4)" "$1" "$T/at-cli" "$EVIL" 10.8.0.77 10.8.0.10
    check "$2: another client's address, to a client (IPv6)" "$1" "$T/at-cli" "$EVIL" fd08::77 fd08::10
    check "$2: its own address, to the server's tunnel address (IPv4)" "$1" "$T/at-srv" "$EVIL" 192.0.9.2 10.8.0.1
    check "$2: its own address, to the server's tunnel address (IPv6)" "$1" "$T/at-srv" "$EVIL" 2001:db8:9::2 fd08::1
    check "$2: a client's address, to the server (IPv4)" "$1" "$T/at-srv" "$EVIL" 10.8.0.77 192.168.100.1
    check "$2: a client's address, to the server (IPv6)" "$1" "$T/at-srv" "$EVIL" fd08::77 fd64::1
}
# What is right keeps working.
proper() {
    check "$1: an inner host reaches a client (IPv4)" passes "$T/at-cli" "$INNER" 192.168.100.2 10.8.0.10
    check "$1: an inner host reaches a client (IPv6)" passes "$T/at-cli" "$INNER" fd64::2 fd08::10
    check "$1: a client reaches an inner host (IPv4)" passes "$T/at-inner" "$CLI" 10.8.0.10 192.168.100.2
    check "$1: a client reaches an inner host (IPv6)" passes "$T/at-inner" "$CLI" fd08::10 fd64::2
    check "$1: a client reaches the server (IPv4)" passes "$T/at-srv" "$CLI" 10.8.0.10 10.8.0.1
    check "$1: a client reaches the server (IPv6)" passes "$T/at-srv" "$CLI" fd08::10 fd08::1
    check "$1: the server reaches itself" passes "$T/at-srv" "$SRV" 10.8.0.1 10.8.0.1
    check "$1: whoever is routed there reaches a client" passes "$T/at-cli" "$EVIL" 192.0.9.2 10.8.0.10
}
proper "guarded"
attacks stopped "stopped"

# The inner network does not reach the server's tunnel address, though it reaches clients.
check "the server's tunnel address is the tunnel's alone" stopped "$T/at-srv" "$INNER" 192.168.100.2 10.8.0.1

# Without the table all of them work: the tests above measure what it does.
srv nft delete table inet vpn
attacks passes "works without the table"
check "reload" reload
check "the table is back" srv nft list table inet vpn
attacks stopped "stopped again"

# Where clients are masqueraded nobody knows their addresses.
cat >"$T/etc/vpn.yaml.d/40-nat.yaml" <<EOF
masquerade:
  - {from: 10.8.0.0/24, device: eth2}
  - {from: "::/0", device: eth2}
EOF
check "masquerading: reload" reload
check "beyond a masqueraded interface nobody reaches clients (IPv4)" stopped "$T/at-cli" "$EVIL" 192.0.9.2 10.8.0.10
check "beyond a masqueraded interface nobody reaches clients (IPv6)" stopped "$T/at-cli" "$EVIL" 2001:db8:9::2 fd08::10
check "but the server itself is reached there" passes "$T/at-srv" "$EVIL" 2001:db8:9::2 2001:db8:9::1
rm "$T/etc/vpn.yaml.d/40-nat.yaml"
check "no masquerading: reload" reload
proper "in the end"

# The table is replaced in one step: not one packet of a steady stream slips through.
ip netns exec "$EVIL" perl -MSocket=:all -e '
    socket my $s, PF_INET, SOCK_DGRAM, 0; bind $s, sockaddr_in(0, inet_aton("10.8.0.77"));
    my $to = sockaddr_in(4000, inet_aton("192.168.100.1")); my $n = 0;
    until (-e $ARGV[0]) { send $s, "leak", 0, $to for 1 .. 50; $n += 50 }
    open my $f, ">", "$ARGV[0].sent"; print $f $n' "$T/enough" &
PIDS+=($!)
for i in 1 2 3 4 5; do
    printf 'masquerade:\n  - {from: 10.8.0.0/24, device: other%d}\n' $i >"$T/etc/vpn.yaml.d/40-nat.yaml"
    reload || break
done
rm "$T/etc/vpn.yaml.d/40-nat.yaml"
check "the table is replaced six times" reload
touch "$T/enough"
check "a stream of packets all the while" wait_for 5 test -s "$T/enough.sent"
echo "# $(cat "$T/enough.sent") packets"
check "none of them slips through" stopped "$T/at-srv" "$EVIL" 10.8.0.77 192.168.100.1
check "none has" sh -c "! grep -q leak $T/at-srv"

# The same beside the client: nobody on its networks reaches its tunnel address.
ip -n "$EVIL" route add 10.8.0.10 via 192.0.8.1
ip -n "$EVIL" -6 route add fd08::10 via 2001:db8:8::1
beside() { # passes or stopped, WORDS
    check "$2: beside the client, its own address (IPv4)" "$1" "$T/at-cli" "$EVIL" 192.0.8.2 10.8.0.10
    check "$2: beside the client, its own address (IPv6)" "$1" "$T/at-cli" "$EVIL" 2001:db8:8::2 fd08::10
    check "$2: beside the client, an inner host's address (IPv4)" "$1" "$T/at-cli" "$EVIL" 192.168.100.2 10.8.0.10
    check "$2: beside the client, an inner host's address (IPv6)" "$1" "$T/at-cli" "$EVIL" fd64::2 fd08::10
}
beside stopped "stopped"
check "the client's outer address is reached" passes "$T/at-cli" "$EVIL" 192.0.8.2 192.0.8.1
check "the client reaches itself" passes "$T/at-cli" "$CLI" 10.8.0.10 10.8.0.10
kill -STOP "$CLIENT" # it would put its table back
cli nft delete table inet vpn-client
beside passes "works without the client's table"
kill -CONT "$CLIENT"
check "the client puts its table back" wait_for 5 cli nft list table inet vpn-client
beside stopped "stopped again"
ip -n "$EVIL" route del 10.8.0.10
ip -n "$EVIL" -6 route del fd08::10
check "the client ends" stop "$CLIENT"
check "and leaves no table" sh -c "[ -z \"\$(ip netns exec $CLI nft list ruleset)\" ]"

# A killed server leaves its table: nothing is open until it is back, which adopts it.
kill -9 "$SERVER"; wait "$SERVER" 2>/dev/null
check "the table outlives a killed server" srv nft list table inet vpn
reloads=0
check "the server starts again" server_start
check "the table is as before" srv nft list table inet vpn
check "clean exit" stop "$SERVER"
srv nft list ruleset >"$T/after.nft"
check "the packet filter is as it was" cmp "$T/before.nft" "$T/after.nft"
finish
