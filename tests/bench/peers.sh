# The peers: how each is had, set up once, started for its turn, and stopped.
#
# peer_fetch NAME   downloads its programs, when they are not here yet
# peer_get NAME     the same, and fails when the peer cannot be had on this machine
# peer_setup NAME   keys and configuration files in $T, once
# peer_start NAME   returns when a ping goes through; then TARGET is the server's address to measure
#                   against, and SERVER_PIDS are the processes whose CPU and memory count as the
#                   server side (none: they cannot be told from the rest of the kernel's)
# peer_stop         ends what peer_start began
#
# Interface names are the same in every run, for they live in namespaces of our own; wireguard-go's
# carry our process id, because its sockets lie in /var/run/wireguard under the interface's name.

OPENVPN_PORT=1194 WIREGUARD_PORT=51821
TARGET='' SERVER_PIDS=() STARTED=0

peer_fetch() {
    case $1 in
    # Releases before December 2023 lack the TUN and UDP offloads: no fair peer.  Keys and settings of
    # the kernel's own are made with the tools beside it.
    wireguard-go | wireguard)
        fetch wireguard-go 'wireguard-go --version' 'wireguard-go>=0.0.20231211' wireguard-tools ;;
    openvpn) fetch openvpn 'openvpn --show-digests' 'openvpn>=2.6' ;;
    esac
}

peer_get() {
    case $1 in
    veth) ;;
    ours)
        local p
        for p in vpn-server vpn-client vpn-enclave vpnctl; do
            [ -x "$BIN/$p" ] || { note "no $BIN/$p: run 'make' first"; return 1; }
        done ;;
    wireguard)
        wireguard_in_kernel || { note "this kernel has no WireGuard (make bench-vm boots one)"; return 1; }
        peer_fetch "$1" ;;
    *) peer_fetch "$1" ;;
    esac
}

wireguard_in_kernel() {
    local ns=vpnb-w-$$ rc
    ip netns add "$ns" || return 1
    ip -n "$ns" link add wg0 type wireguard 2>/dev/null
    rc=$?
    ip netns del "$ns"
    return $rc
}

peer_version() {
    case $1 in
    veth | wireguard) uname -r ;;
    ours) "$BIN/vpn-server" --version ;;
    # The program's own --version was left behind at an earlier release: the package's counts.
    *) fetched "$1" "$1" ;;
    esac
}

peer_setup() {
    case $1 in
    veth) ;;
    ours)
        server_config && user_add bench && client_config bench 'routes: [10.8.0.0/24]' ;;
    wireguard-go | wireguard) wireguard_setup ;;
    openvpn) openvpn_setup ;;
    esac
}

wireguard_setup() {
    local side
    [ ! -e "$T/wg-cli.pub" ] || return 0
    for side in srv cli; do
        (umask 077 && in_tree wireguard-go wg genkey >"$T/wg-$side.key") || return 1
        in_tree wireguard-go wg pubkey <"$T/wg-$side.key" >"$T/wg-$side.pub" || return 1
    done
}

# Two peers that know each other's certificate by its fingerprint; the cipher is the only one
# offered, so a tunnel that comes up has it.  The others give their sockets large buffers by
# themselves: so shall this one, or it loses bursts (of 64-byte packets it carries 1.6 times as many).
openvpn_setup() {
    local side other print
    for side in srv cli; do
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
            -subj "/CN=$side" -keyout "$T/openvpn-$side.key" -out "$T/openvpn-$side.crt" \
            >"$T/openssl.log" 2>&1 || return 1
    done
    for side in srv cli; do
        other=cli
        [ $side = srv ] || other=srv
        print=$(openssl x509 -in "$T/openvpn-$other.crt" -noout -sha256 -fingerprint) || return 1
        cat <<END >"$T/openvpn-$side.conf"
dev bench0
dev-type tun
proto udp4
tun-mtu 1400
mssfix 0
disable-dco
fast-io
sndbuf 4194304
rcvbuf 4194304
data-ciphers CHACHA20-POLY1305
data-ciphers-fallback CHACHA20-POLY1305
cert $T/openvpn-$side.crt
key $T/openvpn-$side.key
peer-fingerprint ${print#*=}
END
    done
    cat <<END >>"$T/openvpn-srv.conf"
tls-server
dh none
local 192.0.2.1
lport $OPENVPN_PORT
ifconfig 10.9.1.1 10.9.1.2
END
    cat <<END >>"$T/openvpn-cli.conf"
tls-client
nobind
remote 192.0.2.1 $OPENVPN_PORT
ifconfig 10.9.1.2 10.9.1.1
END
}

answers() { cli ping -c 1 -W 1 "$TARGET"; }

# begin LOG COMMAND...: in the background, remembered for the clean-up; its pid in STARTED
begin() {
    local log=$1
    shift
    "$@" >"$T/$log.log" 2>&1 &
    STARTED=$!
    PIDS+=("$STARTED")
}

peer_start() {
    SERVER_PIDS=()
    case $1 in
    veth) TARGET=192.0.2.1 ;;
    ours) ours_start ;;
    wireguard-go) wireguard_start ;;
    wireguard) wireguard_kernel_start ;;
    openvpn) openvpn_start ;;
    esac && wait_for 20 answers
}

