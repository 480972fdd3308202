#!/bin/bash
# A path that does not carry the tunnel's 1400: found by probing, told to hosts inside, and nothing
# lost meanwhile.  Over IPv4 and IPv6; a black hole (the far end's MTU is smaller, nobody says so),
# a link that shrinks later (EMSGSIZE), and one so small that the outer packets must be cut.
#
# takes: 30
. "$(dirname "$0")/lib.sh"
topo_up
MID=vpnt-m-$$-$RANDOM
trap 'topo_down; ip netns del $MID 2>/dev/null' EXIT
server_config && user_add alice && client_config alice 'routes: [10.8.0.0/24, "fd08::/64", 192.168.100.0/24, "fd64::/64"]'
cp "$T/alice.yaml" "$T/alice4.yaml"
sed 's|192.0.2.1:51820|[2001:db8:1::1]:51820|' "$T/alice4.yaml" >"$T/alice6.yaml"
mtu() { ip -n "$CLI" link set eth0 mtu "$1" && ip -n "$SRV" link set eth0 mtu "$2"; }
head -c 8388608 /dev/urandom >"$T/data"
want=$(sha256sum <"$T/data")
transfer() { # FROM TO ADDRESS TO-NAMESPACE
    local fam=4 at=$3 pid
    case $3 in *:*) fam=6 at="[$3]";; esac
    "$2" timeout 30 socat -u "TCP$fam-LISTEN:4040,reuseaddr" "CREATE:$T/got" &
    pid=$!
    wait_for 5 sh -c "ip netns exec $4 ss -Hltn sport = :4040 | grep -q ."
    "$1" timeout 30 socat -u "OPEN:$T/data" "TCP$fam:$at:4040"
    wait $pid
    [ "$(sha256sum <"$T/got")" = "$want" ]
}
# told WHERE ADDRESS SIZE MTU: a ping that must not be cut is told the MTU
told() {
    "$1" ping -c 1 -W 1 -M do -s "$3" "$2" 2>&1 | grep -qE "mtu *[=:] *$4\b|mtu=$4\b"
}
# measured_ms: from the moment the client is connected until its path has been measured
measured_ms() {
    local since=${EPOCHREALTIME/./}
    wait_for 5 sh -c "ip netns exec $CLI $BIN/vpnctl -j -s $T/alice.sock status | grep -qE '\"path_mtu\": *1400\b'"
    echo $(((${EPOCHREALTIME/./} - since) / 1000))
}
forget() { for ns in "$CLI" "$INNER" "$SRV"; do ip -n "$ns" route flush cache; ip -n "$ns" -6 route flush cache; done; }
drops() { status_json | sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p" | head -n 1; }

check "the server starts" server_start
# Of the path's 1400, outer IPv4 and UDP take 28, IPv6 and UDP 48, the tunnel 44; steps of 16.
# (A veth takes in 4 bytes more than its MTU, room for a VLAN tag: so 1312 passes towards the server.)
for round in 4:1328:1328 6:1296:1312; do
    IFS=: read -r outer found up <<<"$round"
    mtu 1500 1400
    : >"$T/client-alice.log"
    cp "$T/alice$outer.yaml" "$T/alice.yaml"
    client_start alice
    check "outer IPv$outer: the client connects" client_connected alice
    check "outer IPv$outer: 8 MiB at once, server to client" transfer inner cli 10.8.0.10 "$CLI"
    check "outer IPv$outer: the client is told $up" wait_for 8 told cli 192.168.100.2 1372 $up
    check "outer IPv$outer: status shows it" sh -c "ip netns exec $CLI $BIN/vpnctl -j -s $T/alice.sock status | grep -qE '\"path_mtu\": *$up\b'"
    check "outer IPv$outer: the inner host is told $found" wait_for 8 told inner 10.8.0.10 1372 $found
    check "outer IPv$outer: the same inside IPv6" wait_for 8 told cli fd64::2 1352 $up
    check "outer IPv$outer: inner IPv6 host likewise" wait_for 8 told inner fd08::10 1352 $found
    check "outer IPv$outer: what was told does pass" cli ping -c 2 -i 0.2 -W 2 -M do -s $((found - 28)) 192.168.100.2
    check "outer IPv$outer: and back" inner ping -c 2 -i 0.2 -W 2 -M do -s $((found - 28)) 10.8.0.10
    check "outer IPv$outer: 8 MiB client → inner" transfer cli inner 192.168.100.2 "$INNER"
    check "outer IPv$outer: 8 MiB inner → client, inner IPv6" transfer inner cli fd08::10 "$CLI"
    stop "$CLIENT"
    forget
done
check "the server counted what was too big" test "$(drops too-big)" -gt 0

# It fits at first and shrinks later: the kernel refuses sizes, and both sides measure again.
mtu 1500 1500
cp "$T/alice4.yaml" "$T/alice.yaml"
took=''
for _ in 1 2 3; do
    [ -z "$took" ] || stop "$CLIENT"
    client_start alice
    check "a path of 1500: the client connects" client_connected alice
    took="$took $(measured_ms)"
done
# A second search would begin a second after the first one.
check "its first search finds that ($took ms)" test "$(printf '%s\n' $took | sort -n | head -n 1)" -lt 700
check "a full-size packet passes" wait_for 5 cli ping -c 1 -W 1 -M do -s 1372 192.168.100.2
mtu 1400 1400
check "it shrinks to 1400: packets that may be cut are not lost" cli ping -c 3 -i 0.2 -W 2 -M dont -s 1372 192.168.100.2
check "the client is told 1328" wait_for 8 told cli 192.168.100.2 1372 1328
check "the inner host is told 1328" wait_for 8 told inner 10.8.0.10 1372 1328
check "packets that may be cut still pass" cli ping -c 3 -i 0.2 -W 2 -M dont -s 1372 192.168.100.2
stop "$CLIENT"
forget

# Less than 1280 inside: the outer packets are cut, inside 1280 remains.
for outer in 4 6; do
    mtu 1280 1280
    : >"$T/client-alice.log"
    cp "$T/alice$outer.yaml" "$T/alice.yaml"
    client_start alice
    check "a path of 1280, outer IPv$outer: the client connects" client_connected alice
    check "1280 bytes pass inside IPv6" cli ping -c 3 -i 0.2 -W 2 -M do -s 1232 fd64::2
    check "and back" inner ping -c 3 -i 0.2 -W 2 -M do -s 1232 fd08::10
    check "8 MiB client → inner" transfer cli inner fd64::2 "$INNER"
    check "8 MiB inner → client" transfer inner cli 10.8.0.10 "$CLI"
    stop "$CLIENT"
done
# The same with a router in between, where the client cannot see the small link:
#   cli 198.51.100.2 ─── 198.51.100.1 mid 198.51.101.2 ──(1280)── 198.51.101.1 srv, and 2001:db8:2, :3
mtu 1500 1500
ip netns add "$MID"
ip netns exec "$MID" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.accept_dad=0
link() { # NS DEVICE NUMBER HOST MTU: the middle's device has the same name
    ip link add "$2" netns "$1" type veth peer name "$2" netns "$MID"
    ip -n "$1" addr add "198.51.10$3.$4/24" dev "$2"
    ip -n "$1" addr add "2001:db8:$(($3 + 2))::$4/64" dev "$2" nodad
    ip -n "$MID" addr add "198.51.10$3.$((3 - $4))/24" dev "$2"
    ip -n "$MID" addr add "2001:db8:$(($3 + 2))::$((3 - $4))/64" dev "$2" nodad
    ip -n "$MID" link set "$2" mtu "$5" up
    ip -n "$1" link set "$2" mtu "$5" up
}
link "$CLI" mid0 0 2 1500
link "$SRV" mid1 1 1 1280
ip -n "$CLI" route add 198.51.101.0/24 via 198.51.100.1
ip -n "$CLI" -6 route add 2001:db8:3::/64 via 2001:db8:2::1
ip -n "$SRV" route add 198.51.100.0/24 via 198.51.101.2
ip -n "$SRV" -6 route add 2001:db8:2::/64 via 2001:db8:3::2
for at in 198.51.101.1:51820 '[2001:db8:3::1]:51820'; do
    : >"$T/client-alice.log"
    sed "s|192.0.2.1:51820|$at|" "$T/alice4.yaml" >"$T/alice.yaml"
    client_start alice
    check "a router before a link of 1280, $at: the client connects" client_connected alice
    check "1280 bytes pass at once" cli ping -c 4 -i 0.2 -W 2 -M do -s 1232 fd64::2
    check "larger ones that may be cut as well" cli ping -c 3 -i 0.2 -W 2 -M dont -s 1372 192.168.100.2
    check "and back" inner ping -c 3 -i 0.2 -W 2 -M dont -s 1372 10.8.0.10
    check "8 MiB client → inner" transfer cli inner 192.168.100.2 "$INNER"
    stop "$CLIENT"
done
status_json >"$T/status.json"
check "nothing was forged, replayed or malformed" \
    sh -c "! grep -E '\"(forged|replay|malformed|bad-inner|not-fresh)\": *[1-9]' '$T/status.json'"
finish
