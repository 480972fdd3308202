#!/bin/bash
# Forwarding and masquerading from the configuration: a client reaches a network behind the server
# whose hosts know no way back.  What was switched on goes off again, also after a kill; a host that
# lives by router advertisements does not lose its way out.
#
#   cli (alice, 10.8.0.x) ═══ tunnel ═══ srv 192.168.100.1 ─── 192.168.100.2 inner (no default route)
. "$(dirname "$0")/lib.sh"
command -v nft >/dev/null || skip "no nft(8)"
topo_up
ip -n "$INNER" route del default
ip -n "$INNER" -6 route del default
# One device of the server forwards already: that is to stay so.
srv sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0 net.ipv4.conf.eth1.forwarding=1 \
    net.ipv6.conf.eth1.forwarding=1 net.ipv4.conf.all.accept_redirects=0

settings() { srv sh -c 'cd /proc/sys/net && grep -sr . ipv4/ip_forward ipv4/conf ipv6/conf | grep -v "/conf/tun0/" | sort'; }
value() { srv cat "/proc/sys/net/$1"; }
is() { [ "$(value "$1")" = "$2" ]; }
told() { grep -c 'configuration reloaded' "$T/server.log"; }
reload() {
    local before=$(told)
    kill -HUP "$SERVER"
    wait_for 5 sh -c "[ \$(grep -c 'configuration reloaded' $T/server.log) -gt $before ]"
}
# serve FAMILY PORT: inner takes one connection, keeps what comes and says from where
serve() {
    ip netns exec "$INNER" perl -MSocket=:all -MIO::Handle -e '
        my $six = $ARGV[0] == 6;
        socket my $s, $six ? PF_INET6 : PF_INET, SOCK_STREAM, 0;
        bind $s, $six ? sockaddr_in6($ARGV[1], IN6ADDR_ANY) : sockaddr_in($ARGV[1], INADDR_ANY) or die $!;
        listen $s, 1; open my $r, ">", "$ARGV[2].ready"; close $r;
        my $from = accept my $c, $s;
        my ($port, $addr) = $six ? sockaddr_in6 $from : sockaddr_in $from;
        open my $o, ">", $ARGV[2]; print $o $_ while defined($_ = <$c>); close $o;
        open my $w, ">", "$ARGV[2].from"; print $w inet_ntop($six ? AF_INET6 : AF_INET, $addr), " $port\n"' \
        "$1" "$2" "$T/got$1" &
    PIDS+=($!)
    wait_for 5 test -e "$T/got$1.ready"
}
transfer() { # FAMILY ADDRESS SOURCE-PORT
    serve "$1" 4040 && cli socat -u "FILE:$T/data" "TCP$1:$2:4040,sourceport=$3" && wait_for 5 test -e "$T/got$1.from" &&
        cmp "$T/data" "$T/got$1"
}

settings >"$T/before"
server_config 'forwarding: true' 'masquerade:' '  - {from: 10.8.0.0/24, device: eth1}' '  - {from: "fd08::/64", device: eth1}'
user_add alice
client_config alice 'routes: [192.168.100.0/24, "fd64::/64"]'
check "the server starts" server_start
check "it says that it forwards" grep -q 'packets are forwarded (IPv4 and IPv6)' "$T/server.log"
check "IPv4 is forwarded" is ipv4/ip_forward 1
check "IPv6 is forwarded" is ipv6/conf/all/forwarding 1
client_start alice
check "alice connects" client_connected alice

check "the inner host answers (IPv4)" cli ping -c 2 -i 0.2 -W 2 192.168.100.2
check "the inner host answers (IPv6)" cli ping -c 2 -i 0.2 -W 2 fd64::2
head -c 3000000 /dev/urandom >"$T/data"
# From a port that masquerading may not give out, and from one that it may.
check "a transfer (IPv4)" transfer 4 '192.168.100.2' 1234
check "it came from the server, and from another port" sh -c "read a p <$T/got4.from; [ \$a = 192.168.100.1 ] && [ \$p -ge 32768 ] && [ \$p -le 51819 ]"
check "a transfer (IPv6)" transfer 6 '[fd64::2]' 40000
check "it came from the server, and its port was kept" grep -qx 'fd64::1 40000' "$T/got6.from"

# Somebody switches it off, empties our table, removes it: all comes back by itself.  The limit here is
# for a busy machine; the engine's own test holds it to a second.
srv nft list table inet vpn >"$T/ours"
same_table() { srv nft list table inet vpn | sed 's/packets [0-9]* bytes [0-9]*//' | cmp - <(sed 's/packets [0-9]* bytes [0-9]*//' "$T/ours"); }
srv sysctl -qw net.ipv4.ip_forward=0
check "IPv4 is forwarded again" wait_for 5 is ipv4/ip_forward 1
srv sysctl -qw net.ipv6.conf.all.forwarding=0
check "IPv6 is forwarded again" wait_for 5 is ipv6/conf/all/forwarding 1
srv nft flush chain inet vpn postrouting
check "an emptied chain is filled again" wait_for 5 same_table
srv nft add rule inet vpn prerouting udp dport 51820 drop
check "a foreign rule in our table goes" wait_for 5 same_table
srv nft 'flush ruleset; add table inet other; add chain inet other in { type filter hook input priority 0; };
         add rule inet other in tcp dport 22 accept'
