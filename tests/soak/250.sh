#!/bin/bash
# 250 clients at once, each sending, while some of them come and go: no session is lost, what the
# server's processes hold together stays below 50 MB and does not grow.
#
# SOAK_SECONDS (3600) and SOAK_CLIENTS (250) make it shorter.  All clients are tunnels of two
# vpn-client processes in one namespace; the second one's are stopped and started all the time.
#
#   cli  192.0.2.2 ─── 192.0.2.1 srv        tun1 … tun250 ══ 10.8.0.1
. "$(dirname "$0")/../net/lib.sh"
topo_up
ALL_SECONDS=${SOAK_SECONDS:-3600}
CLIENTS=${SOAK_CLIENTS:-250}
COMING=$((CLIENTS / 10)) # so many of them come and go
STAYING=$((CLIENTS - COMING))
LIMIT_KB=$((50 * 1000))
EVERY=10 # seconds between two looks at the memory
# Another namespace, because one vpn-client runs in each; the same kind of wire.
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

# ---- users, profiles -------------------------------------------------------------------------------

"$BIN/vpn-server" --init "$T/etc" >/dev/null || { not_ok "the server's files are made"; finish; }
chmod 755 "$T/etc"
chmod 644 "$T/etc/vpn.yaml"
mkdir "$T/etc/vpn.yaml.d"
cat >"$T/etc/vpn.yaml.d/10-test.yaml" <<YAML
server:
  max-clients: $((CLIENTS + 50))
tunnel:
  addresses: [10.8.0.1/16]
  pool: [10.8.1.1-10.8.9.250]
YAML
# profile NAME FIRST LAST SERVER: users, and one file with a tunnel for each
profile() {
    local name=$1 i
    printf 'version: 1\nstate: %s/state-%s\ncontrol:\n  socket: %s/%s.sock\nlog:\n  level: info\ntunnels:\n' \
        "$T" "$name" "$T" "$name" >"$T/$name.yaml"
    for ((i = $2; i <= $3; i++)); do
        "$BIN/vpnctl" user add "u$i" --key -f "$T/etc/vpn.yaml" -o "$T" --endpoint "$4" \
            2>/dev/null | grep -v '^users:' >>"$T/users"
        sed -n "s/^  \"[^\"]*\":\$/  u$i:/; s/device: tun0/device: tun$i/; /^  /p" "$T/u$i.client.yaml"
        printf '    routes: [10.8.0.1/32]\n    table: %d\n' $((1000 + i))
    done >>"$T/$name.yaml"
    chmod 600 "$T/$name.yaml"
}
profile staying 1 $STAYING 192.0.2.1:51820
profile coming $((STAYING + 1)) "$CLIENTS" 192.0.3.1:51820
{ echo users:; cat "$T/users"; } >"$T/etc/vpn.yaml.d/20-users.yaml"

# ---- what is looked at -----------------------------------------------------------------------------

sessions() { status_json | sed -n 's/^ *"sessions": *\([0-9]*\).*/\1/p'; }
have_sessions() { [ "$(sessions)" = "$1" ]; }
family() { # the server, its spawner, the enclave
    local spawner
    spawner=$(pgrep -P "$SERVER")
    echo "$SERVER" "$spawner" "$(pgrep -P "$spawner")"
}
# kb FIELD: Pss is what counts; Pss_Anon is theirs alone, whatever others do who share the programs
kb() { for p in $(family); do cat "/proc/$p/smaps_rollup"; done | awk -v f="$1:" '$1 == f { s += $2 } END { print s }'; }

# Sends one echo request a second from each device and says how many were answered.
pinger() { # NAMESPACE FIRST LAST: becomes the process that started it in the background
    exec ip netns exec "$1" perl - "$2" "$3" <<'PERL'
use strict; use warnings; use Socket;
my ($first, $last) = @ARGV;
my ($sent, $got, $seq, $stop, %fd) = (0, 0, 0, 0);
$SIG{TERM} = sub { $stop = 1 };
my $to = sockaddr_in(0, inet_aton("10.8.0.1"));
for my $i ($first .. $last) {
    socket(my $s, PF_INET, SOCK_RAW, 1) or die "socket: $!";
    setsockopt($s, SOL_SOCKET, 25, "tun$i\0") or die "tun$i: $!";   # SO_BINDTODEVICE
    $fd{$i} = $s;
}
sub sum { my $n = unpack("%32n*", $_[0]); $n = ($n & 0xffff) + ($n >> 16) while $n >> 16; ~$n & 0xffff }
while (!$stop) {
    $seq = ($seq + 1) & 0xffff;
    for my $i ($first .. $last) {
        my $data = pack("C2n3a56", 8, 0, 0, $i, $seq, "x");
        substr($data, 2, 2) = pack("n", sum($data));
        $sent++ if defined send($fd{$i}, $data, 0, $to);
    }
    select(undef, undef, undef, 1);
    select(undef, undef, undef, 2) if $stop;    # the last ones are on their way
    for my $i ($first .. $last) {
        while (defined recv($fd{$i}, my $b, 200, MSG_DONTWAIT)) {
            my ($type, $id) = unpack("x20Cx3n", $b);
            $got++ if $type == 0 && $id == $i;
        }
    }
}
print "$sent $got\n";
PERL
}

