#!/bin/bash
# Logins that must fail, each with its sentence; and garbage from the network, counted and harmless.
#
# takes: 20
. "$(dirname "$0")/lib.sh"
topo_up
server_config && user_add alice && user_add bob && user_add carl
client_config alice; client_config bob; client_config carl
sed -i 's/^    key:/    enabled: false\n    key:/' "$T/etc/vpn.yaml.d/user-carl.yaml"
server_start || { show_logs; exit 1; }

# says NAME PATTERN WHAT
says() {
    client_start "$1"
    check "$3" wait_for 12 grep -qE "$2" "$T/client-$1.log"
    stop "$CLIENT"
}
refused='login refused: user, token or realm is wrong'
sed -i 's/user: "alice"/user: "bob"/' "$T/alice.yaml"
says alice "$refused" "another user's name: refused"
sed -i 's/user: "bob"/user: "alice"/; s/realm: "\([^"]*\)"/realm: "other-0123456789abcdef"/' "$T/alice.yaml"
: >"$T/client-alice.log"
says alice "$refused" "wrong realm: refused"
client_config alice
printf 'alice:wrong' | sha256sum | cut -c1-64 >"$T/alice.wrong"; chmod 600 "$T/alice.wrong"
sed -i "s|token-file: .*|token-file: $T/alice.wrong|" "$T/alice.yaml"
: >"$T/client-alice.log"
says alice "$refused" "wrong token: refused"
says carl 'disabled' "a disabled user is told so"

client_config alice
sed -i 's|server-key: .*|server-key: "mB3kAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="|' "$T/alice.yaml"
: >"$T/client-alice.log"
says alice "no answer: server down, UDP port blocked, or server-key is not this server's" "wrong server-key: no answer"

# A good session, and rubbish around it.
client_config alice
: >"$T/client-alice.log"
client_start alice
check "alice connects with the right token" client_connected alice
check "ping" cli ping -c 2 -i 0.2 -W 2 10.8.0.1
cli perl -e '
use Socket;
socket(my $s, AF_INET, SOCK_DGRAM, 0) or die;
my $to = sockaddr_in(51820, inet_aton("192.0.2.1"));
srand(7);
sub rnd { join "", map { chr int rand 256 } 1 .. shift }
sub hdr { my ($t, $v, $len) = @_; pack("CCnNNN", $t, $v, $len, 1, 0, 0) }
for my $i (1 .. 300) {
    send($s, rnd(1 + int rand 1400), 0, $to);                 # any bytes
    send($s, hdr($_, 1, 264) . rnd(264), 0, $to) for 1 .. 6;   # every type, a CONNECT_REQ length
    send($s, hdr(3, 1, 44) . rnd(44), 0, $to);                # well-formed, unknown index
    send($s, hdr(1, 1, 264) . rnd(100), 0, $to);              # a length that lies
    send($s, hdr(1, 2, 264) . rnd(264), 0, $to);              # another version
    send($s, hdr(9, 1, 44) . rnd(44), 0, $to);                # no such type
}
send($s, hdr(3, 1, 2984) . rnd(2984), 0, $to) for 1 .. 20;    # too long
send($s, "", 0, $to);
'
status_json >"$T/status.json"
counted() { [ "$(sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p" "$T/status.json" | head -n 1)" -ge "$2" ]; }
check "bad-mac1 is counted" counted bad-mac1 300
check "unknown-index is counted" counted unknown-index 300
check "bad-length is counted" counted bad-length 300
check "bad-version is counted" counted bad-version 300
check "bad-type is counted" counted bad-type 300
check "too-long is counted" counted too-long 20
check "not one log line per packet" sh -c "[ \$(wc -l <'$T/server.log') -lt 120 ]"
check "the session is unharmed" cli ping -c 3 -i 0.2 -W 2 10.8.0.1
check "the enclave never restarted" grep -qE '"restarts": *0' "$T/status.json"

# Anti-spoofing: a source that is not alice's does not come out at the other end.
ip -n "$CLI" addr add 10.8.0.77/32 dev lo
check "a spoofed inner source is dropped" sh -c "! ip netns exec $CLI ping -I 10.8.0.77 -c 2 -i 0.2 -W 1 10.8.0.1"
status_json >"$T/status.json"
check "and counted" counted spoofed 2
stop "$CLIENT"
finish
