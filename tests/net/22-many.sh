#!/bin/bash
# Twelve tunnels of one vpn-client, each for one uid: every uid's traffic leaves by its own tunnel, the
# main table stays as it was, and nothing falls through to it.  What others change is put right at
# once, what is not ours is never touched, a killed client's kernel state is adopted.
#
#   cli: uid 1101 → table 101 → tun101 ═╗
#        …                              ╠═ srv 192.0.2.1, and 198.51.100.1, 2001:db8:9::1 behind it
#        uid 1112 → table 112 → tun112 ═╝
. "$(dirname "$0")/lib.sh"
topo_up
command -v setpriv >/dev/null || skip "no setpriv"
cli sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.eth0.rp_filter=1
ip -n "$CLI" route add default via 192.0.2.1
ip -n "$CLI" -6 route add default via 2001:db8:1::1
for a in 198.51.100.1/32 2001:db8:9::1/128; do ip -n "$SRV" addr add $a dev lo; done

# It answers with the address that the question came from.
cat >"$T/echo.pl" <<'PERL'
use Socket qw(:all);
my ($ready) = @ARGV;
my @socks;
for my $at (pack_sockaddr_in(4053, inet_aton('198.51.100.1')), pack_sockaddr_in6(4053, inet_pton(AF_INET6, '2001:db8:9::1'))) {
    socket(my $s, sockaddr_family($at), SOCK_DGRAM, 0) or die;
    bind $s, $at or die;
    push @socks, $s;
}
open my $f, '>', $ready or die; close $f;
for (;;) {
    my $bits = '';
    vec($bits, fileno($_), 1) = 1 for @socks;
    select $bits, undef, undef, undef;
    for my $s (grep { vec $bits, fileno($_), 1 } @socks) {
        my $from = recv $s, my $b, 100, 0;
        my $six = sockaddr_family($from) == AF_INET6;
        my (undef, $addr) = $six ? unpack_sockaddr_in6($from) : unpack_sockaddr_in($from);
        send $s, inet_ntop($six ? AF_INET6 : AF_INET, $addr), 0, $from;
    }
}
PERL
cat >"$T/ask.pl" <<'PERL'
use Socket qw(:all);
for my $to (pack_sockaddr_in(4053, inet_aton('198.51.100.1')), pack_sockaddr_in6(4053, inet_pton(AF_INET6, '2001:db8:9::1'))) {
    my ($s, $got) = (undef, 'nothing');
    if (socket($s, sockaddr_family($to), SOCK_DGRAM, 0) && connect($s, $to) && send($s, 'x', 0)) {
        my $bits = '';
        vec($bits, fileno($s), 1) = 1;
        recv($s, $got, 100, 0) if select($bits, undef, undef, 1) > 0;
    } else { $got = 'refused' }
    print "$got ";
}
PERL
chmod 644 "$T/ask.pl"
ip netns exec "$SRV" perl "$T/echo.pl" "$T/echo-ready" 2>"$T/echo.log" & PIDS+=($!)
wait_for 5 test -e "$T/echo-ready"
ask() { cli setpriv --reuid "$1" --regid "$1" --clear-groups perl "$T/ask.pl"; } # UID: as whom it is seen

server_config
for i in $(seq 101 112); do user_add u$i 192.0.2.1:51820 --key; done
{
    echo 'version: 1'
    echo 'tunnels:'
    for i in $(seq 101 112); do
        sed -n '/^tunnels:/,$p' "$T/u$i.client.yaml" | sed -n '2,$p' |
            sed "s/^  [^ ].*:\$/  w$i:/; /^    device:/d"
        printf '    %s\n' "device: tun$i" "table: $i" "uids: 1$i-1$i" 'routes: [default]'
    done
    printf 'state: %s/state-many\ncontrol:\n  socket: %s/many.sock\n' "$T" "$T"
} >"$T/many.yaml"
chmod 600 "$T/many.yaml"
check "the configuration is valid" "$BIN/vpn-client" --check -c "$T/many.yaml"
sed '/^    \(uids\|table\):/d; s|\[default\]|[0.0.0.0/1, 128.0.0.0/1]|' "$T/many.yaml" >"$T/halves.yaml"
"$BIN/vpn-client" --check -c "$T/halves.yaml" 2>"$T/halves.log"
check "two cannot take everything, nor by halves" grep -q 'only one can have it' "$T/halves.log"

# Somebody else's, in our places.
ip -n "$CLI" rule add pref 10103 from 203.0.113.0/24 lookup 103 proto static
ip -n "$CLI" route add 203.0.113.0/24 via 192.0.2.1 table 103 proto static
foreign() {
    ip -n "$CLI" rule show; ip -n "$CLI" -6 rule show
    ip -n "$CLI" route show table all | sed '/proto 87/d; / dev tun/d'
    ip -n "$CLI" -6 route show table all | sed '/proto 87/d; / dev tun/d; /expires/d'
}
before() { foreign | grep -v 'lookup 1[01][0-9] proto 87'; }
main() { ip -n "$CLI" route show table main; ip -n "$CLI" -6 route show table main; }
before >"$T/before"
main >"$T/main"

