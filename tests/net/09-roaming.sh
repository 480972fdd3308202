#!/bin/bash
# A client that moves: another address, another port (its NAT forgot it), another family; a copy of
# its packets from elsewhere; and a new path gets little until it has answered.
#
#   cli 192.0.2.2 ─── 192.0.2.1 srv        the relay, a NAT on the client's side, is a program in cli
#
# takes: 20
. "$(dirname "$0")/lib.sh"
topo_up
cli sysctl -qw net.ipv4.conf.all.promote_secondaries=1 net.ipv4.conf.eth0.promote_secondaries=1
server_config && user_add alice && client_config alice 'routes: [10.8.0.0/24, "fd08::/64", 192.168.100.0/24]'
users_json() { srv "$BIN/vpnctl" -j -s "$T/etc/vpn.sock" users; }
endpoint() { users_json | sed -n 's/.*"endpoint": *"\([^"]*\)".*/\1/p' | head -n 1; }
endpoint_is() { [[ $(endpoint) == $1 ]]; }
drops() { status_json | sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p" | head -n 1; }
# steady COMMAND...: pings both ways meanwhile; prints how many of them were lost
steady() {
    cli ping -i 0.02 -c 150 -W 2 192.168.100.2 >"$T/steady-c" 2>&1 & local c=$!
    inner ping -i 0.02 -c 150 -W 2 10.8.0.10 >"$T/steady-i" 2>&1 & local i=$!
    wait_for 3 sh -c "grep -q 'icmp_seq=20' '$T/steady-c' && grep -q 'icmp_seq=20' '$T/steady-i'"
    "$@"
    wait $c $i
    LOST=$((300 - $(sed -n 's/.* \([0-9]*\) received.*/\1/p' "$T/steady-c") - $(sed -n 's/.* \([0-9]*\) received.*/\1/p' "$T/steady-i")))
}

check "the server starts" server_start
client_start alice
check "the client connects" client_connected alice
home=$(endpoint)
check "its endpoint is where it is" endpoint_is '192.0.2.2:*'

# ---- another address -------------------------------------------------------------------------
move4() { ip -n "$CLI" addr add 192.0.2.3/24 dev eth0; ip -n "$CLI" addr del 192.0.2.2/24 dev eth0; }
steady move4
check "IPv4 address changes under traffic: at most 10 of 300 packets lost ($LOST)" test "$LOST" -le 10
check "the endpoint followed" endpoint_is '192.0.2.3:*'
check "the same session goes on" sh -c "[ \$(grep -c 'authentication successful' '$T/client-alice.log') = 1 ]"

# ---- a copy from elsewhere ---------------------------------------------------------------------
# What the client sends is captured, and sent again by somebody else.
cat >"$T/replay.pl" <<'PERL'
use Socket;
my ($out) = @ARGV;
socket(my $raw, 17, SOCK_RAW, unpack("S", pack("n", 3))) or die "AF_PACKET: $!";
my ($got, @packets);
open my $ready, '>', $out or die; close $ready;
my $until = time + 5;
while (@packets < 40 && time < $until) {
    my $bits = ''; vec($bits, fileno($raw), 1) = 1;
    next unless select($bits, undef, undef, 0.5);
    recv($raw, my $frame, 2048, 0);
    next unless substr($frame, 12, 2) eq "\x08\x00" && ord(substr($frame, 23, 1)) == 17;
    my $udp = substr($frame, 14 + 20);
    next unless unpack("x2 n", $udp) == 51820;
    push @packets, substr($udp, 8, unpack("x4 n", $udp) - 8);
}
socket(my $s, AF_INET, SOCK_DGRAM, 0) or die;
bind($s, sockaddr_in(4444, inet_aton("192.0.2.66"))) or die "bind: $!";
send($s, $_, 0, sockaddr_in(51820, inet_aton("192.0.2.1"))) for @packets;
my ($answers, $bits) = (0, '');
vec($bits, fileno($s), 1) = 1;
while (select(my $ready = $bits, undef, undef, 0.5) > 0) { recv($s, my $b, 2048, 0); $answers++ }
printf "%d %d\n", scalar @packets, $answers;
PERL
ip -n "$CLI" addr add 192.0.2.66/24 dev eth0
before=$(drops replay)
ip netns exec "$CLI" timeout 20 perl "$T/replay.pl" "$T/armed" >"$T/replayed" 2>&1 & R=$!
wait_for 3 test -e "$T/armed"
cli ping -I 192.0.2.3 -c 1 -W 1 192.0.2.1 >/dev/null
cli ping -i 0.02 -c 60 -W 2 192.168.100.2 >"$T/ping" 2>&1
wait $R
check "40 packets were captured and replayed, nothing was answered" grep -qx '40 0' "$T/replayed"
check "each counted as a replay" sh -c "[ $(($(drops replay) - before)) -ge 40 ]"
check "the endpoint stayed" endpoint_is '192.0.2.3:*'
check "the tunnel goes on" cli ping -c 3 -i 0.2 -W 2 192.168.100.2
ip -n "$CLI" addr del 192.0.2.66/24 dev eth0

# ---- a new path that does not answer -----------------------------------------------------------
# The client's new address belongs to a station that drops what it is sent, as a victim would: the
# server's neighbour entry leads to a foreign MAC address.
victim() { ip -n "$SRV" neigh replace 192.0.2.4 lladdr "$1" dev eth0 nud permanent; }
mac=$(ip -n "$CLI" -o link show eth0 | sed 's/.*ether \([0-9a-f:]*\).*/\1/')
bytes() { srv cat "/sys/class/net/eth0/statistics/$1_bytes"; }
victim 02:00:00:00:00:99
ip -n "$CLI" addr add 192.0.2.4/24 dev eth0
ip -n "$CLI" addr del 192.0.2.3/24 dev eth0
inner socat -u OPEN:/dev/zero,readbytes=4000000 UDP4-SENDTO:10.8.0.10:9999,bind=192.168.100.2 & D=$!
cli ping -c 1 -W 0.2 10.8.0.1 >/dev/null # the packet that moves the endpoint
check "the endpoint follows an authentic packet" wait_for 3 endpoint_is '192.0.2.4:*'
rx=$(bytes rx) tx=$(bytes tx)
inner timeout 3 socat -u OPEN:/dev/zero UDP4-SENDTO:10.8.0.10:9999 2>/dev/null & D2=$!
cli ping -i 0.1 -c 20 -W 0.1 10.8.0.1 >/dev/null
wait $D2
rx=$(($(bytes rx) - rx)) tx=$(($(bytes tx) - tx))
kill $D 2>/dev/null
echo "# to the unproven path: $tx bytes, from it: $rx bytes"
check "at least 20 packets came from there" test "$rx" -gt 2000
check "at most 3 times what came from there went there ($tx of $rx)" test "$tx" -le $((3 * rx))
check "the rest was dropped and counted" test "$(drops path-limit)" -gt 1000
victim "$mac"
back() { cli ping -c 1 -W 0.3 192.168.100.2; }
check "once it answers, all goes there" wait_for 4 back
before=$(drops path-limit)
check "without a limit" cli ping -f -c 500 -s 1300 192.168.100.2
check "nothing is dropped any more" test "$(drops path-limit)" = "$before"
ip -n "$SRV" neigh del 192.0.2.4 dev eth0
check "still the same session" sh -c "[ \$(grep -c 'authentication successful' '$T/client-alice.log') = 1 ]"
stop "$CLIENT"

# ---- another port: a NAT that forgets ----------------------------------------------------------
# The relay sends what it gets on a port of its own; a new relay has another port.
cat >"$T/relay.pl" <<'PERL'
use Socket;
my ($family, $server, $ready) = @ARGV;
my $six = $family == 6;
socket(my $in, $six ? AF_INET6 : AF_INET, SOCK_DGRAM, 0) or die;
socket(my $out, $six ? AF_INET6 : AF_INET, SOCK_DGRAM, 0) or die;
bind($in, $six ? pack_sockaddr_in6(5000, Socket::inet_pton(AF_INET6, "::1")) : sockaddr_in(5000, inet_aton("127.0.0.1"))) or die "bind: $!";
my $to = $six ? pack_sockaddr_in6(51820, Socket::inet_pton(AF_INET6, $server)) : sockaddr_in(51820, inet_aton($server));
send($out, "", 0, $to); # takes the port
open my $f, '>', $ready or die; close $f;
my ($client, $swap) = (undef, 0);
$SIG{USR1} = sub { $swap = 1 };
for (;;) {
    if ($swap) { # the NAT forgets: from now on another port
        socket($out, $six ? AF_INET6 : AF_INET, SOCK_DGRAM, 0) or die;
        $swap = 0;
    }
    my $bits = '';
    vec($bits, fileno($in), 1) = 1; vec($bits, fileno($out), 1) = 1;
    next unless select($bits, undef, undef, 1) > 0;
    if (vec($bits, fileno($in), 1)) { $client = recv($in, my $b, 2048, 0); send($out, $b, 0, $to) }
    if (vec($bits, fileno($out), 1)) { recv($out, my $b, 2048, 0); send($in, $b, 0, $client) if $client }
}
PERL
for family in 4 6; do
    server=192.0.2.1 at=127.0.0.1:5000
    [ $family = 4 ] || server=2001:db8:1::1 at='[::1]:5000'
    rm -f "$T/relay-ready"
    ip netns exec "$CLI" perl "$T/relay.pl" $family $server "$T/relay-ready" 2>"$T/relay.log" & RELAY=$!
    PIDS+=($RELAY)
    wait_for 3 test -e "$T/relay-ready"
    sed "s|192.0.2.1:51820|$at|" "$T/alice.client.yaml" >"$T/alice.yaml"
    printf '    %s\n' 'routes: [10.8.0.0/24, 192.168.100.0/24]' >>"$T/alice.yaml"
    printf 'state: %s/state-alice\ncontrol:\n  socket: %s/alice.sock\n' "$T" "$T" >>"$T/alice.yaml"
    : >"$T/client-alice.log"
    client_start alice
    check "IPv$family behind a NAT: the client connects" client_connected alice
    check "pings" cli ping -c 2 -i 0.2 -W 2 192.168.100.2
    old=$(endpoint)
    steady kill -USR1 $RELAY
    check "the NAT takes another port: at most 10 of 300 packets lost ($LOST)" test "$LOST" -le 10
    new=$(endpoint)
    check "the endpoint followed ($old → $new)" test "$old" != "$new"
    # With nothing from the client there is no way to know: the server's packets go to the old port
    # until its keepalive, or the next packet.
    check "the same session goes on" sh -c "[ \$(grep -c 'authentication successful' '$T/client-alice.log') = 1 ]"
    stop "$CLIENT"
    kill $RELAY
    wait $RELAY 2>/dev/null
done
status_json >"$T/status.json"
check "nothing was forged or malformed" sh -c "! grep -E '\"(forged|malformed|bad-inner|not-fresh)\": *[1-9]' '$T/status.json'"
finish
