#!/bin/bash
# Leases outlive the server: addresses come back after a clean stop, after kill -9 at any moment, to
# devices that were away meanwhile; a folder that cannot be written and a file that cannot be read
# are said, and the service goes on.  Only packets of the user keep a session from timing out.
#
#   cli: one vpn-client, tunnels t1 to t6 of the users u1 to u6 (each its own device) ─── srv ─── inner
. "$(dirname "$0")/lib.sh"
topo_up
server_config
many_config 6

unique() { [ -z "$(vpnctl users | awk '$2 == "online" { print $3; print $4 }' | tr -d , | grep -v '^-$' | sort | uniq -d)" ]; }

check "the server starts" server_start
many_start
check "six tunnels are up" wait_for 15 online 6
addresses >"$T/first"
vpnctl -j users >"$T/users.json"
check "JSON has integers for bytes, and times of RFC 3339" sh -c "
    [ \$(grep -cE '\"[rt]x_bytes\": [0-9]+,?\$' '$T/users.json') = 12 ] &&
    [ \$(grep -cE '\"(since|last_received)\": \"20[0-9-]{8}T[0-9:]{8}Z\"' '$T/users.json') = 12 ] &&
    [ \$(grep -cE '\"endpoint\": \"192.0.2.2:[0-9]+\"' '$T/users.json') = 6 ]"
check "each has its own addresses" unique
check "the state folder is nobody else's" sh -c "[ \"\$(stat -c %a '$T/etc/state')\" = 750 ]"

# ---- restarts -------------------------------------------------------------------------------------
stop "$SERVER"
check "after a clean stop no log is left to be read back" test ! -e "$T/etc/state/leases.db-wal"
server_start
check "clean restart: all come back" wait_for 10 online 6
addresses >"$T/now"
check "to the same addresses" diff "$T/first" "$T/now"
check "the server says what it found" grep -q '6 leases of an earlier run' "$T/server.log"

# Dead at any moment: while clients come, have just come, are there.
many_traffic 6
for round in 1 2 3 4 5 6 7 8; do
    crash
    server_start
    sleep "0.$((round * 13 % 10))" # some are back by now, some are not
done
check "killed eight times while they come back: all come back" wait_for 20 online 6
addresses >"$T/now"
check "to the same addresses again" diff "$T/first" "$T/now"
check "the file was always good" sh -c "! ls '$T/etc/state' | grep -q unusable"

# ---- devices that were away -----------------------------------------------------------------------
many_quiet
stop "$MANY"
check "all have left" wait_for 5 online 0
away() { vpnctl users -a | awk '$2 == "offline" && $3 != "-" { print $1, $3, $4 }' | sort; }
away >"$T/now"
check "vpnctl users -a shows what they will find" diff "$T/first" "$T/now"
crash
server_start
away >"$T/now"
check "and so does a server that has just begun" diff "$T/first" "$T/now"
vpnctl -j users -a >"$T/users.json"
check "in JSON with times of RFC 3339" sh -c "[ \$(grep -cE '\"last_seen\": \"20[0-9-]{8}T[0-9:]{8}Z\"' '$T/users.json') = 6 ]"
check "and a version" grep -qE '^  "version": 1,?$' "$T/users.json"
user_add newcomer 192.168.100.1:51820 && client_config newcomer 'routes: [10.8.0.0/24]'
kill -HUP "$SERVER"
check "a newcomer is known" wait_for 5 sh -c "ip netns exec $SRV $BIN/vpnctl users -s $T/etc/vpn.sock | grep -q newcomer"
ip netns exec "$INNER" "$BIN/vpn-client" -c "$T/newcomer.yaml" >"$T/client-newcomer.log" 2>&1 & NEWCOMER=$!
PIDS+=("$NEWCOMER")
check "the newcomer connects" client_connected newcomer
new4=$(inner ip -4 -o addr show dev tun0 | sed 's/.*inet \([0-9.]*\).*/\1/')
check "to an address of nobody else's ($new4)" sh -c "! grep -q ' $new4,\\? ' '$T/first'"
many_start
check "the six come back" wait_for 15 online 7
addresses | grep -v newcomer >"$T/now"
check "to the addresses they had before" diff "$T/first" "$T/now"
stop "$NEWCOMER"

# A user with another key is the same name: his device finds its address.
mkdir "$T/again"
rm "$T/etc/vpn.yaml.d/user-newcomer.yaml"
"$BIN/vpnctl" user add newcomer -f "$T/etc/vpn.yaml" -o "$T/again" --endpoint 192.168.100.1:51820 \
    >"$T/etc/vpn.yaml.d/user-newcomer.yaml" 2>/dev/null
