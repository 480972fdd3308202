#!/bin/bash
# The first tunnel: a login, ping and large transfers in both families, both directions, status,
# clean exit of both sides.
. "$(dirname "$0")/lib.sh"
topo_up
server_config && user_add alice && client_config alice 'routes: [10.8.0.0/24, "fd08::/64", 192.168.100.0/24, "fd64::/64"]'

srv ip addr >"$T/srv-before"; srv ip rule >>"$T/srv-before"; srv ip route show table all >>"$T/srv-before"
cli ip addr >"$T/cli-before"; cli ip rule >>"$T/cli-before"; cli ip route show table all >>"$T/cli-before"

check "the server starts" server_start
client_start alice
check "the client connects" client_connected alice
for m in 'connecting to' 'authentication successful' 'VPN address assigned: 10.8.0.10/24' 'TUN interface'; do
    check "the client says: $m" grep -q "$m" "$T/client-alice.log"
done

check "ping the server, IPv4" cli ping -c 3 -i 0.2 -W 2 10.8.0.1
check "ping the server, IPv6" cli ping -c 3 -i 0.2 -W 2 fd08::1
check "ping the inner host, IPv4" cli ping -c 3 -i 0.2 -W 2 192.168.100.2
check "ping the inner host, IPv6" cli ping -c 3 -i 0.2 -W 2 fd64::2
check "the inner host pings the client, IPv4" inner ping -c 3 -i 0.2 -W 2 10.8.0.10
check "the inner host pings the client, IPv6" inner ping -c 3 -i 0.2 -W 2 fd08::10
check "a full-size packet, DF set" cli ping -c 2 -i 0.2 -W 2 -M do -s 1372 192.168.100.2
check "fragments of a 4000-byte ping" cli ping -c 2 -i 0.2 -W 2 -s 4000 192.168.100.2

# transfer FROM TO ADDRESS: 64 MiB of random bytes, hashes compared
head -c 67108864 /dev/urandom >"$T/data"
want=$(sha256sum <"$T/data")
transfer() {
    local fam=4 pid
    case $3 in *:*) fam=6;; esac
    "$2" timeout 60 socat -u "TCP$fam-LISTEN:4040,reuseaddr" "CREATE:$T/got" &
    pid=$!
    wait_for 5 sh -c "ip netns exec $4 ss -Hltn sport = :4040 | grep -q ."
    "$1" timeout 60 socat -u "OPEN:$T/data" "TCP$fam:${5:-[$3]}:4040"
    wait $pid
    [ "$(sha256sum <"$T/got")" = "$want" ]
}
check "64 MiB client → inner, IPv4" transfer cli inner 192.168.100.2 "$INNER" 192.168.100.2
check "64 MiB inner → client, IPv4" transfer inner cli 10.8.0.10 "$CLI" 10.8.0.10
check "64 MiB client → inner, IPv6" transfer cli inner fd64::2 "$INNER"
check "64 MiB inner → client, IPv6" transfer inner cli fd08::10 "$CLI"

check "vpnctl status" srv "$BIN/vpnctl" -s "$T/etc/vpn.sock" status
status_json >"$T/status.json"
check "status counts one session" grep -q '"sessions": *1' "$T/status.json"
srv "$BIN/vpnctl" -j -s "$T/etc/vpn.sock" users >"$T/users.json"
check "users shows alice's address and endpoint" grep -q '192.0.2.2:' "$T/users.json"
check "client status" cli "$BIN/vpnctl" -s "$T/alice.sock" status
check "nothing was forged, replayed or spoofed" \
    sh -c "! grep -E '\"(forged|replay|spoofed|bad-inner|not-fresh)\": *[1-9]' '$T/status.json'"

stop "$CLIENT"
check "the client ends with status 0" test $? = 0
check "the server notices" wait_for 3 grep -q 'alice: disconnected' "$T/server.log"
cli ip addr >"$T/cli-after"; cli ip rule >>"$T/cli-after"; cli ip route show table all >>"$T/cli-after"
check "the client leaves its kernel as found" diff "$T/cli-before" "$T/cli-after"
stop "$SERVER"
check "the server ends with status 0" test $? = 0
srv ip addr >"$T/srv-after"; srv ip rule >>"$T/srv-after"; srv ip route show table all >>"$T/srv-after"
check "the server leaves its kernel as found" diff "$T/srv-before" "$T/srv-after"
check "no process of ours is left" sh -c "! ip netns pids $SRV | grep . && ! ip netns pids $CLI | grep ."
finish
