#!/bin/bash
# Users change live: SIGHUP adds, removes, disables, expires and re-addresses users, moves the
# networks behind them and the pushed routes; a bad file changes nothing; kick.  Meanwhile a transfer
# of a user who stays as he is runs on.
#
#   lan  192.168.50.2 ─── 192.168.50.1  cli (alice)  192.0.2.2 ─── 192.0.2.1 srv 192.168.100.1 ─── inner
#                                       two (bob)    192.0.3.2 ─── 192.0.3.1                 (carl)
#
# takes: 20
. "$(dirname "$0")/lib.sh"
topo_up
TWO=vpnt-2-$$-$RANDOM LAN=vpnt-l-$$-$RANDOM
trap 'for ns in $TWO $LAN $INNER; do ip netns pids $ns 2>/dev/null | xargs -r kill 2>/dev/null; done
      topo_down; ip netns del $TWO 2>/dev/null; ip netns del $LAN 2>/dev/null' EXIT
ip netns add "$TWO"
ip netns add "$LAN"
ip -n "$TWO" link set lo up
ip link add vpnt-d$$ netns "$TWO" type veth peer name eth2 netns "$SRV"
ip -n "$TWO" link set vpnt-d$$ name eth0
ip -n "$TWO" addr add 192.0.3.2/24 dev eth0
ip -n "$SRV" addr add 192.0.3.1/24 dev eth2
ip -n "$TWO" link set eth0 up
ip -n "$SRV" link set eth2 up
ip link add vpnt-e$$ netns "$LAN" type veth peer name eth1 netns "$CLI"
ip -n "$LAN" link set vpnt-e$$ name eth0
ip -n "$LAN" addr add 192.168.50.2/24 dev eth0
ip -n "$LAN" addr add 192.168.51.2/32 dev eth0
ip -n "$CLI" addr add 192.168.50.1/24 dev eth1
ip -n "$LAN" link set eth0 up
ip -n "$CLI" link set eth1 up
ip -n "$LAN" route add default via 192.168.50.1
cli sysctl -qw net.ipv4.ip_forward=1
two() { ip netns exec "$TWO" "$@"; }
lan() { ip netns exec "$LAN" "$@"; }
D=$T/etc/vpn.yaml.d

# user_set NAME LINE...: more lines for a user's entry
user_set() {
    local name=$1 line
    shift
    cp "$T/entry-$name" "$D/user-$name.yaml"
    for line in "$@"; do sed -i "s|^    key:|    $line\n    key:|" "$D/user-$name.yaml"; done
}
reloads=0
# reload: send SIGHUP and wait until the server has said what came of it
reload() {
    reloads=$((reloads + 1))
    kill -HUP "$SERVER"
    wait_for 5 reload_said $reloads || return 1
    ! grep -E 'not reloaded|configuration reloaded' "$T/server.log" | tail -n 1 | grep -q 'not reloaded'
}
refused() { ! reload; }
reload_said() { [ "$(grep -cE 'not reloaded|configuration reloaded' "$T/server.log")" -ge "$1" ]; }
logins() { grep -c 'authentication successful' "$T/client-$1.log"; }
state_of() { vpnctl users | grep -E "^$1 +$2 "; }
pushed() { # NS COUNT: routes of the client in both families
    [ "$(($(ip -n "$1" route show proto 87 | wc -l) + $(ip -n "$1" -6 route show proto 87 | wc -l)))" = "$2" ]
}
push_routes() { # LAST: 172.20.1.0/24 to 172.20.LAST.0/24 and the inner network
    local i
    printf 'tunnel:\n  push-routes:\n    - 192.168.100.0/24\n    - "fd64::/64"\n'
    for ((i = 1; i <= $1; i++)); do printf '    - 172.20.%d.0/24\n' "$i"; done
}
start_in() { # NAMESPACE NAME: a client, its pid in CLIENT
    : >"$T/client-$2.log"
    ip netns exec "$1" "$BIN/vpn-client" -v -c "$T/$2.yaml" >"$T/client-$2.log" 2>&1 &
    CLIENT=$!
    PIDS+=("$CLIENT")
}