# ---- the run ---------------------------------------------------------------------------------------

check "the server starts" server_start
ip netns exec "$CLI" "$BIN/vpn-client" -c "$T/staying.yaml" >"$T/client-staying.log" 2>&1 &
PIDS+=($!)
check "$STAYING clients of one process connect" wait_for 60 have_sessions $STAYING
come() {
    ip netns exec "$TWO" "$BIN/vpn-client" -c "$T/coming.yaml" >>"$T/client-coming.log" 2>&1 &
    COMER=$!
    PIDS+=("$COMER")
}
come
check "$COMING more of another" wait_for 60 have_sessions "$CLIENTS"
pinger "$CLI" 1 $STAYING >"$T/answers" 2>"$T/pinger.log" & PINGER=$!
PIDS+=("$PINGER")

check "three processes are looked at" test "$(family | wc -w)" = 3

begun=$SECONDS rounds=0 worst=0 missed=0
: >"$T/pss"
while [ $((SECONDS - begun)) -lt "$ALL_SECONDS" ]; do
    next=$((SECONDS + EVERY))
    stop "$COMER"
    wait_for 10 have_sessions $STAYING || missed=$((missed + 1))
    come
    wait_for 30 have_sessions "$CLIENTS" || missed=$((missed + 1))
    rounds=$((rounds + 1))
    pss=$(kb Pss)
    echo "$((SECONDS - begun)) $pss $(kb Pss_Anon)" >>"$T/pss"
    [ "$pss" -le $worst ] || worst=$pss
    while [ $SECONDS -lt $next ]; do sleep 0.2; done
done
kill "$PINGER"; wait "$PINGER"
read -r sent got <"$T/answers"

# Not more than 25 lines of it: second, all, and what they share with nobody.
awk -v n="$(wc -l <"$T/pss")" 'NR == 1 || NR == n || NR % int(n / 24 + 1) == 0 { printf "# after %5d s: %d kB, own %d kB\n", $1, $2, $3 }' "$T/pss"
echo "# $rounds rounds of $COMING clients; $sent echo requests, $((sent - got)) without an answer"
check "all sessions are there at the end" have_sessions "$CLIENTS"
check "whoever came was there, whoever went was gone, in each round" test $missed = 0
check "no client that stayed had to log in anew" \
    sh -c "[ \$(grep -c 'authentication successful' '$T/client-staying.log') = $STAYING ]"
check "none was dropped or reconnected" sh -c "! grep -E 'connection lost|reconnecting' '$T/client-staying.log'"
echo "# requests that had to be repeated: $(grep -c 'no answer' "$T/client-staying.log")"
status_json | sed -n '/"drops"/,/}/s/^ *"\([^"]*\)": *\([1-9][0-9]*\),*$/#   \1 \2/p'
check "every client sent (${sent:-0})" test "${sent:-0}" -ge $((STAYING * ALL_SECONDS / 2))
# A packet may be lost when a machine this busy drops it from a full queue; a session may not.
check "and 99.9 % of it was answered (${got:-0})" test $(((sent - got) * 1000)) -le "${sent:-0}"
# (A sanitizer's shadow memory is not theirs.)
[ -n "${VPN_SANITIZE:-}" ] ||
    check "memory of server, enclave and spawner stays below 50 MB (at most $worst kB)" test $worst -le $LIMIT_KB
if [ $rounds -ge 8 ] && [ -z "${VPN_SANITIZE:-}" ]; then
    # The mean of the last quarter against that of the second: the first has the warming up.
    check "and does not grow" perl -e 'my @k = map { (split)[2] } <>; my $q = int(@k / 4); my ($a, $b);
        $a += $_ for @k[$q .. 2 * $q - 1]; $b += $_ for @k[@k - $q .. $#k];
        printf "%.0f kB, then %.0f kB\n", $a / $q, $b / $q; exit($b / $q > $a / $q * 1.02 + 100)' "$T/pss"
fi
check "the enclave never restarted" sh -c "ip netns exec $SRV $BIN/vpnctl -j -s $T/etc/vpn.sock status | grep -qE '\"restarts\": *0'"
finish
