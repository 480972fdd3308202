#!/bin/bash
# The operator's verbs: plan, apply, --plan, --confirm, confirm, rollback, history, reload.  Twice the
# same file sends nothing; what is not confirmed goes back, also across kill -9; a bad file changes
# nothing; a full disk refuses.  Witnesses are ip(8) and nft(8).
. "$(dirname "$0")/lib.sh"
topo_up
ctl() { srv "$BIN/vpnctl" "$@" -s "$T/etc/vpn.sock"; }
status_of() { "$@"; echo $?; }
exits() { # STATUS COMMAND...
    local want=$1
    shift
    "$@" >"$T/out" 2>&1
    local got=$?
    cat "$T/out"
    [ $got = "$want" ]
}
said() { grep -qF -- "$1" "$T/out"; }
dump() {
    ip -n "$SRV" -d addr | grep -vE 'valid_lft|qdisc|promiscuity'
    ip -n "$SRV" route show table all
    ip -n "$SRV" -6 route show table all
    ip -n "$SRV" rule
    ip -n "$SRV" -6 rule
    srv nft list ruleset
    srv sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding
}
D=$T/etc/vpn.yaml.d
F=$T/etc/vpn.yaml
routing() { # METRIC: routes and rules of the host
    cat >"$D/30-routing.yaml" <<YAML
routes:
  - {to: 10.20.0.0/16, via: 192.168.100.2, metric: $1}
  - {to: 10.66.0.0/16, type: blackhole}
  - {to: default, device: tun7, table: 101}
rules:
  - {priority: 10101, uids: 1101-1105, table: 101}
  - {priority: 200, from: 10.8.0.0/24, to: 10.9.0.0/16, iif: tun0, mark: 0x1/0xff, table: 200}
  - {priority: 300, from: "fd08::/64", table: main, suppress-prefixlength: 0}
YAML
}
in_main() { ip -n "$SRV" route show | grep -q "^10.20.0.0/16 via 192.168.100.2 dev eth1 proto 86 metric $1"; }

ip -n "$SRV" route add 10.99.0.0/16 via 192.168.100.2 table 77
ip -n "$SRV" rule add priority 77 fwmark 77 lookup 77
srv nft add table inet foreign
dump >"$T/before"
server_config
user_add alice && client_config alice
# Only told at first, so that a change of the kernel stays for the plan to see.
printf 'reconcile: {drift: report}\n' >"$D/20-report.yaml"
check "the server starts" server_start
dump >"$T/started"

# Nothing to do, then something.
check "plan of what runs: nothing, exit 0" exits 0 ctl plan "$F"
check "and says so" said "Nothing to change."
routing 50
check "plan of routes and rules: exit 2" exits 2 ctl plan "$F"
check "a route is to come" said "+ route 10.20.0.0/16 via 192.168.100.2"
check "a rule is" said "+ rule 10101: from all uidrange 1101-1105 lookup 101"
check "IPv6's too" said "+ rule 300: (IPv6) from fd08::/64 lookup"
check "one waits for its device" said "? route default dev tun7"
hash=$(sed -n 's/^Plan \([0-9a-f]*\):.*/\1/p' "$T/out")
dump >"$T/planned"
check "a plan changes nothing" diff "$T/started" "$T/planned"
check "plan -j is JSON with a version" sh -c "ip netns exec $SRV $BIN/vpnctl -j plan $F -s $T/etc/vpn.sock | grep -q '\"version\": 1'"

# Not what was planned.
routing 51
check "apply --plan is refused after a change of the file" exits 1 ctl apply "$F" --plan "$hash"
check "and says why" said "are not what plan $hash was made of"
routing 50
ip -n "$SRV" link set tun0 mtu 1300
check "and after a change of the kernel" exits 1 ctl apply "$F" --plan "$hash"
ip -n "$SRV" link set tun0 mtu 1400
check "apply --plan" exits 0 ctl apply "$F" --plan "$hash"
check "the route is there" in_main 50
check "the blackhole is" sh -c "ip -n $SRV route show | grep -q '^blackhole 10.66.0.0/16 proto 86'"
check "the rule of uids is" sh -c "ip -n $SRV rule | grep -q '^10101:.*uidrange 1101-1105 lookup 101'"
check "the rule with a mark is" sh -c "ip -n $SRV rule | grep -q '^200:.*from 10.8.0.0/24 to 10.9.0.0/16 fwmark 0x1/0xff iif tun0 lookup 200'"
check "the rule of IPv6 is" sh -c "ip -n $SRV -6 rule | grep -q '^300:.*from fd08::/64 lookup main suppress_prefixlength 0'"

