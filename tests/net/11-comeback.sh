#!/bin/bash
# Clients come back by themselves: the server restarts (cleanly, by kill -9, quickly, late), the
# client sleeps, the server's name leads elsewhere.
#
# takes: 85
. "$(dirname "$0")/lib.sh"
topo_up
trap 'rm -rf "/etc/netns/$CLI"; topo_down' EXIT
server_config && user_add alice && client_config alice 'routes: [10.8.0.0/24, 192.168.100.0/24]'
sessions() { status_json | grep -qE "\"sessions\": *$1\b"; }
ping_works() { cli ping -c 1 -W 0.2 10.8.0.1; }
now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
# back_within MS SINCE WHAT COMMAND...: how long after SINCE the command succeeds for the first time
back_within() {
    local limit=$1 since=$2 what=$3 ms
    shift 3
    wait_for 30 "$@" || { not_ok "$what: never back"; return; }
    ms=$(($(now_ms) - since))
    if [ $ms -le "$limit" ]; then ok "$what: back after $ms ms"; else not_ok "$what: back only after $ms ms"; fi
}
traffic() { ip netns exec "$CLI" ping -i 0.1 -W 1 10.8.0.1 >/dev/null 2>&1 & TRAFFIC=$!; PIDS+=($TRAFFIC); }
quiet() { kill $TRAFFIC; wait $TRAFFIC 2>/dev/null; }
server_start || { show_logs; exit 1; }
client_start alice
check "the client connects" client_connected alice
check "ping" ping_works

# From its start on: how long that takes, and a stop before it, is the machine's load.
# ---- the server restarts -------------------------------------------------------------------------
for round in 1 2; do
    stop "$SERVER"
    server_start
    back_within 3000 "$(now_ms)" "clean restart, idle client ($round)" sessions 1
done
traffic
stop "$SERVER"
server_start
back_within 3000 "$(now_ms)" "clean restart, client with traffic" ping_works
crash
server_start
back_within 3000 "$(now_ms)" "kill -9 and restart, client with traffic" ping_works
quiet

crash
server_start
back_within 3000 "$(now_ms)" "kill -9 and restart, idle client, told by the server" sessions 1
crash
rm "$T/etc/vpn-server.roster"
server_start
# Without notes nobody can tell it: it finds out with its first packet (or its next keepalive).
t=$(now_ms)
back_within 3000 $t "kill -9, notes lost, idle client, from its first packet" ping_works

stop "$SERVER"
sleep 7 # several of its attempts find nobody
server_start
t=$(now_ms)
back_within 3000 $t "clean stop, start 7 s later, idle client" sessions 1

traffic
crash
sleep 18 # by now a login waits for its answer
server_start
t=$(now_ms)
back_within 3000 $t "kill -9, start 18 s later, client with traffic" ping_works
quiet

# ---- the client sleeps ---------------------------------------------------------------------------
ip netns exec "$INNER" ping -i 0.1 -W 1 10.8.0.10 >/dev/null 2>&1 & P=$! # the server goes on sending meanwhile
PIDS+=($P)
stopped=$(ip netns pids "$CLI")
kill -STOP $stopped
sleep 20
kill -CONT $stopped
back_within 2000 "$(now_ms)" "client, spawner and enclave stopped for 20 s" ping_works
kill -STOP "$CLIENT"
sleep 8
kill -CONT "$CLIENT"
back_within 2000 "$(now_ms)" "the client alone stopped for 8 s" ping_works
kill $P
status_json >"$T/status.json"
check "no packet was taken for a forgery" sh -c "! grep -E '\"(forged|malformed|spoofed)\": *[1-9]' '$T/status.json'"
stop "$CLIENT"

# ---- the name leads elsewhere --------------------------------------------------------------------
mkdir -p "/etc/netns/$CLI"
echo '192.0.2.1 vpn.test' >"/etc/netns/$CLI/hosts"
sed -i 's|server: .*:51820.*|server: vpn.test:51820|' "$T/alice.yaml"
: >"$T/client-alice.log"
client_start alice
check "the client connects by name" client_connected alice
check "ping" ping_works
traffic
ip -n "$SRV" addr add 192.0.2.9/24 dev eth0
srv sysctl -qw net.ipv4.conf.eth0.promote_secondaries=1 net.ipv4.conf.all.promote_secondaries=1
ip -n "$SRV" addr del 192.0.2.1/24 dev eth0
echo '192.0.2.9 vpn.test' >"/etc/netns/$CLI/hosts" # in place: the client has this very file mounted
# 15 s without an answer, 5 s for the old address, then the name is looked up.
t=$(now_ms)
wait_for 5 sh -c "! ip netns exec $CLI ping -c 1 -W 0.2 10.8.0.1"
back_within 23000 $t "the server has moved, its name with it" ping_works
check "the client knows where" sh -c "ip netns exec $CLI $BIN/vpnctl -j -s $T/alice.sock status | grep -q '192.0.2.9:51820'"
check "without a new connection" sh -c "[ \$(grep -c 'authentication successful' '$T/client-alice.log') = 1 ]"
quiet
finish
