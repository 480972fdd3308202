#!/bin/bash
# What can only be made anew is made anew alone: port, device, addresses and MTU change while sessions
# go on.  A user is disabled.  And in its whole life the server calls no program but its enclave.
. "$(dirname "$0")/lib.sh"
command -v strace >/dev/null || skip "no strace"
topo_up
ctl() { srv "$BIN/vpnctl" "$@" -s "$T/etc/vpn.sock"; }
D=$T/etc/vpn.yaml.d
F=$T/etc/vpn.yaml
applies() { ctl apply "$F"; }
plans() { ctl plan "$F" >"$T/plan"; [ $? = 2 ]; }
says() { grep -qF -- "$1" "$T/plan"; }
logins() { grep -c 'authentication successful' "$T/client-$1.log"; }
works() { cli ping -c 2 -i 0.2 -W 2 "${1:-10.8.0.1}"; }

server_config
user_add alice && client_config alice
# The leak sanitizer cannot look at a process that is traced.
[ -z "${VPN_SANITIZE:-}" ] || export ASAN_OPTIONS=detect_leaks=0
# Its first call of listen() takes a second: it has read its configuration, and is far from ready.
strace -f -qq -e trace=execve,execveat,listen -e inject=listen:delay_enter=1000000:when=1 -o "$T/execs" ip netns exec "$SRV" "$BIN/vpn-server" -v -c "$F" >"$T/server.log" 2>&1 &
STRACE=$!
PIDS+=($STRACE)
wait_for 10 test -S "$T/etc/vpn.sock"
SERVER=$(pgrep -P "$STRACE" | head -n 1)
printf 'tunnel:\n  mtu: 1390\n' >"$D/40-early.yaml"
kill -HUP "$SERVER"
check "the server starts under strace, whatever signal comes early" wait_for 20 grep -q ': running' "$T/server.log"
check "a reload that came early is done then" wait_for 5 sh -c "ip -n $SRV link show tun0 | grep -q 'mtu 1390'"
rm "$D/40-early.yaml"
check "back from that" ctl reload
client_start alice
check "alice connects" client_connected alice
check "and reaches the server" wait_for 15 works
ip netns exec "$SRV" "$BIN/vpnctl" watch -s "$T/etc/vpn.sock" >"$T/watch" &
PIDS+=($!)

printf 'server:\n  listen: 51999\n' >"$D/50-port.yaml"
check "another port: plan" plans
check "says that sockets are made anew" says "~ server.listen: 0.0.0.0:51999, [::]:51999 (these sockets are made anew"
check "apply" applies
check "the old port is closed" sh -c "! ip netns exec $SRV ss -Hlun sport = :51820 | grep -q ."
check "alice follows" wait_for 5 sh -c "ip netns exec $CLI $BIN/vpnctl -j --client -s $T/alice.sock status | grep -q '192.0.2.1:51999'"
check "her tunnel works" wait_for 15 works
printf 'server:\n  listen: ["192.0.2.1:51999", "[::]:51999"]\n' >"$D/50-port.yaml"
check "one address instead of all" applies
check "her tunnel works still" wait_for 15 works
ip netns exec "$SRV" socat -u UDP4-RECVFROM:52001,bind=192.0.2.1 /dev/null &
PIDS+=($!)
wait_for 5 sh -c "ip netns exec $SRV ss -Hlun sport = :52001 | grep -q ."
printf 'server:\n  listen: ["192.0.2.1:52001"]\n' >"$D/50-port.yaml"
check "a port that is taken is refused" sh -c "! ip netns exec $SRV $BIN/vpnctl apply $F -s $T/etc/vpn.sock"
check "and the former one is listened on" wait_for 15 works
rm "$D/50-port.yaml"
check "back to the first" applies

