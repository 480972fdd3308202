#!/bin/bash
# Drift: whatever others do to what is ours is put right within a second, told once, counted, and
# shown by watch; what is theirs is never touched.  With drift: report it is only told.  Witnesses
# are ip(8), nft(8) and sysctl(8).
. "$(dirname "$0")/lib.sh"
topo_up
ctl() { srv "$BIN/vpnctl" "$@" -s "$T/etc/vpn.sock"; }
D=$T/etc/vpn.yaml.d
ours() { # what the server shall keep, without what counts by itself
    ip -n "$SRV" -d link show tun0 2>&1 | grep -oE 'mtu [0-9]+|UP|alias .*|addrgenmode [a-z]+'
    ip -n "$SRV" addr show dev tun0 2>&1 | grep -oE 'inet6? [^ ]+'
    ip -n "$SRV" route show table all proto 86
    ip -n "$SRV" -6 route show table all proto 86
    ip -n "$SRV" rule show
    ip -n "$SRV" -6 rule show
    srv nft list table inet vpn | grep -v counter
    srv sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding
}
as_before() { ours >"$T/now"; cmp -s "$T/good" "$T/now"; }
# drift WHAT COMMAND...: the command does damage, which is gone within a second
drift() {
    local what=$1 start end
    shift
    "$@" >/dev/null 2>&1
    if as_before; then
        wait_for 1 false # it may have been quick; or nothing was broken
    fi
    start=${EPOCHREALTIME/./}
    if wait_for "${LIMIT:-2}" as_before; then
        end=${EPOCHREALTIME/./}
        ok "$what: put right ($(((end - start) / 1000)) ms)"
    else
        not_ok "$what: put right"
        diff "$T/good" "$T/now" | sed 's/^/# /'
    fi
}
counted() { [ "$(ctl -j status | sed -n 's/.*"drifts": \([0-9]*\).*/\1/p')" -ge "$1" ]; }

server_config 'forwarding: true' 'masquerade: [{from: 10.8.0.0/24, device: eth1}]' 'routes:' \
    '  - {to: 10.20.0.0/16, via: 192.168.100.2, metric: 50}' '  - {to: 10.66.0.0/16, type: blackhole}' \
    '  - {to: "fd99::/64", device: tun0}' '  - {to: default, device: eth1, table: 101}' 'rules:' \
    '  - {priority: 10101, uids: 1101, table: 101}' '  - {priority: 300, from: "fd08::/64", table: 101}'
ip -n "$SRV" route add 10.99.0.0/16 via 192.168.100.2 table 101 proto 99
ip -n "$SRV" route add 10.98.0.0/16 via 192.168.100.2
ip -n "$SRV" rule add priority 77 fwmark 77 lookup 77
srv nft add table inet foreign
srv nft 'add chain inet foreign c { type filter hook input priority 5; }'
foreign() {
    ip -n "$SRV" route show table all | grep -E '10.99|10.98'
    ip -n "$SRV" rule show priority 77
    srv nft list table inet foreign
}
foreign >"$T/foreign"
check "the server starts" server_start
wait_for 3 sh -c "ip -n $SRV route show table 101 | grep -q '^default dev eth1'"
ours >"$T/good"
check "what it sets is complete" sh -c "[ \$(grep -cE '10.20|10.66|fd99|default dev eth1|10101:|300:|ip_forward = 1' $T/good) -ge 7 ]"
ip netns exec "$SRV" "$BIN/vpnctl" watch -j -s "$T/etc/vpn.sock" >"$T/watch" &
PIDS+=($!)

drift "a route is deleted" ip -n "$SRV" route del 10.20.0.0/16 metric 50
drift "a route is replaced" ip -n "$SRV" route replace 10.20.0.0/16 via 192.0.2.2 metric 50 proto 86
drift "a blackhole is deleted" ip -n "$SRV" route del blackhole 10.66.0.0/16
drift "an IPv6 route is deleted" ip -n "$SRV" -6 route del fd99::/64 dev tun0
drift "a table is emptied" ip -n "$SRV" route flush table 101 proto 86
drift "a rule is deleted" ip -n "$SRV" rule del priority 10101
drift "an IPv6 rule is deleted" ip -n "$SRV" -6 rule del priority 300
drift "an address is deleted" ip -n "$SRV" addr del 10.8.0.1/24 dev tun0
drift "an IPv6 address is deleted" ip -n "$SRV" addr del fd08::1/64 dev tun0
drift "an address is added to the tunnel" ip -n "$SRV" addr add 10.77.0.1/24 dev tun0
drift "the tunnel's MTU is changed" ip -n "$SRV" link set tun0 mtu 1280
drift "the tunnel is taken down" ip -n "$SRV" link set tun0 down
drift "the packet filter is deleted" srv nft delete table inet vpn
drift "the packet filter is emptied" srv nft flush table inet vpn
LIMIT=5 drift "the tunnel is deleted" ip -n "$SRV" link del tun0
check "foreign things are as they were" sh -c "true"
foreign >"$T/foreign-after"
check "also to the letter" diff "$T/foreign" "$T/foreign-after"
check "drift is counted" counted 12
check "and logged with what it was" grep -q 'rule 10101.*put back' "$T/server.log"
check "watchers are told" grep -q '"event":"drift"' "$T/watch"
check "status says so" sh -c "ip netns exec $SRV $BIN/vpnctl status -s $T/etc/vpn.sock | grep -q 'drift  *put right'"

