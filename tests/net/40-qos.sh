#!/bin/bash
# Users' rates, on any kernel that has HTB: the trees are there, packets find their leaf, rates hold
# in both directions, changes are made in place, damage is repaired, and nothing stays behind.
#
#   alice (vip)   cli 192.0.2.2 ─┐
#                                ├─ srv: HTB on tun0 (download), on ifb-tun0 (upload) ── inner
#   bob (guest)   two 192.0.3.2 ─┘
. "$(dirname "$0")/lib.sh"
command -v iperf3 >/dev/null || skip "no iperf3"
topo_up
TWO=vpnt-2-$$-$RANDOM
trap 'for ns in $TWO $CLI $INNER; do ip netns pids $ns 2>/dev/null | xargs -r kill 2>/dev/null; done
      topo_down; ip netns del $TWO 2>/dev/null' EXIT
ip -n "$SRV" link add probe type ifb 2>/dev/null || skip "no ifb in this kernel"
ip -n "$SRV" link del probe
ip netns add "$TWO"
ip -n "$TWO" link set lo up
ip link add vpnt-d$$ netns "$TWO" type veth peer name eth2 netns "$SRV"
ip -n "$TWO" link set vpnt-d$$ name eth0
ip -n "$TWO" addr add 192.0.3.2/24 dev eth0
ip -n "$SRV" addr add 192.0.3.1/24 dev eth2
ip -n "$TWO" link set eth0 up
ip -n "$SRV" link set eth2 up
two() { ip netns exec "$TWO" "$@"; }
D=$T/etc/vpn.yaml.d

server_config 'qos:
  download: 20mbit
  upload: 10mbit
  classes:
    vip: {rate: 8mbit, ceil: 12mbit, priority: 1, upload: {rate: 3mbit, ceil: 5mbit}}
    guest: {rate: 1mbit, ceil: 2mbit, priority: 3}'
user_add alice 192.0.2.1:51820
user_add bob 192.0.3.1:51820
# class_is USER CLASS: the user's entry, with this class
class_is() {
    [ -e "$T/entry-$1" ] || cp "$D/user-$1.yaml" "$T/entry-$1"
    sed "s|^    key:|    class: $2\n    key:|" "$T/entry-$1" >"$D/user-$1.yaml"
}
class_is alice vip
class_is bob guest
for user in alice bob; do client_config $user 'routes: [192.168.100.0/24, "fd64::/64"]'; done
server_start
client_start alice
ip netns exec "$TWO" "$BIN/vpn-client" -v -c "$T/bob.yaml" >"$T/client-bob.log" 2>&1 &
PIDS+=("$!")
BOB=$!
check "alice is connected" client_connected alice
check "bob is connected" client_connected bob

vpnctl() { srv "$BIN/vpnctl" "$@" -s "$T/etc/vpn.sock"; }
# class_of DEVICE RATE CEIL: the handle of the only leaf with these rates
class_of() { srv tc class show dev "$1" | grep "rate $2 ceil $3 " | grep -oE 'htb [0-9a-f:]+' | cut -c5-; }
class_there() { [ "$(class_of "$@" | wc -w)" = 1 ]; }
class_gone() { [ -z "$(class_of "$@")" ]; }
queue_sent() { srv tc -s qdisc show dev tun0 parent "$1" | grep -oE 'Sent [0-9]+' | cut -c6-; }
sent() { srv tc -s class show dev "$1" classid "$2" | grep -oE 'Sent [0-9]+' | cut -c6-; }

for dev in 'tun0 8Mbit 12Mbit' 'ifb-tun0 3Mbit 5Mbit' 'tun0 1Mbit 2Mbit' 'ifb-tun0 1Mbit 2Mbit'; do
    # shellcheck disable=SC2086 # words on purpose
    check "a leaf: $dev" wait_for 2 class_there $dev
done
filters() { srv tc filter show dev "$1" parent 1: | grep -c 'flowid'; }
check "a filter for each address of each user, download" [ "$(filters tun0)" = 4 ]
check "and upload" [ "$(filters ifb-tun0)" = 4 ]
check "what the TUN receives goes to the ifb" \
    sh -c "ip netns exec $SRV tc filter show dev tun0 ingress | grep -q 'Redirect to device ifb-tun0'"

