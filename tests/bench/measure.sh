# What is measured, one function each; results go as lines "peer round metric value" to $T/samples.
# A measurement that fails leaves no line and is named at the end.

# The largest socket buffer everybody may ask for, at most 4 MiB: iperf3 sends in bursts of a
# millisecond, which the default would lose before the VPN is at its limit.
UDP_WINDOW=$(sysctl -n net.core.rmem_max 2>/dev/null || echo 212992)
[ "$UDP_WINDOW" -le 4194304 ] || UDP_WINDOW=4194304
WMEM=$(sysctl -n net.core.wmem_max 2>/dev/null || echo 212992)
[ "$UDP_WINDOW" -le "$WMEM" ] || UDP_WINDOW=$WMEM

# The congestion control of all streams.  The host's own choice may be one that paces (BBR): that
# limits a stream to what it believes of the path, and it is measured and not the tunnel.
TCP=cubic

# alone: two benchmarks at once would measure each other
alone() {
    exec {LOCK}>/run/vpn-bench.lock || exit 1
    flock -n "$LOCK" || { note "another benchmark is running"; exit 77; }
}

sample() { # METRIC VALUE
    [ -n "$2" ] || { problem "${TURN/ /, round }: no value for $1"; return 1; }
    echo "$TURN $1 $2" >>"$T/samples"
    note "    $1 $2"
}

listening() { srv ss -Hltn 'sport = :5201' | grep -q .; }

# iperf SECONDS OPTION...: one transfer against a fresh iperf3 server; its JSON in $T/iperf.json
iperf() {
    local secs=$1 pid rc
    shift
    [[ " $* " == *' -u '* ]] || set -- -C "$TCP" "$@"
    srv iperf3 -s -1 >/dev/null 2>&1 &
    pid=$!
    PIDS+=("$pid")
    wait_for 5 listening &&
        cli timeout --foreground $((secs + 15)) iperf3 -c "$TARGET" -t "$secs" -J "$@" \
            >"$T/iperf.json" 2>"$T/iperf.log"
    rc=$?
    [ $rc = 0 ] || kill "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    unset 'PIDS[-1]'
    return $rc
}

# iperf_get EXPRESSION: a number from that JSON; $r is the sum over the streams as received
iperf_get() {
    perl -MJSON::PP -e '
        local $/;
        my $json = eval { decode_json(<STDIN>) } or exit 1;
        my $r = $json->{end}{sum_received} or exit 1;
        my $value = eval $ARGV[0];
        defined $value or exit 1;
        print "$value\n"' -- "$1" <"$T/iperf.json"
}

