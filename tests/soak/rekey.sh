#!/bin/bash
# Sessions are renewed in real time: 290 s, so twice or more, one client with traffic both ways, one
# idle.  Not one packet is lost, none is refused for its session, no session is dropped.
#
#   cli  192.0.2.2 ─── 192.0.2.1 srv 192.0.3.1 ─── 192.0.3.2 two
. "$(dirname "$0")/../net/lib.sh"
topo_up
TWO=vpnt-2-$$-$RANDOM
trap 'ip netns pids $TWO 2>/dev/null | xargs -r kill 2>/dev/null; topo_down; ip netns del $TWO 2>/dev/null' EXIT
ip netns add "$TWO"
ip -n "$TWO" link set lo up
ip link add vpnt-d$$ netns "$TWO" type veth peer name eth2 netns "$SRV"
ip -n "$TWO" link set vpnt-d$$ name eth0
ip -n "$TWO" addr add 192.0.3.2/24 dev eth0
ip -n "$SRV" addr add 192.0.3.1/24 dev eth2
ip -n "$TWO" link set eth0 up
ip -n "$SRV" link set eth2 up

SECONDS_ALL=${SOAK_SECONDS:-290}
server_config && user_add busy && user_add idle 192.0.3.1:51820
client_config busy 'routes: [10.8.0.0/24, 192.168.100.0/24]'
client_config idle 'routes: [10.8.0.1/32]'
check "the server starts" server_start
client_start busy
check "the busy client connects" client_connected busy
ip netns exec "$TWO" "$BIN/vpn-client" -v -c "$T/idle.yaml" >"$T/client-idle.log" 2>&1 & PIDS+=($!)
check "the idle client connects" client_connected idle

inner iperf3 -s -1 -B 192.168.100.2 >"$T/iperf-s.log" 2>&1 & PIDS+=($!)
wait_for 5 sh -c "ip netns exec $INNER ss -Hltn 'sport = :5201' | grep -q ."
cli iperf3 -c 192.168.100.2 -t "$SECONDS_ALL" -b 40M --bidir >"$T/iperf-c.log" 2>&1 & I=$!
n=$((SECONDS_ALL * 50))
cli ping -q -i 0.02 -c $n -s 1000 192.168.100.2 >"$T/ping-up" 2>&1 & A=$!
inner ping -q -i 0.02 -c $n -s 1000 10.8.0.10 >"$T/ping-down" 2>&1 & B=$!
wait $A $B
lost() { sed -n 's/^\([0-9]*\) packets transmitted, \([0-9]*\) received.*/\1 \2/p' "$1" | awk '{ print $1 - $2 }'; }
grep transmitted "$T/ping-up" "$T/ping-down" | sed 's/^.*:/# /'
renewed() { grep -c 'session renewed' "$T/client-$1.log"; }
echo "# renewals: busy $(renewed busy), idle $(renewed idle)"
check "the busy client's session was renewed at least $((SECONDS_ALL / 125)) times" \
    test "$(renewed busy)" -ge $((SECONDS_ALL / 125))
check "the idle client's as well" test "$(renewed idle)" -ge $((SECONDS_ALL / 125))
check "no ping of $n was lost, client to inner host" test "$(lost "$T/ping-up")" = 0
check "no ping of $n was lost, inner host to client" test "$(lost "$T/ping-down")" = 0
wait $I
check "the TCP streams went on to their end" grep -q 'receiver' "$T/iperf-c.log"
check "the idle client answers" srv ping -c 3 -i 0.2 -W 2 "$(ip -n "$TWO" -4 -o addr show dev tun0 | sed 's/.*inet \([0-9.]*\).*/\1/')"
for c in busy idle; do
    check "$c: one login, no reconnection" sh -c "[ \$(grep -c 'authentication successful' '$T/client-$c.log') = 1 ]"
done
status_json >"$T/status.json"
check "no packet was refused for its session" \
    sh -c "! grep -E '\"(expired|unknown-index|no-session|replay|forged|not-fresh|wrong-lane|bad-sequence)\": *[1-9]' '$T/status.json'"
finish
