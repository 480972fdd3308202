#!/bin/bash
# The tunnel with each offload alone, with none and with all: TCP and UDP, both families, both
# directions, small packets and large; nothing is damaged, dropped by a lane, or refused by a kernel.
#
# exclusive: iperf3 has to keep up with a fixed rate
. "$(dirname "$0")/lib.sh"
ALL=tun-tso,tun-uso,tun-gro,udp-segment,udp-gro
topo_up
server_config && user_add alice && client_config alice 'routes: [10.8.0.0/24, "fd08::/64"]' || exit 1
head -c 6000000 /dev/urandom >"$T/data"
want=$(sha256sum <"$T/data")

# What this kernel has: the server by itself says so.
server_start || { not_ok "the server starts"; finish; }
offloads() { "$1" "$BIN/vpnctl" -j -s "$2" status | perl -MJSON::PP -e '
    local $/; my $o = decode_json(<STDIN>)->{offloads};
    print join(",", grep { $o->{$_} } qw(tun-tso tun-uso tun-gro udp-segment udp-gro)), "\n"'; }
HAVE=$(offloads srv "$T/etc/vpn.sock")
stop "$SERVER"
check "some offloads work here ($HAVE)" test -n "$HAVE"
check "one that does not exist is refused by name" sh -c "
    VPN_OFFLOADS=tun-tso,warp ip netns exec $SRV $BIN/vpn-server -c $T/etc/vpn.yaml 2>&1 |
    grep -q 'VPN_OFFLOADS: no offload is called \"warp\"'"

# transfer FROM TO ADDRESS: hashes compared
transfer() {
    local fam=4 bind=$3 pid
    case $3 in *:*) fam=6 bind="[$3]" ;; esac
    rm -f "$T/got"
    "$2" timeout 40 socat -u "TCP$fam-LISTEN:4040,reuseaddr" "CREATE:$T/got" &
    pid=$!
    wait_for 5 sh -c "ip netns exec ${4} ss -Hltn 'sport = :4040' | grep -q ." || return 1
    "$1" timeout 40 socat -u "OPEN:$T/data" "TCP$fam:$bind:4040" || return 1
    wait "$pid"
    [ "$(sha256sum <"$T/got")" = "$want" ]
}

# datagrams BYTES: UDP both ways at a modest rate; on a busy machine iperf3 itself may lose some
datagrams() {
    local reverse
    for reverse in '' -R; do
        srv timeout 20 iperf3 -s -1 -B 10.8.0.1 >"$T/iperf-s.log" 2>&1 &
        PIDS+=($!)
        wait_for 5 sh -c "ip netns exec $SRV ss -Hltn 'sport = :5201' | grep -q ." || return 1
        # In bursts, or there would be nothing to merge.
        cli timeout 20 iperf3 -c 10.8.0.1 -u -l "$1" -b $(($1 * 8 * 3000))/20 -k 900 -J $reverse >"$T/udp.json" || return 1
        perl -MJSON::PP -e 'local $/; my $s = decode_json(<STDIN>)->{end}{sum};
            exit($s->{packets} > 100 && $s->{lost_packets} < 0.2 * $s->{packets} ? 0 : 1)' \
            <"$T/udp.json" || return 1
    done
}

counter() { "$1" nstat -asz "$2" | awk -v n="$2" '$1 == n { print $2 }'; }
# no kernel found a wrong checksum, no lane was refused anything
unharmed() {
    local ns c
    for ns in cli srv; do
        for c in TcpInCsumErrors UdpInCsumErrors Udp6InCsumErrors IpInHdrErrors; do
            [ "$(counter $ns $c)" = 0 ] || { echo "$ns $c $(counter $ns $c)"; return 1; }
        done
    done
    ! { status_json; cli "$BIN/vpnctl" -j -s "$T/alice.sock" status; } |
        grep -E '"(tun-write|bad-packet|send-failed|malformed|forged|replay|queue-full)": *[1-9]'
}

round() { # OFFLOADS
    export VPN_OFFLOADS=$1
    server_start && client_start alice && client_connected alice || { not_ok "$1: the tunnel is up"; return; }
    local used=$1
    [ "$1" = none ] && used=
    check "$1: the server uses just these" test "$(offloads srv "$T/etc/vpn.sock")" = "$used"
    check "$1: and so does the client" test "$(offloads cli "$T/alice.sock")" = "$used"
    check "$1: up, IPv4" transfer cli srv 10.8.0.1 "$SRV"
    check "$1: down, IPv6" transfer srv cli "$(cli ip -j -6 addr show dev tun0 | perl -MJSON::PP -e '
        local $/; print decode_json(<STDIN>)->[0]{addr_info}[0]{local}')" "$CLI"
    check "$1: UDP of 64 bytes" datagrams 36
    check "$1: UDP of 1400 bytes" datagrams 1372
    check "$1: nothing was damaged or refused" unharmed
    stop "$CLIENT"
    stop "$SERVER"
}

for set in none ${HAVE//,/ } "$HAVE"; do round "$set"; done
finish
