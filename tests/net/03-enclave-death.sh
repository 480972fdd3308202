#!/bin/bash
# kill -9 of the enclave, at the server and at the client: service is back within 2 seconds, and no
# daemon ends.
. "$(dirname "$0")/lib.sh"
topo_up
server_config && user_add alice && client_config alice
server_start || { show_logs; exit 1; }
client_start alice
check "the client connects" client_connected alice
check "ping" cli ping -c 2 -i 0.2 -W 2 10.8.0.1

ping_works() { cli ping -c 1 -W 0.3 10.8.0.1; }
# back_within MS WHAT: time from now until a ping passes
back_within() {
    local start=${EPOCHREALTIME/./} ms
    wait_for 10 ping_works || { not_ok "$2: never back"; return; }
    ms=$(((${EPOCHREALTIME/./} - start) / 1000))
    # A sanitizer build takes its time to start an enclave.
    [ -z "${VPN_SANITIZE:-}" ] || ms=$((ms / 2))
    ms=$((ms / PATIENCE))
    if [ $ms -le "$1" ]; then ok "$2: back after $ms ms"; else not_ok "$2: back only after $ms ms"; fi
}

for round in 1 2 3; do
    e=$(enclave_pid $SERVER)
    # Traffic goes on meanwhile, as a user's would.
    ip netns exec "$CLI" ping -i 0.1 -c 100 -W 1 10.8.0.1 >/dev/null 2>&1 & P=$!
    kill -9 "$e"
    wait_for 2 sh -c "! kill -0 $e 2>/dev/null"
    back_within 2000 "server's enclave killed ($round)"
    kill $P 2>/dev/null
    # The next kill hits one that has served for a while: a crash loop backs off on purpose.
    cli ping -c 10 -i 0.2 -W 1 10.8.0.1 >/dev/null 2>&1
    check "a new enclave serves ($round)" sh -c "[ -n '$(enclave_pid $SERVER)' ] && [ '$(enclave_pid $SERVER)' != $e ]"
done
check "status counts the restarts" sh -c "ip netns exec $SRV $BIN/vpnctl -j -s $T/etc/vpn.sock status | grep -qE '\"restarts\": *[3-9]'"

for round in 1 2; do
    e=$(enclave_pid $CLIENT)
    kill -9 "$e"
    wait_for 2 sh -c "! kill -0 $e 2>/dev/null"
    back_within 2000 "client's enclave killed ($round)"
done

kill -9 "$SERVER"
wait "$SERVER" 2>/dev/null
check "with the daemon, enclave and spawner end" wait_for 3 sh -c "! ip netns pids $SRV | grep -q ."
check "the TUN device stays, so that nothing falls through to the main table" ip -n "$SRV" link show tun0
: >"$T/server.log"
check "the restarted server adopts it" server_start
back_within 6000 "server killed and restarted"

# One that hangs, with packets in its hands: lanes wait for results alone, and must not wait for ever.
e=$(enclave_pid $SERVER)
ip netns exec "$CLI" ping -i 0.05 -c 100 -W 1 10.8.0.1 >/dev/null 2>&1 & P=$!
cli ping -c 3 -i 0.2 -W 1 10.8.0.1 >/dev/null 2>&1
kill -STOP "$e"
check "status is told while the enclave hangs" timeout 3 ip netns exec "$SRV" "$BIN/vpnctl" -s "$T/etc/vpn.sock" status
kill -CONT "$e"
back_within 2000 "an enclave that hung and went on"
kill -STOP "$e"
cli ping -c 3 -i 0.2 -W 1 10.8.0.1 >/dev/null 2>&1
# Lanes pause for another address to listen on: one that does not come to rest gets a new enclave.
echo 'server: {listen: ["0.0.0.0:51820", "[::]:51820", "192.0.2.1:51821"]}' >"$T/etc/vpn.yaml.d/30-listen.yaml"
check "so is a reload that pauses the lanes" timeout 10 ip netns exec "$SRV" "$BIN/vpnctl" -s "$T/etc/vpn.sock" reload
check "the enclave that hung is replaced" wait_for 3 sh -c "! kill -0 $e 2>/dev/null"
back_within 3000 "with a new one"
e=$(enclave_pid $SERVER)
kill -STOP "$e"
cli ping -c 3 -i 0.2 -W 1 10.8.0.1 >/dev/null 2>&1
started=${EPOCHREALTIME/./}
stop "$SERVER"
kill $P 2>/dev/null
ended=$(((${EPOCHREALTIME/./} - started) / 1000))
check "a server whose enclave hangs ends ($ended ms)" [ "$ended" -lt $((3000 * PATIENCE)) ]
check "with its enclave" sh -c "! kill -0 $e 2>/dev/null"
check "and removes its device on a clean end" sh -c "! ip -n $SRV link show tun0"
finish
