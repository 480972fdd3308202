#!/bin/bash
# block-when-down: from the start of the client until it is told to end, nothing of what the tunnel
# carries leaves beside it: with the server away, stopped or killed, the client killed, started again
# or unable to start.  And the server is found by name meanwhile, also when it has moved.
#
#   cli 192.0.2.2 ── eth0 ── srv 192.0.2.1: gateway, name server, the internet (198.51.100.1)
#                            srv 192.0.2.11, later .12: where the VPN server is
. "$(dirname "$0")/lib.sh"
topo_up
NETNS=/etc/netns/$CLI
trap 'rm -rf "$NETNS"; topo_down' EXIT
# Strict would do as well (see 20-leak); 2 is what most systems have.
cli sysctl -qw net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.eth0.rp_filter=2
ip -n "$CLI" route add default via 192.0.2.1
ip -n "$CLI" -6 route add default via 2001:db8:1::1
for a in 198.51.100.1/32 2001:db8:9::1/128; do ip -n "$SRV" addr add $a dev lo; done
ip -n "$SRV" addr add 192.0.2.11/24 dev eth0

# A name server that knows one name; its address is in a file.
cat >"$T/dns.pl" <<'PERL'
use IO::Socket::INET;
my ($file, $ready) = @ARGV;
my $s = IO::Socket::INET->new(LocalAddr => '192.0.2.1', LocalPort => 53, Proto => 'udp') or die "bind: $!";
open my $f, '>', $ready or die; close $f;
while ($s->recv(my $q, 512)) {
    my $end = index($q, "\0", 12) + 5;
    next if $end < 17;
    my $type = unpack 'n', substr $q, $end - 4, 2;
    open my $in, '<', $file or die; chomp(my $addr = <$in>);
    my $answer = $type == 1 ? pack('n n n N n C4', 0xc00c, 1, 1, 1, 4, split /\./, $addr) : '';
    $s->send(substr($q, 0, 2) . pack('n5', 0x8180, 1, $type == 1, 0, 0) . substr($q, 12, $end - 12) . $answer);
}
PERL
mkdir -p "$NETNS"
echo 'nameserver 192.0.2.1' >"$NETNS/resolv.conf"
echo 'hosts: files dns' >"$NETNS/nsswitch.conf"
echo 192.0.2.11 >"$T/name"
ip netns exec "$SRV" perl "$T/dns.pl" "$T/name" "$T/dns-ready" 2>"$T/dns.log" & PIDS+=($!)
wait_for 5 test -e "$T/dns-ready"

# Name lookups of the client itself go to port 53, and are none of what the tunnel carries.
witness_start() {
    rm -f "$T/leaks"
    ip netns exec "$CLI" perl "$(dirname "$0")/witness.pl" eth0 "$T/leaks" 51820 2>"$T/witness.log" &
    WITNESS=$!
    PIDS+=($WITNESS)
    wait_for 5 test -e "$T/leaks"
}
leaked() { grep -v '192.0.2.1.53$' "$T/leaks"; }
# Two senders that never stop, one for each family.
cat >"$T/send.pl" <<'PERL'
use Socket qw(:all);
my ($family, $addr) = $ARGV[0] == 6 ? (AF_INET6, pack_sockaddr_in6(9, inet_pton(AF_INET6, '2001:db8:9::1')))
                                    : (AF_INET, pack_sockaddr_in(9, inet_aton('198.51.100.1')));
socket(my $s, $family, SOCK_DGRAM, 0) or die;
for (;;) { send($s, 'x' x 200, 0, $addr); select undef, undef, undef, 0.01 }
PERL
refused() { # like "Network is unreachable" and not like silence
    ! cli ping -c 1 -W 1 "$1" 2>&1 | grep -q ' 0% packet loss' &&
        cli ping -c 1 -W 1 "$1" 2>&1 | grep -qE 'unreachable|No route'
}
reaches() { cli ping -c 1 -W 1 "$1"; }
kill9() { # PID: a client without a chance to clean up
    local parts
    parts=$(pgrep -P "$1" -f . | head -n 1)
    kill -9 "$1"
    wait "$1" 2>/dev/null
    wait_for 5 sh -c "! kill -0 $parts 2>/dev/null"
}
blocked_start() { wait_for 10 grep -q 'is blocked while it is down' "$T/client-alice.log"; }

server_config
user_add alice vpn.test:51820
client_config alice 'routes: [default]' 'block-when-down: true'
cli ip addr >"$T/before"; cli ip rule >>"$T/before"; cli ip -6 rule >>"$T/before"
cli ip route show table all >>"$T/before"; cli ip -6 route show table all | sed '/expires/d' >>"$T/before"
check "outside is reached at first" reaches 198.51.100.1

