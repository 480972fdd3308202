#!/bin/bash
# Inner sources, both ways and in both families: what a user may not send from, networks behind them
# included, does not come out at the server, and what is not routed into the tunnel does not come out
# at the client.  After each packet that must not arrive one follows that must: so the first is known
# to be lost.
#
#   cli (alice: 10.8.0.10, fd08::10; behind her 192.168.50.0/24, fd50::/64) ═══ srv ─── inner
. "$(dirname "$0")/lib.sh"
topo_up
# Whom the client impersonates, and the hosts behind it; whom the server does.
for a in 10.8.0.77 198.51.100.7 192.168.50.7 192.168.51.7; do ip -n "$CLI" addr add $a/32 dev lo; done
for a in fd08::77 2001:db8:99::7 fd50::7 fd51::7; do ip -n "$CLI" addr add $a/128 dev lo nodad; done
ip -n "$SRV" addr add 198.51.100.1/32 dev lo
ip -n "$SRV" addr add 2001:db8:99::1/128 dev lo nodad

server_config
user_add alice
sed -i 's/^    key:/    address: [10.8.0.10, "fd08::10"]\n    networks: [192.168.50.0\/24, "fd50::\/64"]\n    key:/' \
    "$T/etc/vpn.yaml.d/user-alice.yaml"
client_config alice 'routes: [192.168.100.0/24, "fd64::/64", 10.8.0.0/24, "fd08::/64"]' \
    'networks: [192.168.50.0/24, "fd50::/64", 192.168.51.0/24, "fd51::/64"]'
check "the server starts" server_start
client_start alice
check "alice connects" client_connected alice
udp_listen "$CLI" "$T/at-cli"
udp_listen "$INNER" "$T/at-inner"
n=0
arrives() { # FILE NAMESPACE FROM TO
    n=$((n + 1))
    udp_send "$2" "$3" "$4" "number $n" && wait_for 5 grep -q "number $n\$" "$1"
}
# lost FILE NAMESPACE FROM TO GOOD-FROM
lost() {
    local mine
    n=$((n + 1))
    mine="number $n"
    udp_send "$2" "$3" "$4" "$mine" && arrives "$1" "$2" "$5" "$4" && ! grep -q "$mine\$" "$1"
}
spoofed() { # COUNT FILE
    grep -qE "\"spoofed\": *$1\b" "$2"
}

# From the client: her own, and the networks behind her that the server knows of.
check "her own address (IPv4)" arrives "$T/at-inner" "$CLI" 10.8.0.10 192.168.100.2
check "her own address (IPv6)" arrives "$T/at-inner" "$CLI" fd08::10 fd64::2
check "a host behind her (IPv4)" arrives "$T/at-inner" "$CLI" 192.168.50.7 192.168.100.2
check "a host behind her (IPv6)" arrives "$T/at-inner" "$CLI" fd50::7 fd64::2
check "not another client's (IPv4)" lost "$T/at-inner" "$CLI" 10.8.0.77 192.168.100.2 10.8.0.10
check "not another client's (IPv6)" lost "$T/at-inner" "$CLI" fd08::77 fd64::2 fd08::10
check "not anybody's (IPv4)" lost "$T/at-inner" "$CLI" 198.51.100.7 192.168.100.2 10.8.0.10
check "not anybody's (IPv6)" lost "$T/at-inner" "$CLI" 2001:db8:99::7 fd64::2 fd08::10
check "not of a network that only her own file has (IPv4)" lost "$T/at-inner" "$CLI" 192.168.51.7 192.168.100.2 10.8.0.10
check "not of a network that only her own file has (IPv6)" lost "$T/at-inner" "$CLI" fd51::7 fd64::2 fd08::10
status_json >"$T/status.json"
check "the server has counted each of them" spoofed 6 "$T/status.json"

# From the server: what is routed into the tunnel, to her and to the networks behind her.
check "the inner host (IPv4)" arrives "$T/at-cli" "$INNER" 192.168.100.2 10.8.0.10
check "the inner host (IPv6)" arrives "$T/at-cli" "$INNER" fd64::2 fd08::10
check "the inner host, to one behind her (IPv4)" arrives "$T/at-cli" "$INNER" 192.168.100.2 192.168.50.7
check "the inner host, to one behind her (IPv6)" arrives "$T/at-cli" "$INNER" fd64::2 fd50::7
check "not anybody else (IPv4)" lost "$T/at-cli" "$SRV" 198.51.100.1 10.8.0.10 10.8.0.1
check "not anybody else (IPv6)" lost "$T/at-cli" "$SRV" 2001:db8:99::1 fd08::10 fd08::1
check "not anybody else, to one behind her (IPv4)" lost "$T/at-cli" "$SRV" 198.51.100.1 192.168.50.7 10.8.0.1
check "not anybody else, to one behind her (IPv6)" lost "$T/at-cli" "$SRV" 2001:db8:99::1 fd50::7 fd08::1
cli "$BIN/vpnctl" -j -s "$T/alice.sock" status >"$T/client.json"
check "the client has counted each of them" spoofed 4 "$T/client.json"
check "the session is unharmed" cli ping -c 2 -i 0.2 -W 2 10.8.0.1
stop "$CLIENT"
stop "$SERVER"
finish
