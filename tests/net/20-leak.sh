#!/bin/bash
# A full tunnel in bad company: routes that DHCP pushes (TunnelVision, CVE-2024-3661), a local
# network of public addresses (TunnelCrack LocalNet), traffic to the server's own address (TunnelCrack
# ServerIP), and a server that pushes routes over everything.  A witness on the client's eth0 sees
# each packet that leaves beside the tunnel.  All of it with a strict rp_filter.
#
#   cli 192.0.2.2 ── eth0 ── 192.0.2.1 srv: also the gateway, an evil neighbour, and the internet:
#       2001:db8:1::2        198.51.100.1, 8.8.8.8, 2001:db8:9::1
#       172.31.5.1 ── box0 ── 172.31.5.2 box: a container whose packets cli forwards
#       fd05::1               fd05::2
. "$(dirname "$0")/lib.sh"
topo_up
BOX=vpnt-b-$$-$RANDOM
trap 'ip netns del "$BOX"; topo_down' EXIT
ip netns add "$BOX"
ip link add box0 netns "$CLI" type veth peer name eth0 netns "$BOX"
ip -n "$CLI" addr add 172.31.5.1/24 dev box0
ip -n "$CLI" addr add fd05::1/64 dev box0 nodad
ip -n "$BOX" addr add 172.31.5.2/24 dev eth0
ip -n "$BOX" addr add fd05::2/64 dev eth0 nodad
ip -n "$CLI" link set box0 up
ip -n "$BOX" link set eth0 up
ip -n "$BOX" route add default via 172.31.5.1
ip -n "$BOX" -6 route add default via fd05::1
cli sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
cli sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.eth0.rp_filter=1 net.ipv4.conf.default.rp_filter=1
ip -n "$CLI" route add default via 192.0.2.1
ip -n "$CLI" -6 route add default via 2001:db8:1::1
for a in 198.51.100.1/32 8.8.8.8/32 2001:db8:9::1/128; do ip -n "$SRV" addr add $a dev lo; done
ip -n "$SRV" addr add 192.0.2.7/24 dev eth0

