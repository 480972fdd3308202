#!/bin/bash
# More than one lane: four lanes at the server, several clients, every session in its own lane,
# TUN queues spread flows over all of them.
. "$(dirname "$0")/lib.sh"
topo_up
server_config 'server:' '  workers: 4' || exit 1
for u in ann bob cid; do user_add $u; done
for u in ann bob cid; do client_config $u "device: tun-$u" 'routes: [10.8.0.1/32]'; sed -i '0,/    device: tun0/{/    device: tun0/d}' "$T/$u.yaml"; done
check "the server starts" server_start
check "status says four lanes" sh -c "ip netns exec $SRV $BIN/vpnctl -j -s $T/etc/vpn.sock status | grep -q '\"lanes\": *4'"
check "four sockets, and one for logins, share the port" sh -c "[ \$(ip netns exec $SRV ss -Hulpn 'sport = :51820' | grep -c 0.0.0.0:51820) = 5 ]"

# One namespace per further client, all behind the same link: the bridge is the client's namespace.
client_start ann
check "ann connects" client_connected ann
check "ann pings" cli ping -c 5 -i 0.1 -W 2 10.8.0.1
stop "$CLIENT"

# A second start in the same namespace is refused.
client_start ann
check "ann connects again" client_connected ann
first=$CLIENT
ip netns exec "$CLI" "$BIN/vpn-client" -c "$T/bob.yaml" >"$T/second.log" 2>&1
check "a second vpn-client in the namespace is refused" test $? -ne 0
check "it says why" grep -qi 'running' "$T/second.log"

# Eight parallel streams: the kernel spreads them over the four TUN queues, so that all four lanes
# seal for the one session, while one lane opens.
srv timeout 30 iperf3 -s -B 10.8.0.1 -1 >"$T/iperf-s.log" 2>&1 &
PIDS+=($!)
wait_for 5 sh -c "ip netns exec $SRV ss -Hltn 'sport = :5201' | grep -q ."
check "eight streams to the client" cli timeout 30 iperf3 -c 10.8.0.1 -R -P 8 -t 3
status_json >"$T/status.json"
check "nothing was lost to a wrong lane or a replay" \
    sh -c "! grep -E '\"(wrong-lane|replay|forged|not-fresh)\": *[1-9]' '$T/status.json'"
stop "$first"
finish
