#!/bin/bash
# What somebody changes of ours is put right within a second, said once and counted; what belongs to
# others is never touched.  A server that is killed finds itself again; one that goes leaves nothing.
# And no program but the enclave is ever run for it.  Witnesses are ip(8), tc(8) and nft(8).
#
#   cli (alice, 10.8.0.x) ═══ tunnel ═══ srv ─── inner
. "$(dirname "$0")/lib.sh"
command -v nft >/dev/null || skip "no nft(8)"
topo_up

counts='s/packets [0-9]* bytes [0-9]*//; s/direct_packets_stat [0-9]*//; s/ state [A-Z]*//'
dump() { # ours
    ip -n "$SRV" -d addr show tun0 | grep -vE 'valid_lft|promiscuity' | sed 's/^[0-9]*: //'
    ip -n "$SRV" route show table all | grep 'proto 86' | sort
    ip -n "$SRV" rule | grep 'proto 86'
    ip -n "$SRV" -6 rule | grep 'proto 86'
    tc -n "$SRV" qdisc show | grep -v noqueue | sort
    for dev in tun0 ifb-tun0; do tc -n "$SRV" class show dev $dev | sort; done
    srv nft list ruleset
}
foreign() { # others'
    ip -n "$SRV" addr show eth1
    ip -n "$SRV" route show table all | grep -vE 'proto 86|tun0|ifb|^multicast'
    ip -n "$SRV" rule | grep -v 'proto 86'
    ip -n "$SRV" -6 rule | grep -v 'proto 86'
    tc -n "$SRV" qdisc show dev eth1
    srv nft list table inet others
}
# to FILE COMMAND: what it shows, without what counts or goes by itself
to() { "$2" | sed "$counts" >"$1"; }
drifts() { status_json | sed -n 's/.*"drifts": *\([0-9]*\).*/\1/p' | head -n 1; }
harms=0
# harm WHAT WITNESS WORDS COMMAND...: undo something; the witness shall show the words again
harm() {
    local what=$1 witness=$2 words=$3 before
    shift 3
    before=$(drifts)
    "$@" || { not_ok "$what: the harm itself failed"; return; }
    harms=$((harms + 1))
    if wait_for 2 sh -c "$witness | grep -qF -- '$words'" && wait_for 2 more_drifts "$before"; then
        ok "$what: it comes back, and is counted"
    else
        not_ok "$what: it comes back, and is counted"
        sh -c "$witness" | sed 's/^/# /'
    fi
}
more_drifts() { [ "$(drifts)" -gt "$1" ]; }

# What others have.
ip -n "$SRV" rule add priority 77 fwmark 77 lookup 77
ip -n "$SRV" route add 10.99.0.0/16 via 192.168.100.2 table 77
ip -n "$SRV" route add 10.98.0.0/16 via 192.168.100.2 proto static
tc -n "$SRV" qdisc add dev eth1 root handle 1: htb
srv nft add table inet others
to "$T/foreign" foreign

server_config 'forwarding: true' 'masquerade: [{from: 10.8.0.0/24, device: eth1}]' \
    'routes:' '  - {to: 10.20.0.0/16, via: 192.168.100.2, metric: 50}' \
    '  - {to: default, device: tun0, table: 101}' \
    'qos:' '  download: 50mbit' '  upload: 20mbit' '  default-class: normal' \
    '  classes: {normal: {rate: 3mbit, ceil: 6mbit}}' \
    'rules:' '  - {priority: 10101, uids: 1101, table: 101}' \
    '  - {priority: 300, from: "fd08::/64", table: main, suppress-prefixlength: 0}'
user_add alice
client_config alice 'routes: [192.168.100.0/24]'
# The leak checker does not work in a traced process.
if command -v strace >/dev/null && [ -z "${VPN_SANITIZE:-}" ]; then
    ip netns exec "$SRV" strace -f -qq -o "$T/execs" -e trace=execve,execveat \
        "$BIN/vpn-server" -v -c "$T/etc/vpn.yaml" >"$T/server.log" 2>&1 &
    SERVER=$!
    PIDS+=("$SERVER")
    check "the server starts, traced" wait_for 20 grep -q ': running\|^running' "$T/server.log"
    ip -n "$SRV" rule del priority 10101
    check "it repairs a rule" wait_for 5 sh -c "ip -n $SRV rule | grep -q 10101"
    pid=$(pgrep -P "$SERVER" | head -n 1)
    kill "$pid"
    wait "$SERVER" 2>/dev/null
    check "it ran itself and the enclave, and nothing else" \
        sh -c "[ \$(grep -c 'execve.*= 0' $T/execs) -ge 2 ] && ! grep 'execve' $T/execs | grep -v 'vpn-server\|vpn-enclave\|ENOENT'"