witness_start() {
    rm -f "$T/leaks"
    ip netns exec "$CLI" perl "$(dirname "$0")/witness.pl" eth0 "$T/leaks" 51820 2>"$T/witness.log" &
    WITNESS=$!
    PIDS+=($WITNESS)
    wait_for 5 test -e "$T/leaks"
}
# What a host sends all day: datagrams, attempts to connect, pings.  Nothing waits for an answer.
cat >"$T/send.pl" <<'PERL'
use Socket qw(:all);
use Fcntl;
my @socks;
for my $addr (@ARGV) {
    my $six = $addr =~ /:/;
    my $family = $six ? AF_INET6 : AF_INET;
    for my $to ([SOCK_DGRAM, 53], [SOCK_DGRAM, 443], [SOCK_DGRAM, 51820], [SOCK_STREAM, 443]) {
        socket(my $s, $family, $to->[0], 0) or die "socket: $!";
        fcntl $s, F_SETFL, O_NONBLOCK;
        my $at = inet_pton($family, $addr);
        connect $s, $six ? pack_sockaddr_in6($to->[1], $at) : pack_sockaddr_in($to->[1], $at);
        send $s, 'x', 0 if $to->[0] == SOCK_DGRAM;
        push @socks, $s;
    }
}
select undef, undef, undef, 0.3; # a connection attempt may be waiting for its neighbour
PERL
# What has no ports: raw sockets, as tunnels and routing daemons have them, with and without a
# source of their own.
cat >"$T/raw.pl" <<'PERL'
use Socket qw(:all);
my ($from4, $from6, @to) = @ARGV;
for my $proto (4, 41, 47, 50, 89, 253) {
    for my $addr (@to) {
        my $six = $addr =~ /:/;
        for my $bound (0, 1) {
            socket(my $s, $six ? AF_INET6 : AF_INET, SOCK_RAW, $proto) or die "socket: $!";
            bind $s, $six ? pack_sockaddr_in6(0, inet_pton(AF_INET6, $from6)) : pack_sockaddr_in(0, inet_aton($from4))
                if $bound;
            send $s, 'x' x 60, 0, $six ? pack_sockaddr_in6(0, inet_pton(AF_INET6, $addr)) : pack_sockaddr_in(0, inet_aton($addr));
        }
    }
}
PERL
HOSTS='198.51.100.1 8.8.8.8 192.0.2.1 192.0.2.7 192.0.2.99 100.64.0.1 2001:db8:9::1 2001:db8:1::1 2600::1'
traffic() {
    local a jobs=()
    for a in $HOSTS; do
        cli ping -c 2 -i 0.1 -W 1 "$a" & jobs+=($!)
    done
    cli perl "$T/send.pl" $HOSTS
    wait "${jobs[@]}"
    return 0
}
none_leaked() { # the witness sees packets in order: one of ours that it must see comes last
    ip netns exec "$CLI" ping -c 1 -W 0.1 -I eth0 192.0.2.250 >/dev/null 2>&1
    ip -n "$CLI" neigh replace 192.0.2.250 lladdr 02:00:00:00:00:99 dev eth0 nud permanent
    ip netns exec "$CLI" ping -c 1 -W 0.1 -I eth0 192.0.2.250 >/dev/null 2>&1
    wait_for 8 grep -q '192.0.2.250' "$T/leaks" || { echo "the witness is blind"; return 1; }
    ! grep -v '192.0.2.250' "$T/leaks"
}
portless() { # of root's own sockets, and of a container
    cli perl "$T/raw.pl" 192.0.2.2 2001:db8:1::2 $HOSTS
    ip netns exec "$BOX" perl "$T/raw.pl" 172.31.5.2 fd05::2 $HOSTS
    ip netns exec "$BOX" perl "$T/send.pl" $HOSTS
    return 0
}
quiet() { # DESCRIPTION [COMMAND]: traffic, and nothing of it leaves beside the tunnel
    witness_start
    ${2:-traffic} >/dev/null 2>&1
    check "$1: nothing leaks" none_leaked
    kill $WITNESS
    wait $WITNESS 2>/dev/null
}
reaches() { cli ping -c 2 -i 0.2 -W 2 "$1"; }
by_tunnel() { # ADDRESS: the server sees the tunnel's address as the source
    local source
    source=$(srv timeout 10 perl -MIO::Socket::INET -e '
        my $s = IO::Socket::INET->new(LocalAddr => $ARGV[0], LocalPort => 4053, Proto => "udp") or die;
        open my $f, ">", $ARGV[1]; close $f; $s->recv(my $b, 100); print $s->peerhost;' "$1" "$T/udp-ready" &
        wait_for 8 test -e "$T/udp-ready"
        cli bash -c "echo x >/dev/udp/$1/4053"
        wait)
    rm -f "$T/udp-ready"
    [ -n "$source" ] && ip -n "$CLI" addr show dev tun0 | grep -q "inet $source/" || { echo "came from '$source'"; return 1; }
}

server_config
user_add alice
user_add bob
check "the server starts" server_start

# The witness sees what would be a leak.
witness_start
traffic >/dev/null 2>&1
for p in 'IPv4 proto 1 192.0.2.2 > 198.51.100.1' 'IPv4 proto 6 192.0.2.2 > 8.8.8.8.443' 'IPv4 proto 17 192.0.2.2 > 192.0.2.7.53' \
    'IPv6 next 58 .* > 20010db8000900000000000000000001'; do
    check "without a tunnel the witness sees: $p" grep -q "$p" "$T/leaks"
done
portless >/dev/null 2>&1
for p in 'IPv4 proto 47 192.0.2.2 > 198.51.100.1' 'IPv4 proto 50 192.0.2.2 > 8.8.8.8' 'IPv4 proto 47 172.31.5.2 > 8.8.8.8' \
    'IPv4 proto 17 172.31.5.2 > 198.51.100.1' 'IPv6 next 47 .* > 20010db8000900000000000000000001'; do
    check "without a tunnel the witness sees: $p" wait_for 5 grep -q "$p" "$T/leaks"
done
kill $WITNESS
wait $WITNESS 2>/dev/null