# ---- rates -----------------------------------------------------------------------------------------

inner iperf3 -s -p 5201 >/dev/null 2>&1 &
inner iperf3 -s -p 5202 >/dev/null 2>&1 &
inner iperf3 -s -p 5203 >/dev/null 2>&1 &
listening() { [ "$(inner ss -Hltn | grep -cE ':520[123] ')" = 3 ]; }
check "something to load the line with" wait_for 5 listening
# load NS PORT NAME RATE OPTION...: kbit/s of datagrams received into $T/NAME.rate.  More than anybody may
# have is sent: a leaf that always has a packet shows its rate, where TCP on a busy machine does not.
load() {
    local ns=$1 port=$2 name=$3
    ip netns exec "$ns" iperf3 -J -t 4 -p "$port" -u -l 1300 -b "$4" "${@:5}" >"$T/$name.json" 2>&1
    # Older ones say what was sent, and how much of it was lost.
    perl -MJSON::PP -0ne 'my $end = decode_json($_)->{end}; my $r = $end->{sum_received};
        print int(($r ? $r->{bits_per_second} : $end->{sum}{bits_per_second} *
            (1 - $end->{sum}{lost_percent} / 100)) / 1000)' "$T/$name.json" >"$T/$name.rate"
}
# watch_leaf DEVICE HANDLE NAME: what the leaf sends while load lasts, in kbit/s, into $T/NAME.windows: a
# line for each second, every quarter.  Both ends of such a window are known to a few ms only, so
# what is noted is the least that it can have been.  A busy machine has windows in which nothing happens,
# but some are whole; a tree that gives too little has none.
watch_leaf() {
    ip netns exec "$SRV" perl -MTime::HiRes=time,sleep -e '
        my ($dev, $handle) = @ARGV;
        my @seen;
        for (my $end = time + 4.6; time < $end; sleep 0.25) {
            my $before = time;
            my ($bytes) = `tc -s class show dev $dev classid $handle` =~ /Sent (\d+)/ or die;
            push @seen, [$before, time, $bytes];
            printf "%d\n", ($bytes - $seen[-5][2]) * 0.008 / ($seen[-1][1] - $seen[-5][0]) if @seen > 4;
        }' "$1" "$2" >"$T/$3.windows"
}
# best_is NAME KBIT [HIGHEST]: the best window was that, and what arrived was no more.  (Headers are 2 to
# 4 % that iperf3 does not count; a burst is less.)
best_is() {
    local best received
    best=$(sort -n "$T/$1.windows" | tail -n 1)
    received=$(cat "$T/$1.rate")
    echo "$1: received $received kbit/s, windows: $(xargs <"$T/$1.windows")"
    [ "$((best * 100))" -ge "$(($2 * 96))" ] && [ "${received:-0}" -gt 0 ] && [ "$received" -le "${3:-$2}" ]
}
# both NAME DEVICE OPTION...: alice over IPv4, bob over IPv6
both() {
    local name=$1 dev=$2 jobs=()
    shift 2
    load "$CLI" 5201 "alice-$name" 18M -c 192.168.100.2 "$@" & jobs+=($!)
    load "$TWO" 5202 "bob-$name" 4M -c fd64::2 "$@" & jobs+=($!)
    watch_leaf "$dev" "$(leaf_of "$dev" alice)" "alice-$name" & jobs+=($!)
    watch_leaf "$dev" "$(leaf_of "$dev" bob)" "bob-$name" & jobs+=($!)
    wait "${jobs[@]}"
}
# carries WHAT TEST COMMAND...: when the test fails, the command is done once more, twice at most: a tree that
# gives too little does so each time, a busy machine does not.  An emulated one cannot carry so much at
# all: rates are measured there by tests/bench/qos, on slower lines.
carries() {
    local what=$1 test=$2 try
    shift 2
    for try in 1 2 3; do
        "$@"
        [ -z "${VPN_VM:-}" ] || { ok "$what # SKIP too fast for an emulated machine"; return; }
        "$test" >"$T/try$try" && { ok "$what"; return; }
    done
    not_ok "$what"
    sed 's/^/# /' "$T"/try?
}
# leaf_of DEVICE USER: by the rates of their classes
leaf_of() {
    case $1-$2 in
    tun0-alice) class_of tun0 8Mbit "${ALICE_CEIL:-12}Mbit" ;;
    ifb-tun0-alice) class_of ifb-tun0 3Mbit 5Mbit ;;
    *) class_of "$1" 1Mbit 2Mbit ;;
    esac
}
down_right() { best_is alice-down 12000 && best_is bob-down 2000; }
up_right() { best_is alice-up 5000 && best_is bob-up 2000; }
carries "download: alice gets her ceiling of 12 Mbit, bob his of 2, over IPv6" down_right both down tun0 -R
carries "upload: alice gets her ceiling of 5 Mbit, bob his of 2" up_right both up ifb-tun0