server_config
push_routes 98 >"$D/30-push.yaml"
user_add alice && user_add bob 192.0.3.1:51820
cp "$D/user-alice.yaml" "$T/entry-alice"
cp "$D/user-bob.yaml" "$T/entry-bob"
user_set alice 'networks: [192.168.50.0/24]'
client_config alice 'networks: [192.168.50.0/24]'
client_config bob
srv ip route show table all >"$T/srv-before"
check "the server starts" server_start
client_start alice; ALICE=$CLIENT
check "alice connects" client_connected alice
start_in "$TWO" bob; BOB=$CLIENT
check "bob connects" client_connected bob
alice4=$(cli ip -4 -o addr show dev tun0 | sed 's/.*inet \([0-9.]*\).*/\1/')
bob4=$(two ip -4 -o addr show dev tun0 | sed 's/.*inet \([0-9.]*\).*/\1/')

# Pushed routes: 100 of them on two pages, and the tunnel's own two networks.
check "alice has the pushed routes, two pages" wait_for 5 pushed "$CLI" 102
check "bob has the pushed routes" wait_for 5 pushed "$TWO" 102
check "alice reaches the inner network, IPv4" cli ping -c 2 -i 0.2 -W 2 192.168.100.2
check "alice reaches the inner network, IPv6" cli ping -c 2 -i 0.2 -W 2 fd64::2

# A transfer of bob's that lasts until told to end.
two perl -MIO::Socket::INET -e '
    my $s = IO::Socket::INET->new(Listen => 1, LocalPort => 4040, ReuseAddr => 1) or die;
    my $c = $s->accept; open my $o, ">", $ARGV[0]; my $b;
    print $o $b while sysread $c, $b, 65536; close $o;' "$T/got" &
PIDS+=($!); receiver=$!
wait_for 5 sh -c "ip netns exec $TWO ss -Hltn sport = :4040 | grep -q ."
inner perl -MIO::Socket::INET -e '
    my $c = IO::Socket::INET->new(PeerAddr => $ARGV[0], PeerPort => 4040) or die;
    open my $o, ">", $ARGV[1]; srand 5;
    until (-e $ARGV[2]) {
        my $b = pack "N*", map { int rand 2**32 } 1 .. 4096;
        print $o $b; print $c $b; $c->flush; select undef, undef, undef, 0.02;
    }
    close $o;' "$bob4" "$T/sent" "$T/enough" &
PIDS+=($!); sender=$!

# Networks behind a user.
check "the server routes alice's network" sh -c "ip -n $SRV route show proto 86 | grep -q '192.168.50.0/24 dev tun0'"
check "the inner host reaches alice's network" inner ping -c 2 -i 0.2 -W 2 192.168.50.2
check "alice's network reaches the inner host" lan ping -c 2 -i 0.2 -W 2 192.168.100.2
check "a source outside of it does not come through" \
    sh -c "! ip netns exec $LAN ping -I 192.168.51.2 -c 2 -i 0.2 -W 1 192.168.100.2"
status_json >"$T/status.json"
check "and is counted as spoofed" grep -qE '"spoofed": *[1-9]' "$T/status.json"
check "bob does not reach alice's network" sh -c "! ip netns exec $TWO ping -c 2 -i 0.2 -W 1 192.168.50.2"
two ip route add 192.168.50.0/24 dev tun0
check "not even with a route to it" sh -c "! ip netns exec $TWO ping -c 2 -i 0.2 -W 1 192.168.50.2"
two ip route del 192.168.50.0/24 dev tun0
user_set alice 'networks: [192.168.50.0/24, 192.168.60.0/24]'
check "a second network: reload" reload
check "it is routed" sh -c "ip -n $SRV route show proto 86 | grep -q '192.168.60.0/24 dev tun0'"
check "the first one still works" inner ping -c 2 -i 0.2 -W 2 192.168.50.2
user_set alice 'networks: [192.168.60.0/24]'
check "without the first: reload" reload
check "its route is gone" sh -c "! ip -n $SRV route show proto 86 | grep -q 192.168.50.0/24"
check "its hosts are spoofers now" sh -c "! ip netns exec $LAN ping -c 2 -i 0.2 -W 1 192.168.100.2"
user_set alice 'networks: [192.168.50.0/24]'
check "as before: reload" reload
check "alice's network is back" inner ping -c 2 -i 0.2 -W 2 192.168.50.2
check "alice's session never ended" test "$(logins alice)" = 1