# ---- a full tunnel ------------------------------------------------------------------------------
client_config alice 'routes: [default]'
dump() {
    cli ip addr; cli ip rule; cli ip -6 rule; cli ip route show table all
    cli nft list ruleset; cli sysctl net.ipv4.conf.all.src_valid_mark
}
dump >"$T/before"
client_start alice
check "a full tunnel, with a strict rp_filter" client_connected alice
check "IPv4 through it" reaches 198.51.100.1
check "IPv6 through it" reaches 2001:db8:9::1
check "the server sees the tunnel's address" by_tunnel 198.51.100.1
quiet "a plain full tunnel"
arp_answered() {
    ip -n "$SRV" neigh del 192.0.2.2 dev eth0
    srv ping -c 1 -W 0.1 192.0.2.2
    wait_for 5 sh -c "ip -n $SRV neigh show 192.0.2.2 | grep -q lladdr"
}
check "ARP is answered, though rp_filter looks the asker up" arp_answered
check "for the mark that it gets" sh -c "ip netns exec $CLI sysctl -n net.ipv4.conf.all.src_valid_mark | grep -qx 1 &&
    ip netns exec $CLI nft list table arp vpn-client | grep -q 'meta mark set 0x0056504e'"

# ---- TunnelVision: what a DHCP client makes of option 121, and a router of its advertisements ----
for r in 0.0.0.0/1 128.0.0.0/1 198.51.100.0/24 8.8.8.8/32 192.0.2.1/32; do
    ip -n "$CLI" route add $r via 192.0.2.7 dev eth0 proto dhcp
done
ip -n "$CLI" -6 route add 2000::/3 via 2001:db8:1::1 dev eth0 proto ra
ip -n "$CLI" -6 route add 2001:db8:9::/64 via 2001:db8:1::1 dev eth0 proto ra
quiet "routes pushed by DHCP"
for f in 1 2 0; do
    cli sysctl -qw net.ipv4.conf.all.rp_filter=$f net.ipv4.conf.eth0.rp_filter=$f net.ipv4.conf.box0.rp_filter=$f
    quiet "routes pushed by DHCP, rp_filter=$f, packets without ports and of a container" portless
    check "ARP is answered with rp_filter=$f" arp_answered
done
cli sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.eth0.rp_filter=1
check "the tunnel goes on" reaches 198.51.100.1
check "traffic takes it still" by_tunnel 198.51.100.1
check "a login survives as well" kill -HUP "$CLIENT"

# ---- TunnelCrack LocalNet: the local network is what the attacker says --------------------------
ip -n "$CLI" addr add 8.8.8.9/24 dev eth0
ip -n "$CLI" addr add 198.51.100.9/24 dev eth0
ip -n "$CLI" addr add 2001:db8:9::9/64 dev eth0 nodad
quiet "a local network of public addresses"
check "the tunnel goes on" reaches 8.8.8.8
check "IPv6 as well" reaches 2001:db8:9::1
ip -n "$CLI" addr del 8.8.8.9/24 dev eth0
ip -n "$CLI" addr del 198.51.100.9/24 dev eth0
ip -n "$CLI" addr del 2001:db8:9::9/64 dev eth0

# ---- TunnelCrack ServerIP: only the tunnel's own socket may go to the server's address -----------
check "the server's address answers through the tunnel" by_tunnel 192.0.2.1
for r in 0.0.0.0/1 128.0.0.0/1 198.51.100.0/24 8.8.8.8/32 192.0.2.1/32; do ip -n "$CLI" route del $r; done
ip -n "$CLI" -6 route del 2000::/3
ip -n "$CLI" -6 route del 2001:db8:9::/64 via 2001:db8:1::1

# Without the rule for the way back a strict rp_filter would end the tunnel here.
check "the rule for the server's answers" sh -c "ip -n $CLI rule | grep -qE '^23990:.*to 192.0.2.1 iif lo uidrange 0-0 ipproto udp .*dport 51820'"
stop "$CLIENT"
check "the client ends with status 0" test $? = 0
ip -n "$CLI" neigh del 192.0.2.250 dev eth0
dump >"$T/after"
check "and leaves the kernel as found" diff "$T/before" "$T/after"