printf 'tunnel:\n  device: tun5\n  mtu: 1380\n' >"$D/51-device.yaml"
check "another device: plan" plans
check "says so" says "~ tunnel.device: tun5, was tun0 (the device is made anew; sessions stay)"
check "apply" applies
check "the new device has address and MTU" sh -c "ip -n $SRV addr show tun5 | grep -q 'inet 10.8.0.1/24' && ip -n $SRV link show tun5 | grep -q 'mtu 1380'"
check "the old one is gone" sh -c "! ip -n $SRV link show tun0"
check "alice's tunnel works" wait_for 15 works
check "IPv6 too" wait_for 15 works fd08::1
ip -n "$SRV" link add tun6 type dummy 2>/dev/null || ip -n "$SRV" tuntap add tun6 mode tun
printf 'tunnel:\n  device: tun6\n' >"$D/51-device.yaml"
check "a device of somebody else's is refused" sh -c "! ip netns exec $SRV $BIN/vpnctl apply $F -s $T/etc/vpn.sock"
check "and the present one stays" wait_for 15 works

# The kernel refuses an address of the new device when that is in use already.
ip -n "$SRV" addr show dev tun5 >"$T/device"
srv sysctl -qw net.ipv6.conf.default.disable_ipv6=1
printf 'tunnel:\n  device: tun7\n  mtu: 1380\n' >"$D/51-device.yaml"
check "what the kernel refuses is not applied" sh -c "! ip netns exec $SRV $BIN/vpnctl apply $F -s $T/etc/vpn.sock >$T/refused.out 2>&1"
check "and said" grep -q 'fd08::1/64 dev tun7.*IPv6' "$T/refused.out"
srv sysctl -qw net.ipv6.conf.default.disable_ipv6=0
check "the former device is exchanged back, as it was" sh -c "ip -n $SRV addr show dev tun5 | diff $T/device -"
check "the new one is gone" sh -c "! ip -n $SRV link show tun7"
check "alice's tunnel goes on" wait_for 15 works
check "IPv6 too" wait_for 15 works fd08::1
check "nothing is open" wait_for 5 sh -c "ip netns exec $SRV $BIN/vpnctl -j status -s $T/etc/vpn.sock | grep -q '\"in_sync\": true'"
rm "$D/51-device.yaml"
check "back to tun0" applies
check "alice has logged in once in all that time" test "$(logins alice)" = 1

printf 'tunnel:\n  addresses: [10.8.0.1/24, 10.8.0.1/24]\n' >"$D/52-addr.yaml"
check "nonsense is refused" sh -c "! ip netns exec $SRV $BIN/vpnctl apply $F -s $T/etc/vpn.sock"
printf 'tunnel:\n  addresses: [10.9.0.1/24]\n  pool: [10.9.0.10-10.9.0.20]\n' >"$D/52-addr.yaml"
check "another network" applies
check "the device has the new address alone" sh -c "ip -n $SRV addr show tun0 | grep -q 'inet 10.9.0.1/24' && ! ip -n $SRV addr show tun0 | grep -qE '10.8.0.1|fd08::1'"
check "alice gets an address in it" wait_for 10 sh -c "ip -n $CLI addr show dev tun0 | grep -q '10.9.0.1'"
check "and reaches the server there" wait_for 5 works 10.9.0.1

check "user disable" ctl user disable alice -f "$F"
check "alice is told" wait_for 3 grep -q 'this user is disabled or has expired' "$T/client-alice.log"
check "a drop-in says it" grep -q 'enabled: false' "$D/zz-disabled-alice.yaml"
check "a user that is not there: 1" sh -c "ip netns exec $SRV $BIN/vpnctl user disable nobody -f $F -s $T/etc/vpn.sock; [ \$? = 1 ]"
check "watch saw the applies" sh -c "[ \$(grep -c ' apply: configuration applied by root' $T/watch) -ge 6 ]"
check "and alice going" grep -q ' logout: alice' "$T/watch"
check "history has them" sh -c "[ \$(ip netns exec $SRV $BIN/vpnctl history -s $T/etc/vpn.sock | grep -c applied) -ge 6 ]"

kill "$SERVER"
wait "$STRACE"
check "clean exit" test $? = 0
# ip(8), vpn-server and vpn-enclave: nothing else was ever called.
check "no program was called but the enclave" sh -c "! sed 's/^[0-9]* *//' $T/execs | grep -E '^exec' | grep -vE '/ip\"|vpn-server\"|vpn-enclave\"|ENOENT|/proc/self/fd|execveat'"
check "and that was called" grep -q 'vpn-enclave' "$T/execs"
finish