rm "$D/20-report.yaml"
check "drift is put right from here on" exits 0 ctl apply "$F"

# The same again.
ip -n "$SRV" monitor link address route rule >"$T/monitor.log" 2>&1 &
monitor=$!
PIDS+=($monitor)
wait_for 3 sh -c "grep -q ip /proc/$monitor/comm"
ip -n "$SRV" addr add 192.0.2.77/32 dev lo
wait_for 3 grep -q 192.0.2.77 "$T/monitor.log"
check "the same again: nothing to change" exits 0 ctl apply "$F"
check "reload of the same" exits 0 ctl reload
ip -n "$SRV" addr del 192.0.2.77/32 dev lo
wait_for 3 grep -q 'Deleted.*192.0.2.77' "$T/monitor.log"
check "not one change was sent" sh -c "! grep -vE '192.0.2.77|^$|valid_lft' $T/monitor.log | grep ."
kill $monitor

# A gateway that nobody can reach: it waits, and a plan afterwards says so.
printf 'routes:\n  - {to: 10.44.0.0/16, via: 203.0.113.9}\n' >"$D/35-gateway.yaml"
check "a route whose gateway is nowhere: apply" exits 0 ctl apply "$F"
check "plan after it: nothing to change" exits 0 ctl plan "$F"
check "but it waits" said "? route 10.44.0.0/16 via 203.0.113.9"
rm "$D/35-gateway.yaml"
check "without it" exits 0 ctl apply "$F"

# A device comes later.
ip -n "$SRV" tuntap add tun7 mode tun
ip -n "$SRV" link set tun7 up
check "a waiting route comes with its device" wait_for 2 sh -c "ip -n $SRV route show table 101 | grep -q '^default dev tun7'"

# Bad files.
dump >"$T/good"
printf 'routes: [{to: 10.1.0.0/16}]\ncolour: green\n' >"$D/40-bad.yaml"
check "plan of a bad file: 65" exits 65 ctl plan "$F"
check "every error with its place" said "40-bad.yaml:2:1: colour: unknown key"
check "apply of a bad file: 65" exits 65 ctl apply "$F"
check "reload of a bad file: 65" exits 65 ctl reload
printf 'server:\n  listen: ["192.0.2.250:51820"]\n' >"$D/40-bad.yaml"
check "an address this host does not have: 1" exits 1 ctl apply "$F"
printf 'rules: [{priority: 77, table: 5}]\n' >"$D/40-bad.yaml"
check "a foreign rule in the place: plan exits 1" exits 1 ctl plan "$F"
check "and shows it" said "! rule 77"
check "apply does not either" exits 1 ctl apply "$F"
dump >"$T/bad"
check "nothing of that changed anything" diff "$T/good" "$T/bad"
rm "$D/40-bad.yaml"
routing 52
check "the next good one applies" exits 0 ctl apply "$F"
check "and is in the kernel" in_main 52

# For a trial.
routing 60
check "apply --confirm 5s" exits 0 ctl apply "$F" --confirm 5s
check "it is in force" in_main 60
check "nobody confirms: it goes back" wait_for 9 in_main 52
check "it is logged" grep -q 'nobody confirmed the configuration in time' "$T/server.log"
check "it is in the history" sh -c "ip netns exec $SRV $BIN/vpnctl history -s $T/etc/vpn.sock | grep -q 'rejected.*applied.*root'"
check "reload does not bring it again" exits 1 ctl reload
check "and says why" said "was rolled back"
kill -HUP "$SERVER"
wait_for 3 sh -c "[ \$(grep -c 'was rolled back: the' $T/server.log) -ge 2 ]"
check "nor does SIGHUP" in_main 52
check "apply insists" exits 0 ctl apply "$F" --confirm 60s
check "again, for another while" exits 0 ctl apply "$F" --confirm 900s
check "which counts" sh -c "ip netns exec $SRV $BIN/vpnctl -j status -s $T/etc/vpn.sock | grep -qE '\"confirm_s\": [89][0-9][0-9]'"
check "confirm" exits 0 ctl confirm
check "there is nothing more to confirm" exits 1 ctl confirm
check "rollback" exits 0 ctl rollback
check "the former one is back" in_main 52