# ---- somebody else has a table for ARP of our name ------------------------------------------------
cli nft 'add table arp vpn-client { comment "mine"; }; add chain arp vpn-client input'
cli nft list table arp vpn-client >"$T/arp-before"
client_start alice
check "beside somebody else's table for ARP the client connects" client_connected alice
check "the guard stands" wait_for 5 sh -c "ip netns exec $CLI nft list table inet vpn-client | grep -q 'ip daddr 10.8.0.* drop'"
check "the log names the table" grep -q 'warning: ARP requests are not answered .* nft delete table arp vpn-client' "$T/client-alice.log"
guard_is() { cli "$BIN/vpnctl" -s "$T/alice.sock" status | grep -q "packet filter *$1"; }
check "status says so" guard_is partial
check "the setting for marks is left alone" sh -c "ip netns exec $CLI sysctl -n net.ipv4.conf.all.src_valid_mark | grep -qx 0"
cli nft list table arp vpn-client >"$T/arp-after"
check "that table is as it was" cmp "$T/arp-before" "$T/arp-after"
cli nft delete table arp vpn-client
check "once it went, status is well" wait_for 15 guard_is active
check "and ARP is answered" arp_answered
stop "$CLIENT"
ip -n "$CLI" neigh flush dev eth0
dump >"$T/after"
check "again the kernel is left as found" diff "$T/before" "$T/after"

# ---- exceptions are the operator's ---------------------------------------------------------------
ip -n "$CLI" addr add 192.168.1.2/24 dev eth0
ip -n "$SRV" addr add 192.168.1.7/24 dev eth0
ip -n "$SRV" addr add 10.77.0.1/32 dev lo
client_config alice 'routes: [default]' 'allow-lan: true' 'exclude: [192.0.2.0/24]'
client_start alice
check "a full tunnel with exceptions" client_connected alice
ip -n "$CLI" addr add 8.8.8.9/24 dev eth0
witness_start
check "the private network next door is reached" reaches 192.168.1.7
check "an excluded network as well" reaches 192.0.2.7
check "a private network that is not next door: by the tunnel" reaches 10.77.0.1
check "a local network of public addresses: by the tunnel" reaches 8.8.8.8
wait_for 8 grep -q '> 192.0.2.7' "$T/leaks"
check "each where it should be" sh -c "grep -q '> 192.168.1.7' '$T/leaks' && ! grep -E '> (10.77.0.1|8.8.8.8)' '$T/leaks'"
kill $WITNESS
wait $WITNESS 2>/dev/null
stop "$CLIENT"
ip -n "$CLI" addr del 8.8.8.9/24 dev eth0

# ---- a hostile server pushes what covers the local network, itself, and everything ---------------
printf 'tunnel:\n  push-routes: [192.0.2.0/24, 0.0.0.0/1, 128.0.0.0/1, "2001:db8:1::/64", "::/1", "8000::/1"]\n' >"$T/etc/vpn.yaml.d/30-push.yaml"
kill -HUP "$SERVER"
check "the server takes it" wait_for 5 grep -q 'configuration reloaded' "$T/server.log"
client_config alice
client_start alice
check "the client connects" client_connected alice
pushed() { ip -n "$CLI" route show table all proto 87 | grep -q '^128.0.0.0/1 dev tun0'; }
check "and has the pushed routes" wait_for 10 pushed
check "its own datagrams stay outside: the tunnel goes on" reaches 198.51.100.1
check "traffic to the server's address goes through it" by_tunnel 192.0.2.1
quiet "pushed routes over everything"
stop "$CLIENT"

# ---- … and it is not the one that the file gives everything ---------------------------------------
{
    cat "$T/alice.client.yaml"
    echo '    routes: [default]'
    sed -n '/^tunnels:/,$p' "$T/bob.client.yaml" | sed '1d; s/^  [^ ].*:$/  bob:/; /device:/d'
    printf '    device: tun1\nstate: %s/state-both\ncontrol: {socket: %s/both.sock}\n' "$T" "$T"
} >"$T/both.yaml"
chmod 600 "$T/both.yaml"
printf 'tunnel:\n  push-routes: [192.0.2.0/24, 0.0.0.0/1, 128.0.0.0/1, 10.0.0.0/8, 10.8.0.1/32, 10.77.0.0/16]\n' >"$T/etc/vpn.yaml.d/30-push.yaml"
kill -HUP "$SERVER"
check "the server takes it" wait_for 5 sh -c "[ \$(grep -c 'configuration reloaded' '$T/server.log') = 2 ]"
client_start both
both() { [ "$(grep -c ': connected$' "$T/client-both.log")" -ge 2 ]; }
check "two tunnels, one of them full" wait_for 15 both
check "the other one's pushed routes are not set" wait_for 10 grep -q 'bob: .*not set, because they are not private' "$T/client-both.log"
# Both have the same network, and its own is the full one's.
check "nor those over the full one's name server" wait_for 5 grep -q 'bob: 2 of the .*overlap networks of the tunnel' "$T/client-both.log"
check "nor its own network, which is the full one's, and the log says so" sh -c "
    grep -q 'bob: 10.8.0.0/24, the network of this .*not set' '$T/client-both.log' &&
    grep -q 'bob: fd08::/64, the network of this .*not set' '$T/client-both.log'"
