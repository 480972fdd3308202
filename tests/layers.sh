#!/bin/bash
# Who may include whom: folders are trust and kernel boundaries, so the arrows between them are
# checked.  Anything not listed here fails.
cd "$(dirname "$0")/.." || exit 1
fail=0 n=0

not_ok() { echo "# $1"; fail=1; }

# folder:regex of what it may include, beside system headers
allowed='
common:common/
netlink:common/|netlink/
enclave:common/|enclave/
daemon:common/|netlink/|daemon/|enclave/(link|spawner)\.h
client:common/|netlink/|client/|daemon/datapath/|daemon/(config|desired)\.h|enclave/(link|spawner)\.h
'
for rule in $allowed; do
    folder=${rule%%:*} may=${rule#*:}
    while IFS= read -r line; do
        file=${line%%:*} inc=${line#*\"}
        inc=${inc%%\"*}
        [[ $inc =~ ^($may) ]] || not_ok "$file includes $inc"
    done < <(grep -rE '^#include "' "$folder" --include='*.[ch]')
done

# The data path is shared with the client: it may not lean on the server's policy.
while IFS= read -r line; do
    inc=${line#*\"}
    inc=${inc%%\"*}
    [[ $inc =~ ^(common/|daemon/datapath/|enclave/link\.h) ]] ||
        not_ok "${line%%:*} includes $inc: the data path knows no policy"
done < <(grep -rE '^#include "' daemon/datapath)

# The sealed side does not link its own door.
while IFS= read -r line; do
    [[ $line =~ ^enclave/(link|spawner)\. ]] || not_ok "$line: the sealed binary has no door inside"
done < <(grep -rlE '^#include "enclave/(link|spawner)\.h"' enclave)

only() { # header pattern, files that may
    while IFS= read -r file; do
        [[ $file =~ $2 ]] || not_ok "$file includes $1"
    done < <(grep -rlE "^#include <$1" common netlink enclave daemon client)
}
only 'netlink/' '^netlink/'
only 'yaml\.h' '^common/yaml\.c$'
only 'gcrypt\.h' '^enclave/aead(_[a-z]+)?\.c$'
only 'seccomp\.h' '^enclave/seal\.c$'
only 'sqlite3\.h' '^daemon/lease_store\.c$'

# libnl's folder would be shadowed by ours.
grep -nE -- '-I *\.( |$)' Makefile | grep -v cppcheck | grep -v -- '-I \. \$(C_FILES)' >/dev/null &&
    not_ok "the Makefile uses -I. (use -iquote .)"

# Pure files: no system call, no clock, no log line.
for f in common/ip.c common/wire.c common/inner.c common/bucket.c common/control.c enclave/replay.c \
         netlink/object.c netlink/noun.c netlink/set.c daemon/datapath/lookup.c daemon/datapath/trie.c daemon/datapath/icmp.c \
         daemon/datapath/pmtu.c daemon/lease.c daemon/lease_table.c daemon/pool.c daemon/taken.c daemon/users.c daemon/config_keep.c daemon/config_diff.c \
         daemon/desired.c \
         daemon/datapath/checksum.c daemon/datapath/gso.c daemon/datapath/coalesce.c daemon/datapath/offload.c \
         netlink/plan.c netlink/plan_judge.c netlink/plan_fall.c netlink/plan_order.c netlink/plan_tree.c netlink/fight.c netlink/drift.c netlink/told.c \
         daemon/admission.c client/pushed.c; do
    grep -nE '#include <(sys/socket|time|unistd|fcntl|sys/stat)\.h>|"common/log\.h"|clock_gettime' "$f" |
        grep -v 'sys/socket' && not_ok "$f is no longer pure"
done

echo "1..1"
if [ $fail = 0 ]; then echo "ok 1 - includes follow the layers"; else echo "not ok 1 - includes follow the layers"; fi
exit $fail