fi
check "the server starts" server_start
client_start alice
check "alice connects" client_connected alice
to "$T/good" dump

ip_() { ip -n "$SRV" "$@"; }
# the first class with alice's rate, made faster
change_rate() {
    local at
    at=$(tc -n "$SRV" class show dev tun0 | grep 'rate 3Mbit' | sed -n '1s/class htb \([^ ]*\) parent \([^ ]*\) .*/parent \2 classid \1/p')
    # shellcheck disable=SC2086 # words on purpose
    tc -n "$SRV" class change dev tun0 $at htb rate 9mbit
}
R="ip -n $SRV route show" M="ip netns exec $SRV nft list table inet vpn"
harm "a rule" "ip -n $SRV rule" "10101:" ip_ rule del priority 10101
harm "a rule of IPv6" "ip -n $SRV -6 rule" "300:" ip_ -6 rule del priority 300
harm "a route with a gateway" "$R" "10.20.0.0/16 via 192.168.100.2 dev eth1 proto 86" ip_ route del 10.20.0.0/16
harm "a table" "$R table 101" "default dev tun0" ip_ route flush table 101
harm "the address" "ip -n $SRV addr show tun0" "inet 10.8.0.1/24" ip_ addr del 10.8.0.1/24 dev tun0
harm "the MTU" "ip -n $SRV link show tun0" "mtu 1400" ip_ link set tun0 mtu 1300
harm "the link, down" "$R table 101" "default dev tun0" ip_ link set tun0 down
harm "the packet filter" "$M" "masquerade" srv nft delete table inet vpn
harm "a chain of it" "$M" "masquerade" srv nft flush chain inet vpn postrouting
Q="tc -n $SRV class show dev tun0" F="tc -n $SRV filter show dev tun0 parent 1:"
harm "a class's rate" "$Q" "rate 3Mbit ceil 6Mbit" change_rate
harm "the queueing" "$Q" "rate 3Mbit ceil 6Mbit" tc -n "$SRV" qdisc del dev tun0 root
harm "another queueing in its place" "$Q" "rate 3Mbit ceil 6Mbit" tc -n "$SRV" qdisc replace dev tun0 root pfifo
harm "the filters" "$F" "flowid" tc -n "$SRV" filter del dev tun0 parent 1:
harm "the device for the way up" "tc -n $SRV class show dev ifb-tun0" "rate 3Mbit ceil 6Mbit" ip_ link del ifb-tun0
harm "a rule that was added" "ip -n $SRV rule | grep -c 4444 | sed s/0/gone/" "gone" \
    ip_ rule add priority 4444 lookup 101 protocol 86
check "alice still has her tunnel" cli ping -c 2 -i 0.2 -W 2 192.168.100.2
to "$T/after" dump
check "all is as before" diff "$T/good" "$T/after"
to "$T/foreign.after" foreign
check "what others have is as before" diff "$T/foreign" "$T/foreign.after"
check "each was said" sh -c "[ \$(grep -cE 'was (removed|changed|added)' $T/server.log) -ge $harms ]"
check "and by whom" grep -qE 'was removed by process [0-9]+' "$T/server.log"
check "none was said to be refused" sh -c "! grep -qE 'cannot (make|change|remove)' $T/server.log"

# Killed: what is there stays, and the next start finds it.
kill -9 "$SERVER"
wait "$SERVER" 2>/dev/null
to "$T/killed" dump
check "a killed server leaves rules and routes" grep -q 10101 "$T/killed"
ip -n "$SRV" rule del priority 10101
ip -n "$SRV" route add 10.21.0.0/16 via 192.168.100.2 proto 86
check "it starts again" server_start
check "alice comes back" wait_for 40 cli ping -c 1 -W 1 192.168.100.2
to "$T/again" dump
check "all is as before the kill" diff "$T/good" "$T/again"

# Only to be reported.
printf 'reconcile: {drift: report}\n' >"$T/etc/vpn.yaml.d/40-report.yaml"
kill -HUP "$SERVER"
check "drift is to be reported only" wait_for 5 grep -q 'configuration reloaded' "$T/server.log"
ip -n "$SRV" rule del priority 10101
check "it is" wait_for 5 grep -q '10101: .*was removed: left so' "$T/server.log"
check "and left" sh -c "! ip -n $SRV rule | grep -q 10101"

check "clean exit" stop "$SERVER"
to "$T/gone" dump
check "nothing is left" sh -c "! grep -E 'proto 86|tun0|inet vpn' $T/gone"
to "$T/foreign.after" foreign
check "what others have is as before, in the end" diff "$T/foreign" "$T/foreign.after"
finish