extra() { ip -n "$CLI" route show table all dev tun1; ip -n "$CLI" -6 route show table all dev tun1; }
apart() { extra | grep -q '^10.77.0.0/16' && ! extra | grep -vE '^(10.77.0.0/16|10.8.0.[0-9]+ |local|broadcast|fd08::[0-9a-f]+ |multicast|anycast)'; }
check "but the private one beside it, and no other" apart
names_by_full() { ip -n "$CLI" route get 10.8.0.1 | grep -q 'dev tun0'; }
check "the name server is the full one's" names_by_full
check "everything goes by the full one" by_tunnel 198.51.100.1
quiet "routes that another tunnel's server pushes"
stop "$CLIENT"

# The full one's lease comes later: what the other one has got by then goes again.
check "alice is disabled" srv "$BIN/vpnctl" user disable alice -f "$T/etc/vpn.yaml" -s "$T/etc/vpn.sock"
client_start both
names_by_other() { ip -n "$CLI" route get 10.8.0.1 | grep -q 'dev tun1'; }
check "alone it has them" wait_for 15 names_by_other
check "and the full one is refused" wait_for 5 grep -q 'this user is disabled' "$T/client-both.log"
rm "$T/etc/vpn.yaml.d/zz-disabled-alice.yaml"
check "alice is enabled" srv "$BIN/vpnctl" reload -s "$T/etc/vpn.sock"
kill -HUP "$CLIENT"
check "the full one connects" wait_for 20 both
check "its name server is its own again" wait_for 5 names_by_full
check "and all else, but what is beside it" wait_for 5 apart
stop "$CLIENT"
stop "$SERVER"

# ---- a server without IPv6, and a neighbour who offers it ------------------------------------------
rm "$T/etc/vpn.yaml.d/30-push.yaml"
printf 'tunnel:\n  addresses: [10.8.0.1/24]\n  pool: [10.8.0.10-10.8.0.254]\n  dns: [10.8.0.1]\n' >"$T/etc/vpn.yaml.d/40-four.yaml"
check "a server without IPv6 inside" server_start
client_config alice 'routes: [default]'
client_start alice
check "the client connects" client_connected alice
check "it says that there is no IPv6" grep -q 'no IPv6 address: IPv6 is unreachable' "$T/client-alice.log"
check "and which name servers it does not apply" grep -q 'name servers (10.8.0.1), which are not applied' "$T/client-alice.log"
check "which is no warning without systemd-resolved" sh -c "! grep -q 'looked up beside' '$T/client-alice.log'"
check "status shows them" sh -c "ip netns exec $CLI '$BIN/vpnctl' -j -s '$T/alice.sock' status | tr -d ' \n' | grep -q '\"dns\":\[\"10.8.0.1\"\]'"
check "IPv4 goes through it" reaches 198.51.100.1
quiet "IPv6 that the tunnel does not carry"
stop "$CLIENT"
# Where systemd-resolved seems to be at work.
: >"$T/client-alice.log"
ip netns exec "$CLI" unshare -m sh -c "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/resolve &&
    exec '$BIN/vpn-client' -c '$T/alice.yaml'" >"$T/client-alice.log" 2>&1 &
CLIENT=$!
PIDS+=($CLIENT)
check "the client connects" client_connected alice
check "it warns of names that are looked up outside" grep -q 'warning: names are still looked up beside .*resolvectl dns tun0 10.8.0.1. and .resolvectl domain tun0 ~' "$T/client-alice.log"
check "once" sh -c "[ \$(grep -c 'looked up beside' '$T/client-alice.log') = 1 ]"
stop "$CLIENT"

# ---- a host without IPv6 ---------------------------------------------------------------------------
rm "$T/etc/vpn.yaml.d/40-four.yaml"
stop "$SERVER"
check "a server with both" server_start
cli sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
client_start alice
check "a client whose host has IPv6 switched off connects" client_connected alice
check "IPv4 goes through the tunnel" reaches 198.51.100.1
stop "$CLIENT"
stop "$SERVER"
finish
