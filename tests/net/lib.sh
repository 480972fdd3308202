# Shared by the topology tests: three namespaces, real programs, real YAML files.
#
#      cli                          srv                           inner
#   192.0.2.2 ─────────── 192.0.2.1   192.168.100.1 ──────── 192.168.100.2
#   2001:db8:1::2     2001:db8:1::1   fd64::1                  fd64::2
#   10.8.0.x, fd08::x  ══ tunnel ══   10.8.0.1, fd08::1
#
# Source it, call topo_up, then server_config / user_add / client_config as needed.  Everything
# lives in $T, a temporary folder, and in namespaces with unique names; the trap removes both.

set -u
BIN=${VPN_BIN:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/bin}
N=0 FAILED=0
T='' CLI='' SRV='' INNER=''
PIDS=()

skip() { echo "1..0 # SKIP $*"; echo "skipped: $*"; exit 77; }
ok() { N=$((N + 1)); echo "ok $N - $*"; }
not_ok() { N=$((N + 1)); FAILED=1; echo "not ok $N - $*"; }
# check DESCRIPTION COMMAND...: passes when the command succeeds
check() {
    local what=$1
    shift
    if "$@" >"$T/check.log" 2>&1; then ok "$what"; else not_ok "$what"; sed 's/^/# /' "$T/check.log" | tail -n 15; fi
}
# An emulated machine (tests/vm/run) takes its time.
PATIENCE=1
[ -z "${VPN_VM:-}" ] || PATIENCE=6
# wait_for SECONDS COMMAND...: polls until it succeeds
wait_for() {
    local until=$((${EPOCHREALTIME/./} + $1 * 1000000 * PATIENCE))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "${EPOCHREALTIME/./}" -lt "$until" ] || return 1
        sleep 0.05
    done
}
finish() {
    echo "1..$N"
    [ $FAILED = 0 ] || show_logs
    exit $FAILED
}
show_logs() {
    local f
    for f in "$T"/*.log; do
        [ -s "$f" ] || continue
        echo "# --- ${f##*/}"
        tail -n 25 "$f" | sed 's/^/# /'
    done
}

# links_settled NS COUNT: so many links are up, each with a link-local address that is usable
links_settled() {
    [ "$(ip -n "$1" -br link | grep -c ' UP ')" = "$2" ] &&
        [ "$(ip -n "$1" -6 addr show scope link -tentative | grep -c fe80)" = "$2" ]
}

# In the background `ip netns exec "$CLI" ... &`: of a function only the shell around it would be killed.
cli() { ip netns exec "$CLI" "$@"; }
srv() { ip netns exec "$SRV" "$@"; }
inner() { ip netns exec "$INNER" "$@"; }

# udp_listen NAMESPACE FILE: what comes to UDP port 4000, each datagram a line
udp_listen() {
    ip netns exec "$1" perl -MSocket=:all -MIO::Handle -e '
        open my $o, ">>", $ARGV[0]; $o->autoflush;
        socket my $s, PF_INET6, SOCK_DGRAM, 0; setsockopt $s, IPPROTO_IPV6, IPV6_V6ONLY, 0;
        bind $s, sockaddr_in6(4000, IN6ADDR_ANY) or die $!;
        print $o "ready\n";
        while (recv $s, my $b, 100, 0) { print $o "$b\n" }' "$2" &
    PIDS+=($!)
    wait_for 5 grep -q ready "$2"
}
# udp_send NAMESPACE FROM TO TEXT: a datagram to port 4000
udp_send() {
    case $3 in
    *:*) ip netns exec "$1" socat -u - "UDP6-SENDTO:[$3]:4000,bind=[$2]:0" <<<"$4" ;;
    *) ip netns exec "$1" socat -u - "UDP4-SENDTO:$3:4000,bind=$2:0" <<<"$4" ;;
    esac
}

topo_down() {
    local pid ns
    for pid in ${PIDS[@]+"${PIDS[@]}"}; do kill "$pid" 2>/dev/null; done
    for pid in ${PIDS[@]+"${PIDS[@]}"}; do wait "$pid" 2>/dev/null; done
    for ns in "$CLI" "$SRV" "$INNER"; do
        [ -n "$ns" ] || continue
        # What a test has left there: its namespace would live as long as that.
        ip netns pids "$ns" 2>/dev/null | xargs -r kill -9 2>/dev/null
        ip netns del "$ns" 2>/dev/null
    done
    [ -z "$T" ] || rm -rf "$T"
}

