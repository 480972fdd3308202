#!/bin/bash
# What an operator gets wrong: one sentence that says what to do, the right exit status, and nothing
# left behind.
. "$(dirname "$0")/lib.sh"
topo_up
server_config && user_add alice && client_config alice
run_server() { srv timeout 10 "$BIN/vpn-server" -c "$T/etc/vpn.yaml" "$@" >"$T/out.log" 2>&1; }
clean() { ! ip netns pids "$SRV" | grep -q . && ! ip -n "$SRV" link show tun0 2>/dev/null; }
# expect STATUS PATTERN WHAT: after a run that set rc
expect() {
    check "$3: status $1" test "$rc" = "$1"
    check "$3: says so" grep -qE "$2" "$T/out.log"
    check "$3: nothing is left" clean
}

check "--check accepts the file" srv "$BIN/vpn-server" --check -c "$T/etc/vpn.yaml"

# A bad file: all errors at once, nothing started.
printf 'tunnel:\n  mtu: 99999\n  devise: tun0\nserver:\n  listen: 123456\n' >"$T/etc/vpn.yaml.d/90-bad.yaml"
run_server; rc=$?
expect 65 '90-bad.yaml:2:8: tunnel.mtu' "bad file"
check "bad file: every error, with a suggestion" sh -c "grep -q 'did you mean \"device\"' '$T/out.log' && grep -q 'server.listen' '$T/out.log'"
rm "$T/etc/vpn.yaml.d/90-bad.yaml"

run_server -x; rc=$?
expect 64 'usage' "unknown option"
srv timeout 10 "$BIN/vpn-server" -c "$T/nowhere.yaml" >"$T/out.log" 2>&1; rc=$?
expect 65 'nowhere.yaml: there is no such file .*--init' "no file"

chmod 644 "$T/etc/identity.key"
run_server; rc=$?
expect 1 'identity.key.*(chmod|permission)' "open identity"
chmod 400 "$T/etc/identity.key"
mv "$T/etc/identity.key" "$T/etc/identity.away"
run_server; rc=$?
expect 1 'identity.key' "missing identity"
echo rubbish >"$T/etc/identity.key"; chmod 400 "$T/etc/identity.key"
run_server; rc=$?
expect 1 'identity.key.*not a key' "rubbish identity"
rm -f "$T/etc/identity.key"; mv "$T/etc/identity.away" "$T/etc/identity.key"

ip netns exec "$SRV" socat -u UDP4-RECV:51820 - >/dev/null 2>&1 & S=$!
PIDS+=($S)
wait_for 5 sh -c "ip netns exec $SRV ss -Huln 'sport = :51820' | grep -q ."
srv timeout 10 "$BIN/vpn-server" -c "$T/etc/vpn.yaml" >"$T/out.log" 2>&1; rc=$?
kill $S; wait $S 2>/dev/null
expect 1 'port is taken' "port taken"

ip -n "$SRV" link add tun0 type veth peer name x0
run_server; rc=$?
check "foreign device: refused" test $rc = 1
check "foreign device: says so" grep -q 'tun0: a device of this name exists and is not ours' "$T/out.log"
check "foreign device: untouched" ip -n "$SRV" link show tun0
ip -n "$SRV" link del tun0

srv setpriv --reuid 65534 --regid 65534 --clear-groups "$BIN/vpn-server" -c "$T/etc/vpn.yaml" >"$T/out.log" 2>&1; rc=$?
check "no rights: status 77" test $rc = 77
check "no rights: says so" grep -qiE "root|permission|permitted" "$T/out.log"

chmod 600 "$T/etc/vpn.yaml"
for how in "" --check; do
    srv setpriv --reuid 65534 --regid 65534 --clear-groups "$BIN/vpn-server" $how -c "$T/etc/vpn.yaml" >"$T/out.log" 2>&1; rc=$?
    expect 77 'vpn.yaml: .*Permission denied' "unreadable file $how"
done
chmod 644 "$T/etc/vpn.yaml"