# Counted down on a terminal, which goes away: nobody is there to confirm.
cat >"$T/trial" <<EOF
#!/bin/sh
trap '' HUP
ip netns exec $SRV "$BIN/vpnctl" apply "$F" --confirm 60s -s "$T/etc/vpn.sock" 2>"$T/trial.log"
echo \$? >"$T/trial.rc"
EOF
chmod 755 "$T/trial"
: >"$T/keys"
seconds() { [ "$(grep -o 'Enter confirms' "$T/trial.tty" | wc -l)" -ge "$1" ]; } # so many were counted
socat "OPEN:$T/keys,rdonly,ignoreeof!!CREATE:$T/trial.tty" EXEC:"$T/trial",pty,setsid,ctty &
TERMINAL=$!
PIDS+=("$TERMINAL")
check "on trial on a terminal" wait_for 5 grep -q 'Enter confirms' "$T/trial.tty"
printf '\004' >>"$T/keys"
check "Ctrl-D is no answer" wait_for 10 seconds 6
check "and ends nothing" test ! -e "$T/trial.rc"
kill -9 "$TERMINAL"
check "the terminal goes away: vpnctl ends" wait_for 5 grep -qx 1 "$T/trial.rc"
check "and says what happens" grep -q 'Not confirmed, as the terminal is gone: the former configuration comes back in' "$T/trial.log"
check "the trial goes on" sh -c "ip netns exec $SRV $BIN/vpnctl -j status -s $T/etc/vpn.sock | grep -q '\"confirm_s\"'"
check "on trial once more" exits 0 ctl apply "$F" --confirm 60s
check "apply without a trial keeps it" exits 0 ctl apply "$F"
check "so nothing is to be confirmed" exits 1 ctl confirm
check "rollback" exits 0 ctl rollback
check "the former one is back" in_main 52
check "too far back: exit 1" exits 1 ctl rollback 20
check "rollback to nowhere: usage" exits 64 ctl rollback 0

# kill -9 in the middle of a trial: it goes on, and goes back.
routing 61
check "apply for 8 s" exits 0 ctl apply "$F" --confirm 8s
kill -9 "$SERVER"; wait "$SERVER" 2>/dev/null
check "the kernel keeps it without the server" in_main 61
check "it starts again" server_start
check "and knows that a confirmation is awaited" grep -q 'still waits for its confirmation' "$T/server.log"
check "it is still in force" in_main 61
check "and goes back in time" wait_for 12 in_main 52
kill -9 "$SERVER"; wait "$SERVER" 2>/dev/null
check "a start with contents that were rolled back" server_start
check "runs the confirmed ones" in_main 52
check "and says so" grep -q 'was rolled back: running the configuration that was confirmed last' "$T/server.log"
# Root opens at a start only what the file names: whoever may apply shall not choose the paths.
routing 52
printf 'log:\n  file: %s\n' "$T/grabbed" >"$D/45-log.yaml"
check "a log file on trial" exits 0 ctl apply "$F" --confirm 60s
rm "$D/45-log.yaml"
kill -9 "$SERVER"; wait "$SERVER" 2>/dev/null
check "a start while it is on trial" server_start
check "goes on with it" grep -q 'still waits for its confirmation; with log.file of the file' "$T/server.log"
check "without opening the file" test ! -e "$T/grabbed"
check "confirm" exits 0 ctl confirm
stop "$SERVER"
printf 'colour: green\n' >"$D/40-bad.yaml"
check "a start with a bad file" server_start
check "runs the confirmed one" in_main 52
check "and says so" grep -q 'is wrong: running the configuration that was confirmed last' "$T/server.log"
check "without its log file" grep -q 'grabbed is not opened' "$T/server.log"
check "which is not made" test ! -e "$T/grabbed"
stop "$SERVER"
printf 'on-invalid: refuse\ncolour: green\n' >"$D/40-bad.yaml"
check "or refuses, if told to" sh -c "! timeout 5 ip netns exec $SRV $BIN/vpn-server -c $F >/dev/null 2>&1"
rm "$D/40-bad.yaml"
routing 52
check "starts with the good one" server_start

# A full disk.
mkdir -p "$T/full"
mount -t tmpfs -o size=512k none "$T/full" && mounted=1
if [ -n "${mounted:-}" ]; then
    trap 'umount "$T/full" 2>/dev/null; topo_down' EXIT
    stop "$SERVER"
    printf 'state: %s/full\n' "$T" >"$D/50-state.yaml"
    check "starts with another state folder" server_start
    head -c 1048576 /dev/zero >"$T/full/junk" 2>/dev/null
    routing 70
    check "a full disk refuses" exits 1 ctl apply "$F"
    check "and says what to do" said "No space left on device (make room there and apply again)"
    check "and nothing changed" in_main 52
    rm "$T/full/junk"
    check "with room it applies" exits 0 ctl apply "$F"
    check "and is in the kernel" in_main 70
fi

# Out.
stop "$SERVER"
check "clean exit" test $? = 0
ip -n "$SRV" link del tun7
dump >"$T/after"
check "the host is as found" diff "$T/before" "$T/after"
finish