ours_start() {
    TARGET=10.8.0.1
    server_start || return 1
    client_start bench
    client_connected bench || return 1
    # shellcheck disable=SC2207 # pids have no spaces
    SERVER_PIDS=("$SERVER" $(descendants "$SERVER"))
}

descendants() {
    local child
    for child in $(pgrep -P "$1"); do
        echo "$child"
        descendants "$child"
    done
}

wireguard_start() {
    TARGET=10.9.0.1
    local s=wgs$$ c=wgc$$
    tree_env wireguard-go
    begin wireguard-srv "${TREE[@]}" LOG_LEVEL=error ip netns exec "$SRV" wireguard-go -f $s
    SERVER_PIDS=("$STARTED")
    begin wireguard-cli "${TREE[@]}" LOG_LEVEL=error ip netns exec "$CLI" wireguard-go -f $c
    wait_for 5 test -S /var/run/wireguard/$s.sock || return 1
    wait_for 5 test -S /var/run/wireguard/$c.sock || return 1
    wireguard_up $s $c
}

wireguard_kernel_start() {
    TARGET=10.9.0.1
    ip -n "$SRV" link add wgk0 type wireguard && ip -n "$CLI" link add wgk0 type wireguard &&
        wireguard_up wgk0 wgk0
}

# wireguard_up SERVER-DEVICE CLIENT-DEVICE: keys, endpoints, addresses
wireguard_up() {
    local s=$1 c=$2
    in_tree wireguard-go ip netns exec "$SRV" wg set $s private-key "$T/wg-srv.key" \
        listen-port $WIREGUARD_PORT peer "$(<"$T/wg-cli.pub")" allowed-ips 10.9.0.2/32 || return 1
    in_tree wireguard-go ip netns exec "$CLI" wg set $c private-key "$T/wg-cli.key" \
        peer "$(<"$T/wg-srv.pub")" allowed-ips 10.9.0.1/32 \
        endpoint 192.0.2.1:$WIREGUARD_PORT || return 1
    ip -n "$SRV" addr add 10.9.0.1/24 dev $s && ip -n "$SRV" link set $s mtu 1400 up &&
        ip -n "$CLI" addr add 10.9.0.2/24 dev $c && ip -n "$CLI" link set $c mtu 1400 up
}

openvpn_start() {
    TARGET=10.9.1.1
    tree_env openvpn
    begin openvpn-srv "${TREE[@]}" ip netns exec "$SRV" openvpn --config "$T/openvpn-srv.conf"
    SERVER_PIDS=("$STARTED")
    begin openvpn-cli "${TREE[@]}" ip netns exec "$CLI" openvpn --config "$T/openvpn-cli.conf"
    wait_for 20 grep -q 'Initialization Sequence Completed' "$T/openvpn-cli.log"
}

gone() { ! kill -0 "$1" 2>/dev/null; }

# The client goes first, so that it can say good-bye through the tunnel.
peer_stop() {
    local i
    for ((i = ${#PIDS[@]} - 1; i >= 0; i--)); do
        kill "${PIDS[i]}" 2>/dev/null
        wait_for 10 gone "${PIDS[i]}" || kill -9 "${PIDS[i]}" 2>/dev/null
        wait "${PIDS[i]}" 2>/dev/null
    done
    PIDS=() SERVER_PIDS=()
    ip -n "$SRV" link del wgk0 2>/dev/null
    ip -n "$CLI" link del wgk0 2>/dev/null || :
}