client_start alice
check "the client says that it blocks" blocked_start
check "before the first login IPv4 is refused" wait_for 8 refused 198.51.100.1
check "IPv6 as well" refused 2001:db8:9::1
arp_answered() {
    ip -n "$SRV" neigh del 192.0.2.2 dev eth0
    srv ping -c 1 -W 0.1 192.0.2.2
    wait_for 5 sh -c "ip -n $SRV neigh show 192.0.2.2 | grep -q lladdr"
}
check "the router is told where this host is" arp_answered
check "status says so" sh -c "ip netns exec $CLI '$BIN/vpnctl' -s '$T/alice.sock' status | grep -q 'blocked meanwhile'"
witness_start
ip netns exec "$CLI" perl "$T/send.pl" 4 & PIDS+=($!)
ip netns exec "$CLI" perl "$T/send.pl" 6 & PIDS+=($!)
check "the name is looked up past the block" wait_for 10 grep -q '192.0.2.1.53$' "$T/leaks"
check "and found" wait_for 10 grep -q 'connecting to vpn.test:51820 (192.0.2.11)' "$T/client-alice.log"

check "the server starts" server_start
check "the client connects" client_connected alice 20
check "IPv4 goes through the tunnel" reaches 198.51.100.1
check "IPv6 as well" reaches 2001:db8:9::1

kill -9 "$SERVER"; wait "$SERVER" 2>/dev/null
check "the server is killed: IPv4 leads nowhere" sh -c "! ip netns exec $CLI ping -c 1 -W 1 198.51.100.1"
check "the server starts again" server_start
check "the client is back" wait_for 20 reaches 198.51.100.1

# The server moves: its name leads elsewhere, and its old address is gone.
stop "$SERVER"
ip -n "$SRV" addr del 192.0.2.11/24 dev eth0
ip -n "$SRV" addr add 192.0.2.12/24 dev eth0
echo 192.0.2.12 >"$T/name"
check "the server starts elsewhere" server_start
check "the client finds it" wait_for 30 reaches 198.51.100.1
check "there" sh -c "ip netns exec $CLI '$BIN/vpnctl' -j -s '$T/alice.sock' status | grep -q '\"192.0.2.12:51820\"'"
check "the way back follows" sh -c "ip -n $CLI rule | grep -q 'to 192.0.2.12 iif lo uidrange 0-0' && ! ip -n $CLI rule | grep -q 192.0.2.11"

# The client dies.
kill9 "$CLIENT"
check "the client is killed: its rules stay" sh -c "ip -n $CLI rule | grep -q 'not from all fwmark 0x56504e lookup 51087'"
check "IPv4 leads nowhere" sh -c "! ip netns exec $CLI ping -c 1 -W 1 198.51.100.1"
client_start alice
check "it starts again and connects" client_connected alice 20
check "IPv4 goes through the tunnel" reaches 198.51.100.1

# It dies, and cannot start again.
kill9 "$CLIENT"
ip -n "$CLI" link del tun0
check "even without its device IPv4 is refused" refused 198.51.100.1
mv "$T/alice.token" "$T/away.token"
client_start alice
wait $CLIENT
check "a client that cannot start" test $? = 1
check "says what it leaves" grep -q 'stays blocked.*--unblock' "$T/client-alice.log"
check "and blocks" refused 198.51.100.1
check "IPv6 as well" refused 2001:db8:9::1
check "all the while nothing has leaked" sh -c "! grep -v '192.0.2.1.53$' '$T/leaks'"
check "the operator lifts it" cli "$BIN/vpn-client" --unblock
check "outside is reached, and the witness sees it" reaches 198.51.100.1
check "so it was no blind one" wait_for 8 leaked
mv "$T/away.token" "$T/alice.token"

# Asked to end, it goes without a trace.
kill $WITNESS
client_start alice
check "it starts once more" client_connected alice 20
check "--unblock leaves a running client alone" sh -c "! ip netns exec $CLI '$BIN/vpn-client' --unblock"
stop "$CLIENT"
check "the client ends with status 0" test $? = 0
check "outside is reached" reaches 198.51.100.1
cli ip addr >"$T/after"; cli ip rule >>"$T/after"; cli ip -6 rule >>"$T/after"
cli ip route show table all >>"$T/after"; cli ip -6 route show table all | sed '/expires/d' >>"$T/after"
check "the kernel is as found" diff "$T/before" "$T/after"
stop "$SERVER"

# ---- a name server that never answers -------------------------------------------------------------
ip -n "$SRV" addr add 192.0.2.3/24 dev eth0
ip netns exec "$SRV" perl -MIO::Socket::INET -e '
    my $s = IO::Socket::INET->new(LocalAddr => "192.0.2.3", LocalPort => 53, Proto => "udp") or die;
    open my $f, ">", $ARGV[0]; close $f; $s->recv(my $b, 512); open $f, ">", $ARGV[1]; close $f; sleep 100' \
    "$T/mute-ready" "$T/mute-asked" 2>"$T/mute.log" & PIDS+=($!)
wait_for 5 test -e "$T/mute-ready"
echo 'nameserver 192.0.2.3' >"$NETNS/resolv.conf"
client_start alice
check "it is asked" wait_for 10 test -e "$T/mute-asked"
at=${EPOCHREALTIME/./}
stop "$CLIENT"
check "the client ends with status 0 all the same" test $? = 0
# c-ares would go on for 4.5 s (1.5 s, and once more with twice that), the C library then for 10 s.
ms=$(((${EPOCHREALTIME/./} - at) / 1000))
check "and does not wait for the answer ($ms ms)" test $ms -lt $((2000 + 1000 * PATIENCE))
check "nothing broke" sh -c "! grep -E 'Sanitizer|runtime error' '$T/client-alice.log'"
finish