# ---- what vpnctl shows ------------------------------------------------------------------------------

vpnctl -j qos >"$T/qos.json"
vpnctl qos >"$T/qos.txt"
vpnctl status >"$T/status.txt"
# leaf_json USER KEY: of the download direction
leaf_json() {
    perl -MJSON::PP -e 'my ($user, $key) = @ARGV; local $/;
        for (@{decode_json(<STDIN>)->{leaves}}) { print $_->{download}{$key} if $_->{name} eq $user }' \
        "$1" "$2" <"$T/qos.json"
}
check "vpnctl -j qos: alice's ceiling" [ "$(leaf_json alice ceil)" = 12000000 ]
check "vpnctl -j qos: bob's rate" [ "$(leaf_json bob rate)" = 1000000 ]
check "vpnctl -j qos: what bob has received" [ "$(leaf_json bob bytes)" -gt 500000 ]
check "vpnctl qos: a row for each direction" \
    sh -c "grep -A1 -E '^alice +vip +down +8.00 Mbit/s +12.0 Mbit/s' $T/qos.txt | grep -qE '^ +up +3.00 Mbit/s'"
# A window of 8 rows has room for one or two leaves of three, and for how many more there are.
watch_in() { # ROWS
    script -qc "stty rows $1 cols 200; exec timeout 2.5 ip netns exec $SRV $BIN/vpnctl qos --watch -s $T/etc/vpn.sock" \
        "$T/screens" >/dev/null 2>&1 </dev/null
    perl -0777 -ne '@screens = split /\e\[H\e\[J/; print $screens[1]' "$T/screens" >"$T/screen"
}
watch_in 8
check "vpnctl qos --watch fills a window and no more" \
    sh -c "grep -q '^alice ' $T/screen && grep -qE 'and [12] more' $T/screen && [ \$(wc -l <$T/screen) -lt 8 ]"
watch_in 40
check "a large one shows all" sh -c "grep -q 'others' $T/screen && ! grep -q ' more' $T/screen"
check "the log says so" grep -q 'QoS initialized: download 20mbit, upload 10mbit, 2 classes' "$T/server.log"
check "vpnctl status: rates are in force" grep -qE '^  rates +active, leaf (fq_codel|bfifo)' "$T/status.txt"

if srv tc qdisc add dev lo root handle 9: fq_codel 2>/dev/null; then
    srv tc qdisc del dev lo root
else
    for verb in status qos "plan $T/etc/vpn.yaml"; do
        # shellcheck disable=SC2086 # words on purpose
        vpnctl $verb >"$T/said" 2>&1
        check "vpnctl ${verb%% *} says that this kernel has no fq_codel" \
            grep -q 'no fq_codel (module sch_fq_codel).*bfifo' "$T/said"
    done
fi

# ---- changes in place --------------------------------------------------------------------------------

