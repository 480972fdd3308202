#!/bin/bash
# What strangers send is dropped in silence, counted by its reason, and each reason is one that
# `vpnctl status` shows.
#
#   cli  192.0.2.2 ─── 192.0.2.1 srv
. "$(dirname "$0")/lib.sh"
FLOOD=${VPN_BUILD:-$BIN/../build}/tests/net/flood
[ -x "$FLOOD" ] || skip "$FLOOD is not there (make tests)"
topo_up
server_config && user_add alice 192.0.2.1:51820 --key
KEY=$(sed -n 's/.*server-key: "\(.*\)".*/\1/p' "$T/alice.client.yaml")

# counter NAME: its value, or nothing when there is none of that name
counter() { status_json | sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p" | head -n 1; }
counted() { [ "$(counter "$1")" = "$2" ]; }
# send_raw HOW-MANY TYPE VERSION LENGTH [INDEX]: datagrams of LENGTH bytes with a header that says so;
# prints how many answers there are within half a second
send_raw() {
    cli perl -e '
        use Socket; my ($n, $type, $version, $len, $index) = @ARGV;
        socket(my $s, PF_INET, SOCK_DGRAM, 0) or die;
        connect($s, sockaddr_in(51820, inet_aton("192.0.2.1"))) or die;
        my $p = pack("CCnNQ>N", $type, $version, $len > 16 ? $len - 16 : 0, 1, 1, $index // 7);
        $p = substr($p . "\xa5" x $len, 0, $len);
        for (1 .. $n) { send($s, $p, 0) }
        my $answers = 0;
        while (1) {
            my $r = ""; vec($r, fileno($s), 1) = 1;
            last unless select($r, undef, undef, 0.5);
            recv($s, my $b, 3000, 0); $answers++;
        }
        print "$answers\n"' "$@"
}
# dropped NAME ANSWERS SEND-RAW-ARGUMENTS...
dropped() {
    local name=$1 answers=$2 before after got
    shift 2
    before=$(counter "$name")
    got=$(send_raw "$@")
    check "$name: counted" wait_for 3 counted "$name" $((before + $1))
    check "$name: $answers answers" test "$got" = "$answers"
}

check "the server starts" server_start
dropped bad-type 0 5 9 1 280
dropped bad-type 0 5 0 1 280
dropped bad-version 0 5 1 2 280
dropped bad-length 0 5 1 1 279
dropped bad-length 0 5 1 1 281
dropped bad-length 0 5 3 1 59
dropped bad-length 0 5 4 1 10
dropped too-long 0 5 3 1 2052
dropped bad-mac1 0 5 1 1 280
dropped unexpected 0 5 2 1 200
dropped unexpected 0 5 2 1 80
dropped unexpected 0 5 2 1 40

# One STALE a second for one source, whatever it asks.
before=$(counter unknown-index) spent=$(counter stale-budget)
got=$(send_raw 50 3 1 76)
check "unknown-index: counted" wait_for 3 counted unknown-index $((before + 50))
check "unknown-index: one answer or, around the turn of a second, two ($got)" test "$got" -ge 1 -a "$got" -le 2
check "unknown-index: the others had none" wait_for 3 counted stale-budget $((spent + 50 - got))

# From many sources: a hundred a second in all.
unanswered() { echo $(($(counter stale-budget) + $(counter unknown-budget))); }
unanswered_since() { [ $(($(unanswered) - $1)) -ge "$2" ]; }
before=$(unanswered)
cli perl -e '
    use Socket;
    my $p = pack("CCnNQ>Na56", 3, 1, 60, 1, 1, 7, "x");
    for my $i (129 .. 250) { for my $k (0 .. 1) {
        socket(my $s, PF_INET, SOCK_DGRAM, 0) or die;
        setsockopt($s, 0, 19, 1) or die;                   # IP_TRANSPARENT: any source
        bind($s, sockaddr_in(0, inet_aton("192.0.2.$i"))) or die "bind: $!";
        send($s, $p, 0, sockaddr_in(51820, inet_aton("192.0.2.1")));
    } }'
check "stale: of 244 at least 44 are beyond what one second or two have" \
    wait_for 3 unanswered_since "$before" 44

# Well-formed requests of nobody: the enclave looks at some, and says why it drops them.
cli "$FLOOD" valid 192.0.2.1 51820 2000 1 "$KEY" >/dev/null 2>&1
check "login-forged: counted" sh -c "[ $(counter login-forged) -ge 300 ]"
check "login-cookie: counted" sh -c "[ $(counter login-cookie) -ge 500 ]"

status_json >"$T/status.json"
for name in bad-length bad-type bad-version too-long bad-mac1 unexpected queue-full unknown-index expired replay \
    forged not-fresh bad-sequence bad-inner spoofed wrong-lane path-limit stale-budget unknown-budget login-malformed \
    login-replay login-forged login-unknown-key login-peer-limit login-busy login-expired \
    login-challenge-cookie login-challenge-limit login-accepted-limit login-no-handle login-cookie \
    login-source-limit login-overload login-no-enclave; do
    grep -q "\"$name\": *[0-9]" "$T/status.json" || missing="${missing:-} $name"
done
check "every reason is shown${missing:+, but:$missing}" test -z "${missing:-}"
check "and none but with a name" sh -c "! grep -q unknown\\\" '$T/status.json'"
check "no line was written for them" sh -c "[ \$(wc -l <'$T/server.log') -lt 40 ]"
stop "$SERVER"
finish
