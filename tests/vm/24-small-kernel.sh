#!/bin/bash
# Kernels that lack parts of nf_tables: no "fib" expression, no nf_tables at all.  The server serves,
# sets what it can and says what is missing, with the module's name.
. "$(dirname "$0")/../net/lib.sh"
[ -n "${VPN_VM:-}" ] || skip "runs in tests/vm/run: it keeps modules from being loaded"
. "$(dirname "$0")/modules"
topo_up
trap 'allow_all; topo_down' EXIT

server_config
unload nft_fib || skip "nft_fib is in use or built in"
forbid nft_fib nft_fib_inet nft_fib_ipv4 nft_fib_ipv6
check "without fib: the server starts" slow_start
check "status says that a part is missing" says 'packet filter +partial, 4 rules'
check "and which module it is in" says 'module nft_fib_inet'
check "what needs none of it is set" sh -c "ip netns exec $SRV nft list table inet vpn | grep -q 'ip daddr 10.8.0.1 .*drop'"
check "the log says what is not protected" grep -q 'not checked for their source' "$T/server.log"
check "clean exit" stop "$SERVER"
check "no table is left" sh -c "[ -z \"\$(ip netns exec $SRV nft list ruleset)\" ]"

unload nft_ && unload nf_tables || skip "nf_tables is in use or built in"
forbid nf_tables
check "without nf_tables: the server starts" slow_start
check "status says that it is missing" says 'packet filter +missing'
check "and which module it is" says 'module nf_tables'
check "the log says what is not protected" grep -q 'other interfaces are not dropped' "$T/server.log"
check "clean exit" stop "$SERVER"
finish
