#!/bin/bash
# A link that corrupts, loses, duplicates and reorders what it carries, each alone and all at once, both
# ways: not one byte of a TCP transfer through the tunnel is lost or wrong, no session ends, no enclave
# dies, and the counters say what was refused.  With the offloads on, and without any.
#
#   cli 192.0.2.2 ─── netem ═══ netem ─── 192.0.2.1 srv          10.8.0.10 ══ 10.8.0.1
#
# One wrong bit is what UDP's checksum finds, and the kernel would drop all of it.  So each end makes
# the checksum anew on arrival, like a card or a middlebox that damages what it has checked: what is
# corrupt reaches the daemons.  With the offloads on, netem sees trains of datagrams: it loses, doubles
# and moves them whole, and spoils a datagram of one; so it does that oftener then, to fewer.
. "$(dirname "$0")/../net/lib.sh"
[ -n "${VPN_VM:-}" ] || skip "runs in tests/vm/run: it needs netem"
SIZE=2000000
topo_up
server_config && user_add alice && client_config alice 'routes: [10.8.0.0/24]' || exit 1
head -c $SIZE /dev/urandom >"$T/data"
WANT=$(sha256sum <"$T/data")

# link_is NETEM...: so is the outer link from now on, both ways
link_is() {
    local ns
    for ns in "$CLI" "$SRV"; do ip netns exec "$ns" tc qdisc replace dev eth0 root netem limit 10000 "$@" || return 1; done
}
for ns in "$CLI" "$SRV"; do
    ip netns exec "$ns" tc qdisc add dev eth0 ingress
    ip netns exec "$ns" tc filter add dev eth0 parent ffff: protocol ip u32 match ip protocol 17 0xff action csum udp ||
        skip "no act_csum"
done

# transfer FROM TO ADDRESS NAMESPACE: by hash; the receiver's namespace
transfer() {
    local pid
    rm -f "$T/got"
    "$2" timeout 200 socat -u "TCP4-LISTEN:4040,reuseaddr" "CREATE:$T/got" &
    pid=$!
    wait_for 5 sh -c "ip netns exec $4 ss -Hltn 'sport = :4040' | grep -q ." || { kill $pid; return 1; }
    "$1" timeout 200 socat -u "OPEN:$T/data" "TCP4:$3:4040" || { kill $pid; return 1; }
    wait "$pid"
    [ "$(sha256sum <"$T/got")" = "$WANT" ] || { ls -l "$T/got"; return 1; }
}

# refused NAME...: the sum of these counters of both daemons
refused() {
    local names=$*
    { status_json; cli "$BIN/vpnctl" -j -s "$T/alice.sock" status; } |
        sed -nE "s/.*\"(${names// /|})\": *([0-9]+).*/\2/p" | awk '{ n += $1 } END { print n + 0 }'
}
# lost: by netem, at both ends
lost() { for n in "$CLI" "$SRV"; do ip netns exec "$n" tc -s qdisc show dev eth0 root; done | sed -n 's/.*dropped \([0-9]*\).*/\1/p' | awk '{ n += $1 } END { print n + 0 }'; }
# disordered: inner segments that came ahead of earlier ones, at both ends
disordered() { for n in "$CLI" "$SRV"; do ip netns exec "$n" nstat -asz TcpExtTCPOFOQueue; done | awk '/OFOQueue/ { n += $2 } END { print n + 0 }'; }
FORGED='forged bad-length bad-type bad-version unknown-index malformed'
forged() { refused $FORGED; }
replayed() { refused replay; }

unharmed() {
    kill -0 "$SERVER" && kill -0 "$CLIENT" || return 1
    [ "$(grep -c 'alice: connected from' "$T/server.log")" = 1 ] || { grep alice: "$T/server.log"; return 1; }
    ! grep -E 'alice: (disconnected|silent|replaced)' "$T/server.log" || return 1
    ! grep -E 'connection lost|reconnecting' "$T/client-alice.log" || return 1
    { status_json; cli "$BIN/vpnctl" -j -s "$T/alice.sock" status; } >"$T/both.json"
    [ "$(grep -cE '"restarts": *0\b' "$T/both.json")" = 2 ] || { grep restarts "$T/both.json"; return 1; }
}

# bad WHAT PROOF NETEM...: a transfer each way over such a link; PROOF is what must have risen
bad() {
    local what="$OFFLOADS: $1" proof=$2 before t=$SECONDS
    shift 2
    link_is "$@" || { not_ok "$what: netem"; return; }
    before=$($proof)
    check "$what: up, byte for byte" transfer cli srv 10.8.0.1 "$SRV"
    check "$what: down, byte for byte" transfer srv cli 10.8.0.10 "$CLI"
    # Chance may have spared the few trains there were.
    for _ in 1 2 3 4; do
        [ "$($proof)" = "$before" ] || break
        check "$what: once more, byte for byte" transfer cli srv 10.8.0.1 "$SRV"
    done
    check "$what: the link was bad ($proof: $(($($proof) - before)))" test "$($proof)" -gt "$before"
    check "$what: the session and the enclaves live on" unharmed
    echo "# $what: $((SECONDS - t)) s"
}

for OFFLOADS in all none; do
    corrupt=(corrupt 5%) loss=(loss 3%) duplicate=(duplicate 5%) reorder=(reorder 5% 50%)
    if [ $OFFLOADS = none ]; then
        export VPN_OFFLOADS=none
        corrupt=(corrupt 0.5%) loss=(loss 1%) duplicate=(duplicate 0.5%)
    fi
    link_is delay 0
    check "$OFFLOADS: the server starts" server_start
    client_start alice
    check "$OFFLOADS: the client connects" client_connected alice
    bad corrupts forged delay 2ms "${corrupt[@]}"
    bad loses lost delay 2ms "${loss[@]}"
    bad duplicates replayed delay 2ms "${duplicate[@]}"
    bad reorders disordered delay 5ms "${reorder[@]}"
    bad "all of it" forged delay 5ms "${corrupt[@]}" "${loss[@]}" "${duplicate[@]}" "${reorder[@]}"
    status_json | sed -n '/"drops"/,/}/s/^ *"\([^"]*\)": *\([1-9][0-9]*\),*$/#   server refused: \1 \2/p'
    cli "$BIN/vpnctl" -j -s "$T/alice.sock" status |
        sed -n '/"drops"/,/}/s/^ *"\([^"]*\)": *\([1-9][0-9]*\),*$/#   client refused: \1 \2/p'
    link_is delay 0
    stop "$CLIENT"
    check "$OFFLOADS: the server ends with status 0" stop "$SERVER"
done
finish