# median_rtt FILE: in ms, of the round trips that ping printed
median_rtt() {
    sed -n 's/.*time=\([0-9.]*\) ms.*/\1/p' "$1" | sort -g |
        awk '{ v[NR] = $1 }
             END { if (NR) printf "%.3f\n", (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}

ping_idle() {
    cli ping -n -c 50 -i 0.02 -W 1 "$TARGET" >"$T/ping.txt" 2>&1
    sample ping_idle "$(median_rtt "$T/ping.txt")"
}

ping_loaded() {
    local pid value=''
    cli ping -n -i 0.02 -w "$SECS" "$TARGET" >"$T/ping.txt" 2>&1 &
    pid=$!
    PIDS+=("$pid")
    iperf "$SECS" -P 1 && value=ok
    wait "$pid"
    unset 'PIDS[-1]'
    [ -z "$value" ] || value=$(median_rtt "$T/ping.txt")
    sample ping_loaded "$value"
}

# udp_try BYTES RATE [OPTION...]: one second of inner packets of so many bytes at so many packets
# per second (0: as fast as iperf3 can); prints "received-per-second lost-per-mille".  Losses are
# the gaps in the numbering, so packets still on their way at the end are none.
udp_try() {
    local payload=$(($1 - 28)) rate=$2
    shift 2
    iperf 1 -u -l $payload -b $((rate * payload * 8)) -w "$UDP_WINDOW" "$@" || return 1
    iperf_get "sprintf '%d %.3f', \$r->{bytes} / $payload / \$r->{seconds},
                       1000 * \$r->{lost_packets} / (\$r->{packets} || 1)"
}

# udp_max METRIC BYTES: the highest rate that loses fewer than one packet in a thousand.  The first
# try finds what gets through at all; then halving, in five steps to 1/32 of that.
udp_max() {
    local metric=$1 bytes=$2 got loss low=0 high middle step
    read -r got loss < <(udp_try "$bytes" 0) || { sample "$metric" ''; return; }
    if awk "BEGIN { exit !($loss < 1) }"; then
        sample "$metric" "$got"
        return
    fi
    # Overload wastes work on what is lost later, so the lossless rate may lie above this one.
    high=$((got * 3 / 2))
    for step in 1 2 3 4 5; do
        middle=$(((low + high) / 2))
        read -r got loss < <(udp_try "$bytes" $middle) || { sample "$metric" ''; return; }
        if awk "BEGIN { exit !($loss < 1) }"; then low=$middle; else high=$middle; fi
    done
    sample "$metric" $low
}

# cpu_time: ns on a core so far, all threads of the server side; fails when one of them is gone.
# schedstat counts nanoseconds; where the kernel lacks it, the clock ticks of stat do.  (%.0f, for
# mawk's %d ends at 2^31.)
cpu_time() {
    local pid
    for pid in "${SERVER_PIDS[@]}"; do kill -0 "$pid" 2>/dev/null || return 1; done
    for pid in "${SERVER_PIDS[@]}"; do
        if [ -r "/proc/$pid/schedstat" ]; then
            cat /proc/"$pid"/task/*/schedstat
        else
            sed 's/.*) //' "/proc/$pid/stat" |
                awk -v hz="$(getconf CLK_TCK)" '{ printf "%.0f\n", ($12 + $13) * 1e9 / hz }'
        fi
    done | awk '{ t += $1 } END { printf "%.0f\n", t }'
}

# cpu_sample METRIC BYTES BEFORE: microseconds per packet, where the last transfer's bytes came in
# packets with that payload
cpu_sample() {
    local after value=''
    after=$(cpu_time) && [ "$after" -gt "$3" ] &&
        value=$(iperf_get "sprintf '%.2f', ($after - $3) / 1000 / (\$r->{bytes} / $2)")
    sample "$1" "$value"
}

# tcp METRIC CPU-METRIC OPTION...: Mbit/s, and the server side's cost per full segment, the
# acknowledgements' included (1348 bytes in 1400: the headers and the time stamps take the rest)
tcp() {
    local metric=$1 cpu=$2 before value=''
    shift 2
    before=$(cpu_time)
    iperf "$SECS" "$@" && value=$(iperf_get 'sprintf "%.1f", $r->{bits_per_second} / 1e6')
    sample "$metric" "$value" || return
    [ "$cpu" = - ] || [ ${#SERVER_PIDS[@]} = 0 ] || cpu_sample "$cpu" 1348 "$before"
}

# cpu METRIC LOST-METRIC OPTION...: the cost per 1400-byte packet that arrives at a fixed rate, and
# how many in a hundred do not: what was spent on them is in the cost
cpu() {
    local metric=$1 lost=$2 before
    shift 2
    before=$(cpu_time)
    if iperf "$SECS" -u -l 1372 -b $((PPS * 1372 * 8)) -w "$UDP_WINDOW" "$@"; then
        cpu_sample "$metric" 1372 "$before"
        sample "$lost" "$(iperf_get 'sprintf "%.2f", 100 * $r->{lost_packets} / ($r->{packets} || 1)')"
    else
        sample "$metric" ''
    fi
}

# cipher: what sealing and opening such a packet take by themselves, in the same minute
cipher() {
    local aead=${VPN_BUILD:-$ROOT/build}/tests/bench/aead name value
    [ -x "$aead" ] || return 0
    while IFS=$'\t' read -r name value; do
        case $name in
        'aead engine') printf '%s\t%s\n' "$name" "$value" >>"$T/facts" ;;
        'aead seal') sample cipher_down "$(awk "BEGIN { printf \"%.3f\", $value / 1000 }")" ;;
        'aead open') sample cipher_up "$(awk "BEGIN { printf \"%.3f\", $value / 1000 }")" ;;
        esac
    done < <("$aead")
}

memory() { # MB, proportional share
    local pid
    sample memory "$(for pid in "${SERVER_PIDS[@]}"; do cat "/proc/$pid/smaps_rollup"; done |
        awk '$1 == "Pss:" { kb += $2 } END { if (kb) printf "%.1f\n", kb / 1024 }')"
}

# facts: what the figures stand for, as lines "name<TAB>value"
facts() {
    local peer
    printf 'date\t%s\n' "$(date -u +%FT%TZ)"
    printf 'kernel\t%s\n' "$(uname -srm)"
    printf 'cpu\t%s\n' "$(sed -n 's/^model name.*: //p;s/^Model.*: //p' /proc/cpuinfo | head -n 1)"
    printf 'cores\t%s\n' "$(nproc)"
    printf 'load\t%s\n' "$(cut -d' ' -f1 /proc/loadavg)"
    printf 'rounds\t%s\nseconds\t%s\npps\t%s\n' "$ROUNDS" "$SECS" "$PPS"
    printf 'peers\t%s\n' "${PEERS[*]}"
    printf 'tcp\t%s\n' "$TCP"
    for peer in "${PEERS[@]}"; do printf 'version %s\t%s\n' "$peer" "$(peer_version "$peer")"; done
}