kill -HUP "$SERVER"
check "the newcomer has another key" wait_for 5 sh -c "[ \$(grep -c 'configuration reloaded' '$T/server.log') = 2 ]"
cp "$T/again/newcomer.token" "$T/newcomer.token"
: >"$T/client-newcomer.log"
ip netns exec "$INNER" "$BIN/vpn-client" -c "$T/newcomer.yaml" >"$T/client-newcomer.log" 2>&1 & NEWCOMER=$!
PIDS+=("$NEWCOMER")
check "and connects with it" client_connected newcomer
check "to the address his device had" sh -c "ip -n $INNER -4 addr show dev tun0 | grep -q 'inet $new4/'"
stop "$NEWCOMER"

# ---- a folder that cannot be written --------------------------------------------------------------
stop "$SERVER"
chown root "$T/etc/state"; chmod 755 "$T/etc/state"
rm -f "$T/etc/state/leases.db"*
check "a read-only folder: the server starts" server_start
check "and says what follows from it" grep -q 'state/leases.db: Permission denied: until this is mended, devices may not' "$T/server.log"
check "all come back" wait_for 10 online 6
check "vpnctl status says it, too" sh -c "ip netns exec $SRV $BIN/vpnctl status -s $T/etc/vpn.sock | grep -q 'Permission denied'"
chmod 777 "$T/etc/state"
check "when it is mended, it works again" wait_for 15 grep -q 'leases are written to .* again' "$T/server.log"
check "it was said once" sh -c "[ \$(grep -c 'until this is mended' '$T/server.log') = 1 ]"
addresses >"$T/now"
crash
server_start
many_traffic 6
check "and all is there after a crash" wait_for 20 online 6
addresses >"$T/later"
check "at the same addresses" diff "$T/now" "$T/later"
many_quiet

# ---- a disk that is full --------------------------------------------------------------------------
# A file system of 80 KiB, in a mount namespace of the server's own, is soon filled by the log.
crash
: >"$T/server.log"
ip netns exec "$SRV" unshare -m sh -c "mount -t tmpfs -o size=80k,mode=777 tmpfs $T/etc/state &&
    exec $BIN/vpn-server -c $T/etc/vpn.yaml" >"$T/server.log" 2>&1 & SERVER=$!
PIDS+=("$SERVER")
check "a small disk: the server starts" wait_for 10 grep -q ': running\|^running' "$T/server.log"
check "all come back" wait_for 20 online 6
fill() { # u1 goes and comes, and each time a little more is written
    grep -q 'leases.db: database or disk is full' "$T/server.log" && return
    vpnctl kick u1
    wait_for 2 online 5
    kill -HUP "$MANY" # he was told to wait for his operator
    wait_for 3 online 6
    false
}
check "it is full, and that is said" wait_for 30 fill
check "the service goes on" wait_for 20 online 6
check "it was said once" sh -c "[ \$(grep -c 'until this is mended' '$T/server.log') = 1 ]"
addresses >"$T/now"
nsenter -t "$SERVER" -m mount -o remount,size=4m "$T/etc/state"
check "with room again, all is written" wait_for 90 grep -q 'leases are written to .* again' "$T/server.log"
check "nobody has moved" sh -c "$BIN/vpnctl -s $T/etc/vpn.sock users | awk '\$2 == \"online\" { print \$1, \$3, \$4 }' | sort | diff $T/now -"

# ---- a file that cannot be read -------------------------------------------------------------------
crash
rm -f "$T/etc/state/leases.db-wal"
echo 'Dear diary, today I was a database.' >"$T/etc/state/leases.db"
check "a file of somebody else's: the server starts" server_start
check "and says where it is now" grep -q 'leases.db: the file is damaged; moved to .*leases.db.unusable-' "$T/server.log"
check "it is still there" grep -q 'Dear diary' "$T/etc/state"/leases.db.unusable-*
stop "$MANY"; stop "$SERVER"

# ---- only packets of the user keep a session alive ------------------------------------------------
printf 'server:\n  session-timeout: 6s\n' >"$T/etc/vpn.yaml.d/20-test.yaml"
server_start
many_start
check "six are there" wait_for 15 online 6
ip netns exec "$CLI" ping -q -I t1 -i 0.5 -W 1 10.8.0.1 >/dev/null 2>&1 & P=$!
PIDS+=($P)
check "who is silent is asked to leave after six seconds" wait_for 15 sh -c "[ \$(grep -c 'no traffic for 6 s' '$T/server.log') -ge 5 ]"
check "who sends is not" sh -c "! grep -q 'u1: no traffic' '$T/server.log'"
check "they are back after a second" wait_for 5 online 6
kill $P
stop "$MANY"
stop "$SERVER"
check "the server ends with status 0" test $? = 0
finish