check "a flushed table is set again" wait_for 5 same_table
check "the log names the program" grep -q 'table inet vpn .*(nft)' "$T/server.log"
check "what somebody else has made stays" sh -c "ip netns exec $SRV nft list table inet other | grep -q 'tcp dport 22 accept'"
srv nft delete table inet other
printf 'forwarding: false\n' >"$T/etc/vpn.yaml.d/30-off.yaml"
check "the plan says so" sh -c "ip netns exec $SRV $BIN/vpnctl plan -s $T/etc/vpn.sock $T/etc/vpn.yaml >$T/plan; [ \$? = 2 ] && grep '^~ forwarding: ' $T/plan"
check "without it: reload" reload
settings >"$T/off"
check "all settings are as before" diff "$T/before" "$T/off"
rm "$T/etc/vpn.yaml.d/30-off.yaml"
check "with it: reload" reload
check "the inner host answers" cli ping -c 2 -i 0.2 -W 2 192.168.100.2

# Both switched on at once, while packets come: none of them is forwarded as it is.
inner nft 'add table inet seen; add chain inet seen in { type filter hook input priority 0; };
           add rule inet seen in ip saddr 10.8.0.0/24 counter comment "bare"'
bare() { inner nft list table inet seen | sed -n 's/.*counter packets \([0-9]*\) .*/\1/p'; }
ip netns exec "$CLI" ping -q -i 0.001 192.168.100.2 >/dev/null 2>&1 & P=$!
for round in 1 2 3 4 5; do
    mv "$T/etc/vpn.yaml.d/20-test.yaml" "$T/both"
    reload || not_ok "reload without ($round)"
    mv "$T/both" "$T/etc/vpn.yaml.d/20-test.yaml"
    reload || not_ok "reload with both ($round)"
    cli ping -c 1 -W 2 192.168.100.2 >/dev/null || not_ok "the inner host answers ($round)"
done
kill $P
check "nothing was forwarded before it was masqueraded" [ "$(bare)" = 0 ]
# Refused half-way, all is as it was, what the kernel changed along with forwarding included.
mv "$T/etc/vpn.yaml.d/20-test.yaml" "$T/both"
reload || not_ok "reload without, once more"
srv sysctl -qw net.ipv6.conf.tun0.disable_ipv6=1
mv "$T/both" "$T/etc/vpn.yaml.d/20-test.yaml"
kill -HUP "$SERVER"
check "a change that the kernel refuses" wait_for 5 grep -q 'error: .*refused\|error: .*fd08' "$T/server.log"
settings >"$T/refused"
check "leaves all settings as before" diff "$T/before" "$T/refused"
srv sysctl -qw net.ipv6.conf.tun0.disable_ipv6=0
check "and goes through when it is not" reload

kill -9 "$SERVER"; wait "$SERVER" 2>/dev/null
check "a killed server leaves it on" is ipv4/ip_forward 1
check "it starts again" server_start
check "clean exit" stop "$SERVER"
settings >"$T/after"
check "all settings are as before" diff "$T/before" "$T/after"
check "and no table is left" sh -c "[ -z \"\$(ip netns exec $SRV nft list ruleset)\" ]"

# The server's way out comes by router advertisements: to forward IPv6 would cut it.
advertise() {
    cli perl -MSocket=:all -e '
        socket my $s, PF_INET6, SOCK_RAW, 58 or die $!;
        setsockopt $s, IPPROTO_IPV6, 18, pack "i", 255; # IPV6_MULTICAST_HOPS
        open my $f, "<", "/sys/class/net/eth0/ifindex"; chomp(my $i = <$f>);
        send $s, pack("CCnCCnNN", 134, 0, 0, 64, 0, 1800, 0, 0), 0, pack_sockaddr_in6(0, inet_pton(AF_INET6, "ff02::1"), $i) or die $!'
}
ra_route() { ip -n "$SRV" -6 route show default proto ra | grep -q 'dev eth0'; }
lost() { ! ra_route; }
advertise
check "the server has a default route by advertisement" wait_for 5 ra_route
srv sysctl -qw net.ipv6.conf.all.forwarding=1
check "forwarding switched on by hand takes it away" wait_for 5 lost
srv sysctl -qw net.ipv6.conf.all.forwarding=0
advertise
check "it is back" wait_for 5 ra_route
check "the server starts" server_start
check "it says that IPv6 is not forwarded, and how to mend it" grep -q 'IPv6 is not forwarded: .*net.ipv6.conf.eth0.accept_ra=2' "$T/server.log"
check "it is not" is ipv6/conf/all/forwarding 0
check "IPv4 is" is ipv4/ip_forward 1
check "the route is there" ra_route
srv sysctl -qw net.ipv6.conf.eth0.accept_ra=2
check "accept_ra=2: reload" reload
check "now IPv6 is forwarded" is ipv6/conf/all/forwarding 1
check "and the route is still there" ra_route
check "clean exit" stop "$SERVER"
check "IPv6 is not forwarded any more" is ipv6/conf/all/forwarding 0
finish