# A user is added and logs in; a file with mistakes changes nothing.
user_add carl 192.168.100.1:51820 --key # a key does not depend on the name, a token does
cp "$D/user-carl.yaml" "$T/entry-carl"
client_config carl 'routes: [10.8.0.0/24]'
check "carl is added: reload" reload
start_in "$INNER" carl; CARL=$CLIENT
check "carl connects" client_connected carl
vpnctl -j users | grep -v last_received | grep -vE 'rx_|tx_' >"$T/users-before"
cp "$D/user-carl.yaml" "$T/good"
printf 'users:\n  carl:\n    key: "hm"\n    colour: green\n' >"$D/user-carl.yaml"
check "a bad file is refused" refused
check "with the first mistake and its place" grep -q "user-carl.yaml:3:10: users.carl.key" "$T/server.log"
check "and the second one" grep -q "user-carl.yaml:4:5: users.carl.colour" "$T/server.log"
vpnctl -j users | grep -v last_received | grep -vE 'rx_|tx_' >"$T/users-after"
check "no session has changed" diff "$T/users-before" "$T/users-after"
check "carl's tunnel works" inner ping -c 1 -W 2 -I tun0 10.8.0.1
cp "$T/good" "$D/user-carl.yaml"

# Disabled, enabled, expired, kicked, removed.
user_set carl 'enabled: false'
check "carl is disabled: reload" reload
check "carl is told" wait_for 3 grep -q 'this user is disabled or has expired' "$T/client-carl.log"
check "vpnctl users says disabled" state_of carl disabled
user_set carl 'expires: 2099-12-31'
check "carl is enabled again: reload" reload
kill -HUP "$CARL"
check "carl connects again" wait_for 8 sh -c "[ \$(grep -c 'authentication successful' '$T/client-carl.log') = 2 ]"
user_set carl 'expires: 2020-02-29'
check "carl has expired: reload" reload
check "carl is told again" wait_for 3 sh -c "[ \$(grep -c 'disabled or has expired' '$T/client-carl.log') = 2 ]"
check "vpnctl users says expired" state_of carl expired
kill -HUP "$CARL"
check "and cannot log in" wait_for 8 grep -q 'this user is disabled or has expired: ask' "$T/client-carl.log"
user_set carl
check "carl may come back: reload" reload
kill "$CARL"; wait "$CARL"
: >"$T/client-carl.log"
start_in "$INNER" carl; CARL=$CLIENT
check "carl connects once more" client_connected carl
device=$(vpnctl users | sed -n 's/^carl .* \([0-9a-f]*\)$/\1/p')
check "kick of another device: none" sh -c "! ip netns exec $SRV $BIN/vpnctl kick carl/0000000000000000000000000000 -s $T/etc/vpn.sock"
check "kick of carl's device" vpnctl kick "carl/$device"
check "carl is told that he was kicked" wait_for 3 grep -q "operator has disconnected this device" "$T/client-carl.log"
check "and is offline" wait_for 3 state_of carl offline
vpnctl kick carl >/dev/null 2>&1
check "kicking him again fails with 1" test $? = 1
vpnctl kick nobody >/dev/null 2>&1
check "kicking nobody fails with 1" test $? = 1
kill -HUP "$CARL"
check "his operator lets him in" wait_for 8 state_of carl online
rm "$D/user-carl.yaml"
check "carl is removed: reload" reload
check "carl is told that he is out" wait_for 3 grep -q 'this user is disabled or has expired' "$T/client-carl.log"
check "vpnctl users does not know him" sh -c "! ip netns exec $SRV $BIN/vpnctl users -s $T/etc/vpn.sock | grep -q carl"
kill -HUP "$CARL"
check "and his key opens nothing" wait_for 8 grep -q 'login refused' "$T/client-carl.log"
stop "$CARL"