topo_up() {
    [ "$(id -u)" = 0 ] || skip "needs root"
    [ -e /dev/net/tun ] || skip "no /dev/net/tun"
    local id=$$-$RANDOM ns
    T=$(mktemp -d /tmp/vpn-test.XXXXXX)
    chmod 755 "$T"
    trap topo_down EXIT
    trap 'exit 130' INT TERM
    CLI=vpnt-c-$id SRV=vpnt-s-$id INNER=vpnt-i-$id
    for ns in $CLI $SRV $INNER; do
        ip netns add "$ns" || skip "network namespaces are refused"
        ip -n "$ns" link set lo up
        ip netns exec "$ns" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
    done
    ip link add vpnt-a$$ netns "$CLI" type veth peer name eth0 netns "$SRV"
    ip -n "$CLI" link set vpnt-a$$ name eth0
    ip link add vpnt-b$$ netns "$INNER" type veth peer name eth1 netns "$SRV"
    ip -n "$INNER" link set vpnt-b$$ name eth0
    ip -n "$CLI" addr add 192.0.2.2/24 dev eth0
    ip -n "$CLI" addr add 2001:db8:1::2/64 dev eth0 nodad
    ip -n "$SRV" addr add 192.0.2.1/24 dev eth0
    ip -n "$SRV" addr add 2001:db8:1::1/64 dev eth0 nodad
    ip -n "$SRV" addr add 192.168.100.1/24 dev eth1
    ip -n "$SRV" addr add fd64::1/64 dev eth1 nodad
    ip -n "$INNER" addr add 192.168.100.2/24 dev eth0
    ip -n "$INNER" addr add fd64::2/64 dev eth0 nodad
    ip -n "$CLI" link set eth0 up
    ip -n "$SRV" link set eth0 up
    ip -n "$SRV" link set eth1 up
    ip -n "$INNER" link set eth0 up
    ip -n "$INNER" route add default via 192.168.100.1
    ip -n "$INNER" -6 route add default via fd64::1
    srv sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
    # Snapshots are compared later, so link-local addresses must have settled.
    for ns in $CLI $INNER; do wait_for 5 links_settled "$ns" 1; done
    wait_for 5 links_settled "$SRV" 2
}