handle=$(class_of tun0 1Mbit 2Mbit)
before=$(sent tun0 "$handle")
queue_before=$(queue_sent "$handle")
reloads=0
reload() {
    reloads=$((reloads + 1))
    kill -HUP "$SERVER"
    wait_for 5 reload_said $reloads
}
reload_said() { [ "$(grep -cE 'not reloaded|configuration reloaded' "$T/server.log")" -ge "$1" ]; }
class_is bob vip
check "bob becomes a vip" reload
same_handle() { srv tc class show dev tun0 classid "$handle" | grep -q 'rate 8Mbit ceil 12Mbit'; }
check "his leaf is the same, with other rates" wait_for 2 same_handle
check "and has kept its counters" [ "$(sent tun0 "$handle")" -ge "$before" ]
queue_kept() { [ "$queue_before" -gt 0 ] && [ "$(queue_sent "$handle")" -ge "$queue_before" ]; }
check "so has his queue" queue_kept
check "nobody had to log in again" \
    [ "$(cat "$T"/client-{alice,bob}.log | grep -c 'authentication successful')" = 2 ]
class_is bob guest
check "and is a guest again" reload
check "with the rates of one" wait_for 2 class_there tun0 1Mbit 2Mbit

# What nobody has at this moment is a change nevertheless.
cp "$D/20-test.yaml" "$T/as-it-was"
echo '    spare: {rate: 1mbit, ceil: 3mbit}' >>"$D/20-test.yaml"
spare_planned() {
    vpnctl plan "$T/etc/vpn.yaml" >"$T/said" 2>&1
    [ $? = 2 ] && grep -qx '+ qos.classes.spare: 1mbit to 3mbit, priority 4' "$T/said"
}
check "vpnctl plan shows a class that nobody has" spare_planned
cp "$T/as-it-was" "$D/20-test.yaml"

# ---- less than all want ------------------------------------------------------------------------------

# 10 Mbit: 8 and 1 are promised, a tenth of a Mbit is everybody else's; the rest is alice's, who comes first.
sed -i 's/download: 20mbit/download: 10mbit/' "$D/20-test.yaml"
check "the line is slower" reload
ALICE_CEIL=10
check "alice can have all of it" wait_for 2 class_there tun0 8Mbit 10Mbit
short_right() { best_is alice-short 8000 9000 && best_is bob-short 1000 2000; }
carries "alice gets what she was promised and what is left, bob what he was" short_right both short tun0 -R
together() { # the windows of both are not the same ones
    local sum=$(($(cat "$T/alice-short.rate") + $(cat "$T/bob-short.rate")))
    echo "together $sum kbit/s"
    [ $sum -le 10000 ]
}
check "together no more than there is" together
sed -i 's/download: 10mbit/download: 20mbit/' "$D/20-test.yaml"
check "the line is as it was" reload
ALICE_CEIL=12
check "and so is alice's ceiling" wait_for 2 class_there tun0 8Mbit 12Mbit

# ---- a promise that is back ------------------------------------------------------------------------------

# Alice is promised all of it, and nothing is left of what bob was.  What he is sent all the same must not be
# counted against him, by the kernel, when there is a rate for him again.
cp "$D/20-test.yaml" "$T/as-it-was"
sed -i 's/download: 20mbit/download: 10mbit/; s/vip: {rate: 8mbit,/vip: {guaranteed: true, rate: 10mbit,/' "$D/20-test.yaml"
check "alice is promised the whole line" reload
whole_there() { srv tc class show dev tun0 | grep -qE 'prio 1 rate 10Mbit ceil 10Mbit'; }
check "and has it" wait_for 2 whole_there
BOB_IP=$(vpnctl users | awk '$1 == "bob" { print $3 }' | tr -d ,)
check "bob's packets come through nevertheless" inner ping -c 8 -i 0.2 -s 1300 -W 2 "$BOB_IP"
cp "$T/as-it-was" "$D/20-test.yaml"
sed -i 's/download: 20mbit/download: 10mbit/' "$D/20-test.yaml"
check "alice is promised 8 Mbit, bob 1" reload
ALICE_CEIL=10
check "both leaves say so" wait_for 2 class_there tun0 8Mbit 10Mbit
check "his too" class_there tun0 1Mbit 2Mbit
back_right() { best_is bob-back 1000 2000; }
carries "bob gets at once what he is promised" back_right both back tun0 -R
cp "$T/as-it-was" "$D/20-test.yaml"
check "the line is as it was" reload
ALICE_CEIL=12
check "and so are the ceilings" wait_for 2 class_there tun0 8Mbit 12Mbit