# The same key under another name, while the old one is still leaving.
sed 's/^  "carl":/  "carla":/' "$T/entry-carl" >"$D/user-carl.yaml"
check "carl is carla now: reload" reload
sed 's/^  "carl":/  "clara":/' "$T/entry-carl" >"$D/user-carl.yaml"
check "no, clara: reload" reload
sed -i 's/user: "carl"/user: "clara"/' "$T/carl.yaml"
: >"$T/client-carl.log"
start_in "$INNER" carl; CARL=$CLIENT
# The key is hers as soon as the devices of those who had it have been told.
again() { state_of clara online || { kill -HUP "$CARL"; false; }; }
wait_for 8 grep -q 'connecting to' "$T/client-carl.log"
check "clara connects with carl's key" wait_for 8 again
stop "$CARL"
rm "$D/user-carl.yaml"

# A new fixed address: the client reconnects at once and has it.
user_set alice 'networks: [192.168.50.0/24]' 'address: [10.8.0.77]'
check "alice gets a fixed address: reload" reload
check "she has it within seconds" wait_for 6 sh -c "ip -n $CLI addr show dev tun0 to 10.8.0.77 | grep -q 10.8.0.77"
check "and the old one no more" sh -c "! ip -n $CLI addr show dev tun0 | grep -q 'inet $alice4/'"
check "she reaches the inner network" wait_for 5 cli ping -c 1 -W 1 192.168.100.2
check "and is reached, with her network" wait_for 5 inner ping -c 1 -W 1 192.168.50.2

# Pushed routes and client-to-client.
push_routes 1 >"$D/30-push.yaml"
check "fewer pushed routes: reload" reload
check "bob has one page of them" wait_for 5 pushed "$TWO" 5
push_routes 140 >"$D/30-push.yaml"
check "more pushed routes: reload" reload
check "bob has three pages of them" wait_for 5 pushed "$TWO" 144
check "alice does not reach bob" sh -c "! ip netns exec $CLI ping -c 2 -i 0.2 -W 1 $bob4"
printf 'tunnel:\n  client-to-client: true\n' >"$D/40-c2c.yaml"
check "client-to-client: reload" reload
check "alice reaches bob" cli ping -c 2 -i 0.2 -W 2 "$bob4"
rm "$D/40-c2c.yaml"
printf 'server:\n  listen: 51999\n  workers: 3\ntunnel:\n  mtu: 1380\n' >"$D/50-kept.yaml"
check "another port, MTU and number of lanes: reload" reload
check "what needs a restart is named" grep -q 'not changed before a restart: server.workers$' "$T/server.log"
check "the device has the new MTU" sh -c "ip -n $SRV link show tun0 | grep -q 'mtu 1380'"
check "alice follows to the new port" wait_for 5 sh -c "ip netns exec $CLI $BIN/vpnctl -j --client -s $T/alice.sock status | grep -q '192.0.2.1:51999'"
check "and reaches the inner network over it" cli ping -c 2 -i 0.2 -W 2 192.168.100.2
check "alice does not reach bob any more" sh -c "! ip netns exec $CLI ping -c 2 -i 0.2 -W 1 $bob4"

# What bob was doing all the time.
: >"$T/enough"
wait $sender; wait $receiver
check "bob's transfer ran on ($(stat -c %s "$T/sent") bytes)" cmp "$T/sent" "$T/got"
check "bob logged in once" test "$(logins bob)" = 1
check "the enclave never restarted" sh -c "ip netns exec $SRV $BIN/vpnctl -j -s $T/etc/vpn.sock status | grep -qE '\"restarts\": *0'"
stop "$ALICE"
check "alice's route goes with her" wait_for 3 sh -c "! ip -n $SRV route show proto 86 | grep -q ."
stop "$BOB"
stop "$SERVER"
check "the server ends with status 0" test $? = 0
srv ip route show table all >"$T/srv-after"
check "the server leaves its routes as found" diff "$T/srv-before" "$T/srv-after"
finish
