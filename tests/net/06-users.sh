#!/bin/bash
# Several users and devices: isolation from each other, fixed addresses that pass to the newest
# device, the limit of devices, a full pool.
#
#   cli  192.0.2.2 ─── 192.0.2.1 srv 192.0.3.1 ─── 192.0.3.2 two
. "$(dirname "$0")/lib.sh"
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
two() { ip netns exec "$TWO" "$@"; }

server_config
user_add ann && user_add bob 192.0.3.1:51820 && user_add cid 192.0.3.1:51820
# ann has one address for two devices; bob may have one device.
sed -i 's/^    key:/    address: [10.8.0.5]\n    key:/' "$T/etc/vpn.yaml.d/user-ann.yaml"
sed -i 's/^    key:/    max-devices: 1\n    key:/' "$T/etc/vpn.yaml.d/user-bob.yaml"
net='routes: [10.8.0.0/24]'
client_config ann "$net"; client_config bob "$net"; client_config cid "$net"
two_start() { # NAME
    : >"$T/client-$1.log"
    ip netns exec "$TWO" "$BIN/vpn-client" -v -c "$T/$1.yaml" >"$T/client-$1.log" 2>&1 &
    CLIENT2=$!
    PIDS+=("$CLIENT2")
}
check "the server starts" server_start
client_start ann; ANN=$CLIENT
check "ann connects" client_connected ann
check "ann has her fixed address" cli ip addr show dev tun0 to 10.8.0.5
two_start bob
check "bob connects" client_connected bob
bob4=$(two ip -4 -o addr show dev tun0 | sed 's/.*inet \([0-9.]*\).*/\1/')
check "bob has an address from the pool" test -n "$bob4"
check "ann reaches the server" cli ping -c 1 -W 2 10.8.0.1
check "bob reaches the server" two ping -c 1 -W 2 10.8.0.1
check "ann does not reach bob" sh -c "! ip netns exec $CLI ping -c 2 -i 0.2 -W 1 $bob4"
check "bob does not reach ann" sh -c "! ip netns exec $TWO ping -c 2 -i 0.2 -W 1 10.8.0.5"
status_json >"$T/status.json"
check "isolation is counted" grep -qE '"isolated": *[1-9]' "$T/status.json"
stop "$CLIENT2"

# ann's second device: the address goes to it, the first one is told and waits.
sed -i 's|192.0.2.1:51820|192.0.3.1:51820|; s|state-ann|state-ann2|; s|ann.sock|ann2.sock|' "$T/ann.yaml"
cp "$T/ann.yaml" "$T/ann2.yaml"
two_start ann2
check "ann's second device connects" client_connected ann2
check "the address went to it" two ping -c 1 -W 2 10.8.0.1
check "the first device is told" wait_for 5 grep -qiE 'another device|replaced' "$T/client-ann.log"
sleep 1.5
check "and waits for its operator" sh -c "[ \$(grep -c 'authentication successful' '$T/client-ann.log') = 1 ]"
stop "$CLIENT2"; stop "$ANN"

# bob's second device is refused while the first is there.
two_start bob
check "bob connects again" client_connected bob
client_config bob "$net"
sed -i 's|192.0.3.1:51820|192.0.2.1:51820|; s|state-bob|state-bob2|; s|bob.sock|bob2.sock|' "$T/bob.yaml"
cp "$T/bob.yaml" "$T/bob2.yaml"
client_start bob2
check "bob's second device is told of the limit, and what to do" wait_for 15 grep -q \
    "this user has as many devices logged in as is allowed: disconnect one, or ask the server's operator for a higher max-devices" "$T/client-bob2.log"
check "it got no address" sh -c "! ip -n $CLI addr show dev tun0 2>/dev/null | grep -q 'inet 10'"
stop "$CLIENT"; stop "$CLIENT2"; stop "$SERVER"

# client-to-client: on, with forwarding by the kernel. And a pool of one address.
printf 'tunnel:\n  client-to-client: true\n  addresses: [10.8.0.1/24]\n  pool: [10.8.0.50-10.8.0.50]\n' >"$T/etc/vpn.yaml.d/30-c2c.yaml"
client_config ann "$net"; client_config bob "$net"
check "the server starts with client-to-client" server_start
client_start ann
check "ann connects (fixed address)" client_connected ann
two_start bob
check "bob connects (the pool's only address)" client_connected bob
check "ann reaches bob" cli ping -c 3 -i 0.2 -W 2 10.8.0.50
stop "$CLIENT"
client_config cid "$net"
sed -i 's|192.0.3.1:51820|192.0.2.1:51820|' "$T/cid.yaml"
client_start cid
check "cid is told that the pool is full, and what to do" wait_for 15 grep -q \
    'the server has no address left: wait until a device logs out, or ask its operator for a larger pool' "$T/client-cid.log"
check "cid is not connected" sh -c "! grep -qE '[: ]connected\$' '$T/client-cid.log'"
stop "$CLIENT"; stop "$CLIENT2"
finish
