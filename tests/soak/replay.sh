#!/bin/bash
# A million recorded CONNECT_REQs sent again, to the server that answered them and to one that was
# started after it: no session, no lease and no byte of memory comes of them, and the user they are
# from is not disturbed.
#
# SOAK_REPLAYS (1000000) makes it shorter.
. "$(dirname "$0")/../net/lib.sh"
FLOOD=${VPN_BUILD:-$BIN/../build}/tests/net/flood
REPLAYS=${SOAK_REPLAYS:-1000000} RATE=10000
[ -x "$FLOOD" ] || skip "$FLOOD is not there (make tests)"
topo_up
ip -n "$SRV" route add 198.18.0.0/15 via 192.0.2.2
server_config && user_add alice 192.0.2.1:51820 --key
client_config alice 'routes: [10.8.0.0/24]'

# state: sessions, leases, users; without the times and counts that a living session changes
state() {
    srv "$BIN/vpnctl" -j -s "$T/etc/vpn.sock" users | grep -vE 'last_|_bytes'
    status_json | grep -E '"(sessions|active|restarts)"'
    find "$T/etc/state" -name '*.db' | sort
}
# What they share with nobody.
own_kb() {
    local spawner
    spawner=$(pgrep -P "$SERVER")
    for p in "$SERVER" "$spawner" "$(pgrep -P "$spawner")"; do cat "/proc/$p/smaps_rollup"; done |
        awk '/^Pss_Anon:/ { s += $2 } END { print s }'
}
counter() { status_json | sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p" | head -n 1; }
send() { # HOW MANY: until so many are sent, however long that takes
    local sent=0 n
    while [ $sent -lt "$1" ]; do
        n=$(ip netns exec "$CLI" "$FLOOD" replay 192.0.2.1 51820 $RATE 5 "$T/recorded") || return
        sent=$((sent + n))
    done
    echo $sent
}
replay_all() { # WHEN
    local sent kb
    # The first of them touch what is touched once: tables, stacks, buffers.
    send $((2 * RATE)) >"$T/sent"
    kb=$(own_kb)
    state >"$T/state-1"
    sent=$(send "$REPLAYS")
    state >"$T/state-2"
    echo "# $1: $sent sent, $(counter login-replay) known to the enclave, $(counter login-cookie) asked for" \
        "a cookie, $kb kB before and $(own_kb) kB after"
    check "$1: $REPLAYS were sent" test "${sent:-0}" -ge "$REPLAYS"
    check "$1: no state has changed" diff "$T/state-1" "$T/state-2"
    check "$1: no memory was taken" test "$(own_kb)" -le $((kb + 100))
    check "$1: the server was there all the time" kill -0 "$SERVER"
}

check "the server starts" server_start
ip netns exec "$CLI" "$FLOOD" record 51820 "$T/recorded" >"$T/record.log" 2>&1 & RECORD=$!
PIDS+=("$RECORD")
wait_for 5 grep -q recording "$T/record.log"
for i in 1 2 3 4 5; do
    client_start alice
    check "alice connects ($i)" client_connected alice
    [ $i = 5 ] || { stop "$CLIENT"; wait_for 3 sh -c "[ \$(grep -c 'alice: disconnected' $T/server.log) = $i ]"; }
done
kill "$RECORD"; wait "$RECORD" 2>/dev/null
check "requests were recorded" test "$(stat -c %s "$T/recorded")" -ge $((6 * 280))

ip netns exec "$CLI" ping -i 0.5 -q 10.8.0.1 >"$T/ping" 2>&1 & PING=$!
PIDS+=("$PING")
replay_all "with a session"
kill -INT "$PING"; wait "$PING" 2>/dev/null
grep 'packet loss' "$T/ping" | sed 's/^/# /'
check "alice's packets went on" sh -c "! grep -qE '([2-9]|[0-9]{2,})(\.[0-9]*)?% packet loss' '$T/ping' && grep -q received '$T/ping'"
check "in the session she had" test "$(grep -c 'authentication successful' "$T/client-alice.log")" = 1
stop "$CLIENT"; stop "$SERVER"
: >"$T/server.log"
check "the server starts again" server_start
replay_all "after a restart"
client_start alice
check "alice logs in as ever" client_connected alice
stop "$CLIENT"; stop "$SERVER"
finish