# server_config [YAML]...: $T/etc/vpn.yaml by --init, with IPv6 inside and the given drop-in lines
server_config() {
    "$BIN/vpn-server" --init "$T/etc" >"$T/init.out" 2>&1 || { cat "$T/init.out"; return 1; }
    chmod 755 "$T/etc"
    # A reload reads it as the user vpn, whose group this machine may not have.
    chmod 644 "$T/etc/vpn.yaml"
    mkdir -p "$T/etc/vpn.yaml.d"
    cat >"$T/etc/vpn.yaml.d/10-test.yaml" <<EOF
tunnel:
  addresses: [10.8.0.1/24, "fd08::1/64"]
  pool: [10.8.0.10-10.8.0.254, "fd08::10-fd08::ffff"]
EOF
    [ $# = 0 ] || printf '%s\n' "$@" >"$T/etc/vpn.yaml.d/20-test.yaml"
}

# user_add NAME [ENDPOINT] [OPTION...]: into the server's drop-ins; profile in $T/NAME.client.yaml
user_add() {
    local name=$1 endpoint=${2:-192.0.2.1:51820}
    shift $(($# > 2 ? 2 : $#))
    "$BIN/vpnctl" user add "$name" "$@" -f "$T/etc/vpn.yaml" -o "$T" --endpoint "$endpoint" \
        >"$T/etc/vpn.yaml.d/user-$name.yaml" 2>"$T/user-$name.out" ||
        { cat "$T/user-$name.out"; return 1; }
}

# client_config NAME [LINE...]: the profile vpnctl wrote, lines added to its tunnel, own sockets
client_config() {
    local name=$1
    shift
    cat "$T/$name.client.yaml" >"$T/$name.yaml"
    [ $# = 0 ] || printf '    %s\n' "$@" >>"$T/$name.yaml"
    printf 'state: %s/state-%s\ncontrol:\n  socket: %s/%s.sock\n' "$T" "$name" "$T" "$name" >>"$T/$name.yaml"
    chmod 600 "$T/$name.yaml"
}

SERVER=0 CLIENT=0
server_start() { # [OPTION...]: leaves the pid in SERVER
    : >"$T/server.log" # the child opens it later: what an earlier run said must be gone
    ip netns exec "$SRV" "$BIN/vpn-server" -v -c "$T/etc/vpn.yaml" "$@" >"$T/server.log" 2>&1 &
    SERVER=$!
    PIDS+=("$SERVER")
    wait_for 10 grep -qE '(^|: )running$' "$T/server.log" # not "...: running the configuration that"
}
client_start() { # NAME [OPTION...]: leaves the pid in CLIENT
    local name=$1
    shift
    : >"$T/client-$name.log" # the child opens it later: what an earlier run said must be gone
    ip netns exec "$CLI" "$BIN/vpn-client" -v -c "$T/$name.yaml" "$@" >"$T/client-$name.log" 2>&1 &
    CLIENT=$!
    PIDS+=("$CLIENT")
}
client_connected() { wait_for "${2:-15}" grep -qE '(^|[: ])connected$' "$T/client-$1.log"; }
stop() { # PID: TERM, and its exit status
    kill "$1" 2>/dev/null
    wait "$1"
}
# crash: kill -9; enclave and spawner end by themselves, and the port is free again
crash() {
    kill -9 "$SERVER"
    wait "$SERVER" 2>/dev/null
    wait_for 5 sh -c "! ip netns pids $SRV | grep -q ."
}

# many_config COUNT: users u1, u2, … and one vpn-client with a tunnel t1, t2, … for each (20 at most)
many_config() {
    local i
    printf 'version: 1\nstate: %s/state\ncontrol: {socket: %s/many.sock}\ntunnels:\n' "$T" "$T" >"$T/many.yaml"
    chmod 600 "$T/many.yaml"
    for ((i = 1; i <= $1; i++)); do
        user_add "u$i" 192.0.2.1:51820 --key
        # The profile's one tunnel, under another name, on a device of its own.
        sed -n '/^tunnels:/,$p' "$T/u$i.client.yaml" |
            sed "1d; s/device: .*/device: t$i/; s/^  [^ ].*:$/  u$i:/" >>"$T/many.yaml"
        grep -q 'device:' "$T/u$i.client.yaml" || echo "    device: t$i" >>"$T/many.yaml"
        # One host, one server, many tunnels: each has a route of its own length to it.
        printf '    routes: [10.8.0.%d/%d]\n' $((i == 1)) $((33 - i)) >>"$T/many.yaml"
    done
}
MANY=0
many_start() { # leaves the pid in MANY
    : >"$T/client-many.log"
    ip netns exec "$CLI" "$BIN/vpn-client" -c "$T/many.yaml" >"$T/client-many.log" 2>&1 &
    MANY=$!
    PIDS+=("$MANY")
}
# many_traffic COUNT: something goes through each tunnel, until many_quiet
TRAFFIC=()
many_traffic() {
    local i
    TRAFFIC=()
    for ((i = 1; i <= $1; i++)); do
        ip netns exec "$CLI" ping -q -I "t$i" -i 0.3 -W 1 10.8.0.1 >/dev/null 2>&1 &
        TRAFFIC+=($!)
    done
    PIDS+=("${TRAFFIC[@]}")
}
many_quiet() { kill "${TRAFFIC[@]}"; wait "${TRAFFIC[@]}" 2>/dev/null; }
vpnctl() { srv "$BIN/vpnctl" "$@" -s "$T/etc/vpn.sock"; }
# online COUNT: so many devices are connected
online() { [ "$(vpnctl users | grep -c ' online ')" = "$1" ]; }
# addresses: "u1 10.8.0.10, fd08::10" of those who are connected, line by line
addresses() { vpnctl users | awk '$2 == "online" { print $1, $3, $4 }' | sort; }

status_json() { srv "$BIN/vpnctl" -j -s "$T/etc/vpn.sock" status; }
enclave_pid() { # PID of a daemon: its enclave's
    local spawner
    spawner=$(pgrep -P "$1" -f . | head -n 1)
    pgrep -P "$spawner" | head -n 1
}