# Packets still pass, after all of that.
user_add alice && client_config alice
check "a user is added" ctl reload
client_start alice
check "alice connects" client_connected alice
check "and reaches the inner network" cli ping -c 2 -i 0.2 -W 2 10.8.0.1
check "watchers saw the login" wait_for 2 grep -q '"event":"login".*"user":"alice"' "$T/watch"

# Somebody else's object in the place of ours keeps nothing else from being changed.
ip -n "$SRV" route replace 10.20.0.0/16 via 192.0.2.2 metric 50 proto static
check "a foreign route in the place is told" wait_for 3 grep -q '10.20.0.0/16.*in its place stands route 10.20.0.0/16 via 192.0.2.2' "$T/server.log"
printf 'users: {alice: {enabled: false}}
' >"$D/zz-alice.yaml"
check "a user is locked out nevertheless" ctl reload
check "alice is told" wait_for 3 grep -q 'disabled or has expired' "$T/client-alice.log"
printf 'routes: [{to: 10.98.0.0/16, via: 192.168.100.2}]
' >"$D/61-clash.yaml"
check "a new clash is refused" sh -c "! ip netns exec $SRV $BIN/vpnctl apply $T/etc/vpn.yaml -s $T/etc/vpn.sock"
rm "$D/61-clash.yaml"
ip -n "$SRV" route del 10.20.0.0/16 metric 50
check "when it is gone ours is back" wait_for 10 sh -c "ip -n $SRV route | grep -q '10.20.0.0/16 via 192.168.100.2 dev eth1 proto 86 metric 50'"

# Only told.
printf 'reconcile: {drift: report}\n' >"$D/60-report.yaml"
check "drift: report" ctl reload
ip -n "$SRV" rule del priority 10101
check "it is told" wait_for 3 sh -c "grep 'rule 10101' $T/server.log | tail -n 1 | grep -q 'removed'"
check "and left" sh -c "sleep 0.3; ! ip -n $SRV rule | grep -q 10101:"
check "routes shows it missing" sh -c "ip netns exec $SRV $BIN/vpnctl routes -s $T/etc/vpn.sock | grep -q 'missing.*rule 10101'"
check "reload puts it right" ctl reload
check "it is there" sh -c "ip -n $SRV rule | grep -q 10101:"
stop "$SERVER"
check "clean exit" test $? = 0
check "nothing of ours is left" sh -c "! (ip -n $SRV route show table all proto 86; ip -n $SRV rule; ip -n $SRV -6 rule; ip netns exec $SRV nft list tables; ip -n $SRV link) | grep -E 'proto 86|10101:|300:|inet vpn|tun0'"

# Somebody else's table in the place of ours when it starts: told, left, and ours once it is gone.
rm "$D/60-report.yaml"
srv nft 'add table inet vpn; add chain inet vpn theirs { type filter hook input priority 0; }'
theirs() { srv nft list table inet vpn; }
status() { ctl status | tr -s ' '; }
theirs >"$T/theirs"
check "the server starts beside a foreign table" server_start
status >"$T/status"
check "status says that the packet filter is not set" grep -q 'packet filter clash' "$T/status"
check "and how to mend it" grep -q "which is somebody else's .*nft delete table inet vpn)" "$T/status"
check "the log says so" grep -q 'error: table inet vpn .*in its place stands' "$T/server.log"
check "what else is wanted is there" sh -c "ip -n $SRV rule | grep -q 10101: && ip -n $SRV addr show tun0 | grep -q 10.8.0.1"
check "it keeps no reload from being done" ctl reload
theirs >"$T/theirs-after"
check "the foreign table is as it was" diff "$T/theirs" "$T/theirs-after"
srv nft delete table inet vpn
check "when it is gone ours is set" wait_for 3 sh -c "ip netns exec $SRV nft list table inet vpn | grep -q 10.8.0.1"
check "and status says so" wait_for 3 sh -c "ip netns exec $SRV $BIN/vpnctl status -s $T/etc/vpn.sock | grep -qE 'packet filter +active'"
stop "$SERVER"
check "clean exit after that" test $? = 0
check "no table is left" sh -c "! ip netns exec $SRV nft list table inet vpn"

# Nothing is forwarded before the packet filter stands: the write that switches it on takes a second.
if command -v strace >/dev/null; then
    srv sysctl -qw net.ipv4.ip_forward=0
    # The leak sanitizer cannot look at a process that is traced.
    [ -z "${VPN_SANITIZE:-}" ] || export ASAN_OPTIONS=detect_leaks=0
    strace -f -qq -o "$T/strace" -P /proc/sys/net/ipv4/ip_forward -e inject=write:delay_enter=1000000:when=1 \
        ip netns exec "$SRV" "$BIN/vpn-server" -c "$T/etc/vpn.yaml" >"$T/server.log" 2>&1 &
    STRACE=$!
    PIDS+=("$STRACE")
    check "the packet filter stands before anything is forwarded" wait_for 10 sh -c \
        "ip netns exec $SRV nft list table inet vpn | grep -q 10.8.0.1 && ip netns exec $SRV sysctl -n net.ipv4.ip_forward | grep -qx 0"
    check "it is forwarded then" wait_for 10 sh -c "ip netns exec $SRV sysctl -n net.ipv4.ip_forward | grep -qx 1"
    wait_for 10 grep -qE '(^|: )running$' "$T/server.log"
    kill "$(pgrep -P "$STRACE" | head -n 1)"
    wait "$STRACE"
    check "and what was there is put back" sh -c "ip netns exec $SRV sysctl -n net.ipv4.ip_forward | grep -qx 0"
fi
finish
