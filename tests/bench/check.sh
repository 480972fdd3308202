#!/bin/bash
# The benchmark's own arithmetic, what it says and what it refuses, without measuring anything.
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/../net/lib.sh"
T=$(mktemp -d /tmp/vpn-test.XXXXXX)
trap 'rm -rf "$T"' EXIT

# ---- the report ----------------------------------------------------------------------------------------

facts() {
    printf '%s\t%s\n' date 2026-01-02T03:04:05Z kernel 'Linux 6' cpu 'a CPU' cores 2 load 0.42 rounds 3 \
        seconds 4 pps 20000 peers 'veth ours wireguard-go openvpn' tcp cubic 'aead engine' libgcrypt \
        'version ours' 1.2.3 \
        problem 'openvpn: no tunnel in round 2' problem 'openvpn, round 3: no value for udp64'
}
samples() {
    cat <<END
veth 1 ping_loaded 0.038
ours 1 tcp1_up 1900
ours 2 tcp1_up 2100
ours 3 tcp1_up 2000
wireguard-go 1 tcp1_up 900
wireguard-go 2 tcp1_up 1100
ours 1 tcp1_down 1500
wireguard-go 1 tcp1_down 1000
ours 1 ping_loaded 4
wireguard-go 1 ping_loaded 8
openvpn 1 ping_loaded 6
ours 1 cpu_tcp_up 2.1
ours 1 cpu_tcp_down 4.4
wireguard-go 1 cpu_tcp_up 5
ours 1 cipher_up 1.0
ours 1 cipher_down 1.1
openvpn 1 lost_udp_up 12.5
ours 1 lost_udp_up 0
wireguard-go 1 lost_udp_up 0
END
}
facts >"$T/facts"
samples >"$T/samples"
mkdir "$T/out"
"$HERE/report" "$T/facts" "$T/samples" "$T/out" >"$T/table" 2>"$T/report.log"
check "the report is made, and says nothing else" test $? = 0 -a ! -s "$T/report.log"

line() { grep -Eq -- "$1" "$T/table"; }
# json EXPRESSION: of the whole ($j)
json() {
    perl -MJSON::PP -e 'local $/; my $j = decode_json(<STDIN>); exit !(eval $ARGV[0])' -- "$1" \
        <"$T/out/result.json"
}
check "medians, ratios and goals are in the table" line '^TCP 1 stream up .* 2000 \(2\.00\) .* 1000 .*>= 2\.0 reached$'
check "a missed one, too" line '^TCP 1 stream down .* 1500 \(1\.50\) .*>= 2\.0 missed$'
check "so is the cost beside the cipher" line '^CPU/packet TCP up: 2\.10 x the cipher .*reached$'
check "and what was lost" line '^lost at that rate, up +% .*12\.5'
check "and how busy the machine was before" line 'load 0\.42'
check "the file has every sample and its median" json \
    '"@{$j->{result}{tcp1_up}{ours}{samples}}" eq "1900 2100 2000" && $j->{result}{tcp1_up}{ours}{median} == 2000'
check "the ratios" json '$j->{ratio}{tcp1_up}{ours} == 2 && $j->{ratio}{tcp1_down}{ours} == 1.5'
check "the goals" json '$j->{goal}{tcp1_up}{reached} && $j->{goal}{tcp1_up}{at_least} == 2 && !$j->{goal}{tcp1_down}{reached} &&
    $j->{goal}{cpu_tcp_up}{at_most} == 0.5 && $j->{goal}{cpu_tcp_up}{reached}'
check "the cost beside the cipher" json '$j->{cipher}{up}{times} == 2.1 && $j->{cipher}{up}{reached} &&
    $j->{cipher}{down}{times} == 4 && !$j->{cipher}{down}{reached} && $j->{cipher}{up}{at_most} == 2.2'
check "and the problems, all of them" json '@{$j->{problems}} == 2 && $j->{problems}[1] =~ /udp64/'

# Users that come and go alone are a picture, and no reason to forget what was measured before.
mkdir "$T/data"
echo before >"$T/out/qos-10.json"
echo 'rate 0.50 u1 D 800.0' >"$T/data/ours.picture"
"$HERE/qos-report" "$T/data" 10 8000 4000 5 none,ours "$T/out" >"$T/picture" 2>&1
check "without figures there is no table, and the last file stays" test $? = 0 -a ! -s "$T/picture" -a \
    "$(<"$T/out/qos-10.json")" = before
cat >"$T/data/ours.mixed" <<'END'
modest u10 100 1 900 2000 3000 4000 400
busy 12
END
"$HERE/qos-report" "$T/data" 10 8000 4000 5 none,ours "$T/out" >"$T/table" 2>&1
check "with some there is one" line '^ping under load, median \(ms\) +- +0\.9 '
check "and none of a round trip that nobody made" line '^ping idle, median \(ms\) +- +- '

# ---- what is measured ----------------------------------------------------------------------------------

. "$HERE/measure.sh"
note() { :; }
sleep 60 &
PIDS+=($!)
SERVER_PIDS=($!)
check "time on a core" test "$(cpu_time)" -ge 0
kill $! 2>/dev/null
wait $! 2>/dev/null
cpu_of_the_dead() { ! cpu_time; }
check "of who is dead there is none, rather than half" cpu_of_the_dead

# ---- what is refused -----------------------------------------------------------------------------------

# refused PROGRAM OPTION...: a wrong call, and a sentence for it
refused() {
    local rc
    timeout 20 "$HERE/$1" "${@:2}" >"$T/refused" 2>&1
    rc=$?
    cat "$T/refused"
    [ $rc = 64 ] && [ -s "$T/refused" ]
}
for wrong in 'run -n 0' 'run -t' 'run --tcp no-such' 'run --peers nobody' 'run --fast' 'sessions 0' 'sessions 1 many' 'handshakes -n 5' \
    'handshakes -t 5 more' 'qos -t 0' 'qos --systems none,nobody' 'qos -u 2' 'qos --nothing'; do
    # shellcheck disable=SC2086 # split on purpose
    check "refused: $wrong" refused $wrong
done
finish
