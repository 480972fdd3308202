#!/bin/bash
# A client that sleeps: stopped for 100 s it has its session afterwards; stopped for 200 s, longer than
# any session lives (180 s), it logs in again by itself.  Both within 3 s of waking, once as the only
# one that has something to say, once while the server sends to it all the time.
#
#   cli 192.0.2.2 ─── 192.0.2.1 srv 192.168.100.1 ─── 192.168.100.2 inner
. "$(dirname "$0")/../net/lib.sh"
topo_up
STOPPED=''
# Whoever sleeps does not end: an interrupted test would wait for it for ever.
trap 'kill -CONT $STOPPED 2>/dev/null; topo_down' EXIT
server_config && user_add alice && client_config alice 'routes: [10.8.0.0/24, 192.168.100.0/24]'
KEPT=${SOAK_KEPT:-100} LOST=${SOAK_LOST:-200}

logins() { grep -c 'authentication successful' "$T/client-alice.log"; }
ping_works() { cli ping -c 1 -W 0.2 10.8.0.1; }
now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
address() { ip -n "$CLI" -4 -o addr show dev tun0 | sed -n 's/.*inet \([^ ]*\) .*/\1/p'; }
sleeps() { # SECONDS: the client, its spawner and its enclave
    STOPPED=$(ip netns pids "$CLI")
    kill -STOP $STOPPED
    sleep "$1"
    kill -CONT $STOPPED
    WOKEN=$(now_ms)
}
awake() { # DESCRIPTION: the tunnel works within 3 s of waking
    local ms
    wait_for 30 ping_works || { not_ok "$1: never back"; return; }
    ms=$(($(now_ms) - WOKEN))
    if [ $ms -le 3000 ]; then ok "$1: back after $ms ms"; else not_ok "$1: back only after $ms ms"; fi
}

check "the server starts" server_start
client_start alice
check "the client connects" client_connected alice
check "ping" wait_for 5 ping_works
first=$(address)

sleeps "$KEPT"
awake "asleep for $KEPT s"
check "with the session it had" test "$(logins)" = 1
check "which the server has never given up" sh -c "! grep -q 'session ended' '$T/server.log'"

# Fresh, so that what comes next is its whole life.
client_fresh() { stop "$CLIENT"; client_start alice; client_connected alice; }
check "a fresh client" client_fresh
sleeps "$LOST"
awake "asleep for $LOST s"
check "with a login of its own" test "$(logins)" = 2
check "at the same address" test "$(address)" = "$first"

inner ping -i 0.2 -W 1 "${first%/*}" >/dev/null 2>&1 & P=$!
PIDS+=($P)
check "a fresh client" client_fresh
sleeps "$LOST"
awake "asleep for $LOST s, while somebody calls it"
check "with a login of its own" test "$(logins)" = 2
kill $P
stop "$CLIENT"
check "the client ends with status 0" test $? = 0
stop "$SERVER"
finish