up() { [ "$(grep -cE ': connected$' "$T/client-many.log")" -ge 12 ]; }
status() { cli "$BIN/vpnctl" -j -s "$T/many.sock" status; }
kernel() { status | sed -n "/\"kernel\"/,/}/s/.*\"$1\": *\([a-z0-9]*\).*/\1/p"; }
own_tunnel() { # each uid is seen as its own tunnel's addresses
    local i want got bad=0
    for i in $(seq 101 112); do
        want=$(ip -n "$CLI" -o addr show dev tun$i | sed -n 's/.*inet6* \([^/]*\)\/.*/\1/p' | tr '\n' ' ')
        got=$(ask 1$i)
        [ "$got" = "$want" ] && [ -n "$want" ] || { echo "uid 1$i: seen as $got, not as $want"; bad=1; }
    done
    return $bad
}

client_start many
refused_all() { [ "$(ask 1101)" = 'refused refused ' ] && [ "$(ask 1112)" = 'refused refused ' ]; }
check "before the first login a uid leads nowhere" wait_for 5 refused_all
check "another one outside" test "$(ask 1100)" = 'nothing nothing ' -o "$(ask 1100)" = '192.0.2.2 2001:db8:1::2 '
check "the server starts" server_start
check "twelve tunnels connect" wait_for 30 up
check "the rule is as documented" sh -c "ip -n $CLI rule | grep -qE '^10101:.from all uidrange 1101-1101 lookup 101 proto 87' ||
    ip -n $CLI rule | grep -qE '^10101:.*uidrange 1101-1101 lookup 101'"
check "the route as well" sh -c "ip -n $CLI route show table 101 | grep -q '^default dev tun101'"
check "the table ends in an unreachable one" sh -c "ip -n $CLI route show table 101 | grep -q '^unreachable default .*metric 4294967294'"
check "each uid's traffic leaves by its own tunnel" own_tunnel
check "everybody else's as ever" test "$(ask 1100)" = '192.0.2.2 2001:db8:1::2 '
main >"$T/main-up"
check "the main table is untouched" diff "$T/main" "$T/main-up"

# ---- equal means nothing to do -------------------------------------------------------------------
check "all is set" wait_for 5 sh -c "[ '$(kernel in_sync)' = true ] && [ '$(kernel waiting)' = 0 ]"
runs=$(kernel runs) operations=$(kernel operations)
ran() { [ "$(kernel runs)" -gt "$runs" ]; }
ip -n "$CLI" link set tun101 txqueuelen 600 # news, and yet nothing to do
check "a look at the kernel" wait_for 5 ran
check "that finds nothing sends nothing ($operations operations so far)" test "$(kernel operations)" = "$operations"

# ---- drift -----------------------------------------------------------------------------------------
# repaired DESCRIPTION COMMAND CONDITION, N standing for a tunnel's number: undone always, and within
# a second unless the machine is too busy three times in a row.
repaired() {
    local what=$1 n at ms best=99999
    for n in 105 106 107; do
        sh -c "${2//N/$n}" || { not_ok "$what: it could not be done"; return; }
        at=${EPOCHREALTIME/./}
        wait_for 10 sh -c "${3//N/$n}" || { not_ok "$what: not put right"; return; }
        ms=$(((${EPOCHREALTIME/./} - at) / 1000))
        [ $ms -ge $best ] || best=$ms
        [ $best -gt $((1000 * PATIENCE)) ] || break
    done
    if [ $best -le $((1000 * PATIENCE)) ]; then ok "$what: put right after $best ms"; else not_ok "$what: put right after $best ms"; fi
}
repaired "a rule was removed" "ip -n $CLI rule del pref 10N" "ip -n $CLI rule | grep -q '^10N:'"
repaired "a table was flushed" "ip -n $CLI route flush table N" "[ \$(ip -n $CLI route show table N | wc -l) = 2 ]"
repaired "a device was taken down" "ip -n $CLI link set tunN down" "ip -n $CLI route show table N | grep -q '^default dev tunN'"
repaired "an address was removed" "ip -n $CLI addr flush dev tunN" "ip -n $CLI addr show dev tunN | grep -q 'inet 10.8'"
check "each uid's traffic leaves by its own tunnel again" own_tunnel
check "it was said" grep -q 'rule 10105.* was removed.*put back' "$T/client-many.log"
before >"$T/during"
check "what is not ours is as it was" diff "$T/before" "$T/during"

# ---- killed, and started again -----------------------------------------------------------------------
ours() { ip -n "$CLI" rule show | grep 'proto 87' | sort; ip -n "$CLI" -6 rule show | grep 'proto 87' | sort; ip -n "$CLI" -br link show type tun | awk '{print $1}'; }
kill -9 "$CLIENT"
wait "$CLIENT" 2>/dev/null
check "killed: a uid leads nowhere" test "$(ask 1104)" != '192.0.2.2 2001:db8:1::2 '
ours >"$T/ours"
client_start many
check "the next start adopts all" wait_for 30 up
ours >"$T/ours-again"
check "rules and devices are the same" diff "$T/ours" "$T/ours-again"
check "each uid's traffic leaves by its own tunnel" own_tunnel
check "no \"File exists\"" sh -c "! grep -i 'file exists' '$T/client-many.log'"

stop "$CLIENT"
check "the client ends with status 0" test $? = 0
before >"$T/after"
foreign >"$T/after-all"
check "nothing of ours is left" diff "$T/before" "$T/after-all"
check "what is not ours is as it was" diff "$T/before" "$T/after"
check "no device either" sh -c "! ip -n $CLI -br link | grep '^tun'"
stop "$SERVER"
finish