run_server -d; rc=$?
expect 64 'log.file' "-d without a log file"

server_start
run_server; rc=$?
check "a second server is refused" test $rc = 1
check "a second server: says so" grep -qE 'another|taken|answers|running' "$T/out.log"
check "the first one still runs" kill -0 "$SERVER"
stop "$SERVER"

# -d: the parent returns when the service is ready; TERM by the pid file ends it.
printf 'log:\n  file: %s/log/server.log\n' "$T" >"$T/etc/vpn.yaml.d/50-log.yaml"
srv timeout 20 "$BIN/vpn-server" -c "$T/etc/vpn.yaml" -d -p "$T/run/server.pid" >"$T/out.log" 2>&1
check "-d returns when ready" test $? = 0
check "-d wrote a pid file" test -s "$T/run/server.pid"
check "-d logs to the file" grep -q running "$T/log/server.log"
mv "$T/log/server.log" "$T/log/server.log.1"
kill -USR1 "$(cat "$T/run/server.pid")"
check "USR1 opens the log again" wait_for 3 test -e "$T/log/server.log"
check "status by the control socket" status_json
kill "$(cat "$T/run/server.pid")"
check "TERM ends it cleanly" wait_for 5 clean
check "the pid file is gone" test ! -e "$T/run/server.pid"

# Words that vpnctl does not know: one sentence, and what was meant.
# unknown WORDS MEANT
unknown() {
    "$BIN/vpnctl" $1 >"$T/out.log" 2>&1; rc=$?
    check "vpnctl $1: status 64" test $rc = 64
    check "vpnctl $1: one sentence" sh -c "[ \$(wc -l <'$T/out.log') = 1 ] && grep -q 'no verb \"$1\"$2' '$T/out.log'"
}
unknown stats ' (did you mean "status"'
unknown user ' (did you mean "user add"'
unknown 'user ad' ' (did you mean "user add"'
unknown xyz ' (vpnctl -h'

# user_again OPTION...: what is there already stays as it was
user_again() { "$BIN/vpnctl" user add alice -f "$T/etc/vpn.yaml" -o "$T" "$@" >"$T/out.log" 2>&1; rc=$?; }
cat "$T"/alice.{token,client.yaml} >"$T/before"
user_again --endpoint 192.0.2.1:51820
check "user add twice: status 1" test $rc = 1
check "user add twice: one sentence" sh -c "[ \$(wc -l <'$T/out.log') = 1 ] && grep -q 'alice.token is there already' '$T/out.log'"
check "user add twice: nothing is lost" sh -c "cat '$T'/alice.token '$T'/alice.client.yaml | cmp - '$T/before'"
for bad in vpn.example.org vpn.example.org:x 'a"b:1'; do
    user_again --endpoint "$bad"
    check "endpoint $bad: status 64" test $rc = 64
    check "endpoint $bad: names the option alone" sh -c "[ \$(wc -l <'$T/out.log') = 1 ] && grep -q '^vpnctl: --endpoint: ' '$T/out.log'"
done

# The client's side.
: >"$T/alice.token.bad"; chmod 600 "$T/alice.token.bad"
sed "s|token-file: .*|token-file: $T/alice.token.bad|" "$T/alice.yaml" >"$T/bad.yaml"
cli timeout 10 "$BIN/vpn-client" -c "$T/bad.yaml" >"$T/out.log" 2>&1; rc=$?
check "bad token file: status 1" test $rc = 1
check "bad token file: says so" grep -q 'alice.token.bad.*not a token' "$T/out.log"
sed 's|server-key: .*|server-key: "AAAA"|' "$T/alice.yaml" >"$T/bad.yaml"
cli timeout 10 "$BIN/vpn-client" -c "$T/bad.yaml" >"$T/out.log" 2>&1; rc=$?
check "bad server-key: status 65" test $rc = 65
check "bad server-key: says where" grep -qE 'bad.yaml:[0-9]+:[0-9]+: .*server-key' "$T/out.log"
finish