# ---- a smaller MTU ------------------------------------------------------------------------------------

# Alice's client has the former one until it logs in anew: what it sends is no smaller yet.
udp_listen "$INNER" "$T/udp"
sed -i 's/^tunnel:$/&\n  mtu: 1300/' "$D/10-test.yaml"
check "the server's MTU is smaller" reload
smaller() { srv ip link show tun0 | grep -q 'mtu 1300'; }
check "the device has it" wait_for 3 smaller
udp_send "$CLI" 0.0.0.0 192.168.100.2 "large$(printf '%01330d' 0)"
check "what is sent with the former one arrives" wait_for 3 grep -q '^large0' "$T/udp"
sed -i '/^  mtu: 1300$/d' "$D/10-test.yaml"
check "and it is as it was" reload

# ---- damage, and leaving --------------------------------------------------------------------------

srv tc qdisc del dev tun0 root
check "a tree that somebody removed is back" wait_for 3 class_there tun0 8Mbit 12Mbit
srv ip link del ifb-tun0
check "and the other device" wait_for 3 class_there ifb-tun0 3Mbit 5Mbit
bob_alone() {
    watch_leaf ifb-tun0 "$(leaf_of ifb-tun0 bob)" bob-again &
    WATCH=$!
    load "$TWO" 5203 bob-again 4M -c 192.168.100.2
    wait $WATCH
}
alone_right() { best_is bob-again 2000; }
carries "with which rates hold" alone_right bob_alone
stop "$BOB"
check "bob's leaf goes with him, download" wait_for 3 class_gone tun0 1Mbit 2Mbit
check "and upload" wait_for 3 class_gone ifb-tun0 1Mbit 2Mbit
check "alice's stays" class_there tun0 8Mbit 12Mbit

# ---- killed ------------------------------------------------------------------------------------------

: >"$T/screens" # the child opens it later
script -fqc "stty rows 40 cols 200; exec timeout 20 ip netns exec $SRV $BIN/vpnctl qos --watch -s $T/etc/vpn.sock" \
    "$T/screens" >/dev/null 2>&1 </dev/null & WATCH=$!
PIDS+=("$WATCH")
check "vpnctl qos --watch: alice" wait_for 5 grep -q '^alice ' "$T/screens"
kill -9 "$SERVER"
wait "$SERVER" 2>/dev/null
check "vpnctl qos --watch waits for the server" wait_for 5 grep -q 'asking again' "$T/screens"
check "after kill -9 the tree is still there" class_there tun0 8Mbit 12Mbit
check "the next start takes it over" server_start
online() { vpnctl users | grep -qE '^alice +online'; }
check "alice is back" wait_for 20 online
check "with her leaf, download" wait_for 5 class_there tun0 8Mbit 12Mbit
check "and upload" wait_for 5 class_there ifb-tun0 3Mbit 5Mbit
again() { perl -0777 -ne 'exit !/asking again.*^alice /ms' "$T/screens"; }
check "vpnctl qos --watch goes on" wait_for 5 again
kill "$WATCH"
check "and nothing is there twice" [ "$(srv tc qdisc show | grep -cE 'htb|ingress')" = 3 ]
check "the server ends well" stop "$SERVER"
no_trace() { ! srv ip link show | grep -qE 'tun0|ifb'; }
check "and leaves nothing" no_trace

# ---- another's device in the place of ours -------------------------------------------------------------

ip -n "$SRV" link add ifb-tun0 type ifb
check "the server starts with somebody else's ifb-tun0" server_start
rates_are() { vpnctl status >"$T/said" 2>&1; grep -qE "^  rates +$1, leaf" "$T/said"; }
check "vpnctl status: only a part is in force" rates_are partial
check "which, and how to mend it" \
    grep -q 'qos.upload is not in force.*in its place stands.*ip link del ifb-tun0' "$T/said"
vpnctl qos >"$T/said" 2>&1
check "vpnctl qos says so too" grep -q 'qos.upload is not in force' "$T/said"
ip -n "$SRV" link del ifb-tun0
check "when it is gone, all is" wait_for 3 rates_are active
check "the server ends" stop "$SERVER"
check "and leaves nothing again" no_trace
finish
