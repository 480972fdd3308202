#!/bin/bash
# The server restarts under twenty clients: all are back within three seconds, at their addresses,
# after a clean stop and after kill -9, with traffic and without, all of them behind one address.
#
#   cli: one vpn-client, tunnels t1 to t20 of the users u1 to u20 ─── srv
. "$(dirname "$0")/lib.sh"
topo_up
server_config
CLIENTS=20
many_config $CLIENTS

now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
# all_back SINCE WHAT: every client is, within three seconds of the server's start, at its address.
# (How long the start takes, and a stop before it, is the machine's load, not ours.)
all_back() {
    local up ms
    up=$(now_ms)
    wait_for 40 online $CLIENTS || { not_ok "$2: $(vpnctl users | grep -c ' online ') of $CLIENTS are back"; return; }
    ms=$(now_ms)
    if [ $((ms - up)) -le 3000 ]; then ok "$2: $CLIENTS clients back $((ms - up)) ms after the start, $((ms - $1)) ms in all"
    else not_ok "$2: back only $((ms - up)) ms after the start, $((ms - $1)) ms in all"; fi
    addresses >"$T/now"
    check "$2: at their addresses" diff "$T/first" "$T/now"
}

check "the server starts" server_start
many_start
check "twenty tunnels are up" wait_for 20 online $CLIENTS
addresses >"$T/first"

t=$(now_ms)
stop "$SERVER"
server_start
all_back $t "clean restart, idle clients"

many_traffic $CLIENTS
t=$(now_ms)
stop "$SERVER"
server_start
all_back $t "clean restart, clients with traffic"

crash
t=$(now_ms)
server_start
all_back $t "kill -9, clients with traffic"
many_quiet

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
