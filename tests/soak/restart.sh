#!/bin/bash
# The server restarts under 250 clients, each behind an address of its own: all are back within three
# seconds of its start, at their addresses in the tunnel, after a clean stop and after kill -9.
# (tests/net/13-restart.sh has twenty behind one address, as many as log in at once from one.)
#
# SOAK_CLIENTS (250) makes it fewer.  All are tunnels of one vpn-client.
#
#   cli  198.18.0.1 … 250 ─── any of 198.19.0.0/16 srv        t1 … t250 ══ 10.8.0.1
. "$(dirname "$0")/../net/lib.sh"
topo_up
CLIENTS=${SOAK_CLIENTS:-250}
LIMIT_MS=3000

ip -n "$SRV" route add local 198.19.0.0/16 dev lo
ip -n "$SRV" route add 198.18.0.0/16 via 192.0.2.2
server_config
cat >"$T/etc/vpn.yaml.d/10-test.yaml" <<YAML
server: {max-clients: $((CLIENTS + 50))}
tunnel: {addresses: [10.8.0.1/16], pool: [10.8.1.1-10.8.9.250]}
YAML
printf 'version: 1\nstate: %s/state\ncontrol: {socket: %s/many.sock}\ntunnels:\n' "$T" "$T" >"$T/many.yaml"
for ((i = 1; i <= CLIENTS; i++)); do
    "$BIN/vpnctl" user add "u$i" --key -f "$T/etc/vpn.yaml" -o "$T" --endpoint "198.19.0.$i:51820" \
        2>/dev/null | grep -v '^users:' >>"$T/users"
    sed -n "s/^  \"[^\"]*\":\$/  u$i:/; s/device: tun0/device: t$i/; /^  /p" "$T/u$i.client.yaml"
    printf '    routes: [10.8.0.1/32]\n    table: %d\n' $((1000 + i))
done >>"$T/many.yaml"
{ echo users:; cat "$T/users"; } >"$T/etc/vpn.yaml.d/20-users.yaml"
chmod 600 "$T/many.yaml"
for ((i = 1; i <= CLIENTS; i++)); do
    echo "addr add 198.18.0.$i/32 dev eth0"
    echo "route add 198.19.0.$i/32 via 192.0.2.1 src 198.18.0.$i"
done | ip -n "$CLI" -batch -

now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
all_back() { # WHAT
    local up ms
    up=$(now_ms)
    wait_for 40 online "$CLIENTS"
    ms=$(($(now_ms) - up))
    echo "# $1: $(vpnctl users | grep -c ' online ') of $CLIENTS are back after $ms ms"
    check "$1: all are back within $LIMIT_MS ms" test $ms -le $LIMIT_MS
    addresses >"$T/now"
    check "$1: at their addresses" diff "$T/first" "$T/now"
}

check "the server starts" server_start
many_start
check "$CLIENTS tunnels are up" wait_for 60 online "$CLIENTS"
check "each from an address of its own" test "$(vpnctl users | grep -o '198\.18\.0\.[0-9]*' | sort -u | wc -l)" = "$CLIENTS"
addresses >"$T/first"

stop "$SERVER"
server_start
all_back "clean restart"
crash
server_start
all_back "kill -9"
stop "$MANY"
stop "$SERVER"
check "the server ends with status 0" test $? = 0
finish
