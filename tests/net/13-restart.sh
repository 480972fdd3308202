#!/bin/bash
# The server restarts under twenty clients: all are back within three seconds, at their addresses,
# after a clean stop and after kill -9, with traffic and without, all of them behind one address.
#
#   cli: one vpn-client, tunnels t1 to t20 of the users u1 to u20 ─── srv
. "$(dirname "$0")/lib.sh"
topo_up
server_config
CLIENTS=20
printf 'version: 1\nstate: %s/state\ncontrol: {socket: %s/many.sock}\ntunnels:\n' "$T" "$T" >"$T/many.yaml"
chmod 600 "$T/many.yaml"
for ((i = 1; i <= CLIENTS; i++)); do
    user_add "u$i" 192.0.2.1:51820 --key
    # The profile's one tunnel, under another name, on a device of its own.
    sed -n '/^tunnels:/,$p' "$T/u$i.client.yaml" | sed "1d; s/device: .*/device: t$i/; s/^  [^ ].*:$/  u$i:/" >>"$T/many.yaml"
    grep -q 'device:' "$T/u$i.client.yaml" || echo "    device: t$i" >>"$T/many.yaml"
    # One host, one server, many tunnels: each has a route of its own length to it.
    net=$((i == 1 ? 1 : 0))
    [ $((33 - i)) -gt 12 ] && printf '    routes: [10.8.0.%d/%d]\n' $net $((33 - i)) >>"$T/many.yaml"
done

vpnctl() { srv "$BIN/vpnctl" "$@" -s "$T/etc/vpn.sock"; }
sessions() { [ "$(vpnctl users | grep -c ' online ')" = "$1" ]; }
addresses() { vpnctl users | awk '$2 == "online" { print $1, $3, $4 }' | sort; }
now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
crash() {
    kill -9 "$SERVER"
    wait "$SERVER" 2>/dev/null
    wait_for 5 sh -c "! ip netns pids $SRV | grep -q ."
}
traffic_start() {
    local i
    TRAFFIC=()
    for ((i = 1; i <= CLIENTS; i++)); do
        ip netns exec "$CLI" ping -q -I "t$i" -i 0.5 -W 1 10.8.0.1 >/dev/null 2>&1 &
        TRAFFIC+=($!)
    done
    PIDS+=("${TRAFFIC[@]}")
}
traffic_stop() { kill "${TRAFFIC[@]}"; wait "${TRAFFIC[@]}" 2>/dev/null; }
# all_back SINCE WHAT: every client is, within three seconds of the server's start, at its address.
# (How long the start takes, and a stop before it, is the machine's load, not ours.)
all_back() {
    local up ms
    up=$(now_ms)
    wait_for 40 sessions $CLIENTS || { not_ok "$2: $(vpnctl users | grep -c ' online ') of $CLIENTS are back"; return; }
    ms=$(now_ms)
    if [ $((ms - up)) -le 3000 ]; then ok "$2: $CLIENTS clients back $((ms - up)) ms after the start, $((ms - $1)) ms in all"
    else not_ok "$2: back only $((ms - up)) ms after the start, $((ms - $1)) ms in all"; fi
    addresses >"$T/now"
    check "$2: at their addresses" diff "$T/first" "$T/now"
}

check "the server starts" server_start
ip netns exec "$CLI" "$BIN/vpn-client" -c "$T/many.yaml" >"$T/client-many.log" 2>&1 & MANY=$!
PIDS+=("$MANY")
check "twenty tunnels are up" wait_for 20 sessions $CLIENTS
addresses >"$T/first"

t=$(now_ms)
stop "$SERVER"
server_start
all_back $t "clean restart, idle clients"

traffic_start
t=$(now_ms)
stop "$SERVER"
server_start
all_back $t "clean restart, clients with traffic"

crash
t=$(now_ms)
server_start
all_back $t "kill -9, clients with traffic"
traffic_stop

# Nothing is sent through the tunnels: only the server's notes tell it whom to tell.
crash
t=$(now_ms)
server_start
all_back $t "kill -9, idle clients"

# The enclave alone dies.
t=$(now_ms)
kill -9 "$(enclave_pid "$SERVER")"
wait_for 5 sh -c "ip netns exec $SRV $BIN/vpnctl -j -s $T/etc/vpn.sock status | grep -qE '\"restarts\": *1'"
all_back $t "the enclave killed, idle clients"

stop "$MANY"
stop "$SERVER"
check "the server ends with status 0" test $? = 0
finish
