# Get Debian packages without installing them: downloaded with an apt configuration of our own,
# unpacked into a cache folder.  The system's package lists, sources and packages stay as they are.
#
# fetch NAME COMMAND PACKAGE...: leaves the unpacked tree in $CACHE/NAME.  The tree is used again
# while COMMAND, run in it, still succeeds.

CACHE=${VPN_BENCH_CACHE:-/var/cache/vpn-bench}
FETCH_READY=0

# tree_env NAME: sets TREE, the words to put before a command so that it finds the programs and the
# libraries of that tree.  env is replaced by the command: a background job's pid is the program's.
TREE=()
tree_env() {
    local tree=$CACHE/$1 libs
    libs=$(printf '%s:' "$tree"/usr/lib/*-linux-gnu* "$tree"/lib/*-linux-gnu*)
    TREE=(env PATH="$tree/usr/bin:$tree/usr/sbin:$PATH" LD_LIBRARY_PATH="${libs%:}")
}

# in_tree NAME COMMAND...: run a command so, in the foreground
in_tree() {
    tree_env "$1"
    shift
    "${TREE[@]}" "$@"
}

# The system's sources of its own release, and for Debian 12 its backports; no third party's.
apt_sources() { # CODENAME BACKPORTS
    awk -v code="$1" -v backports="$2" '
        function ours(list,    n, s, i) {
            n = split(list, s, " ")
            for (i = 1; i <= n; i++)
                if (s[i] ~ ("^" code "(-updates|-security)?$")) return 1
            return 0
        }
        { suites = ""; n = split($0, line, "\n")
          for (i = 1; i <= n; i++)
              if (line[i] ~ /^Suites:/) suites = substr(line[i], 8)
              else if (line[i] ~ /^deb /) {
                  one = line[i]; sub(/\[[^]]*\]/, "", one); split(one, word, " ")
                  if (!ours(word[3])) continue
                  print "L", line[i]
                  if (backports && word[3] == code && !had++) {
                      sub(" " code " ", " " code "-backports ", line[i]); print "L", line[i]
                  }
              }
          if (suites == "" || !ours(suites)) next
          for (i = 1; i <= n; i++) print "S", line[i]
          print "S"
          if (backports && (" " suites " ") ~ (" " code " ") && !had++) {
              for (i = 1; i <= n; i++) {
                  if (line[i] ~ /^Suites:/) line[i] = "Suites: " code "-backports"
                  print "S", line[i]
              }
              print "S"
          } }' RS= /dev/stdin
}

fetch_ready() {
    [ $FETCH_READY = 0 ] || return 0
    local dir=$CACHE/apt code backports=0 f
    mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/sources.list.d" || return 1
    code=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    [ "$(. /etc/os-release && echo "${ID:-}:$code")" != debian:bookworm ] || backports=1
    for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources}; do
        [ -f "$f" ] || continue
        cat "$f"
        echo
    done | apt_sources "$code" $backports >"$dir/sources" || return 1
    sed -n 's/^L //p' "$dir/sources" >"$dir/sources.list.d/bench.list"
    sed -n 's/^S \{0,1\}//p' "$dir/sources" >"$dir/sources.list.d/bench.sources"
    APT=(-qq -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$dir/sources.list.d"
         -o Dir::State::Lists="$dir/lists" -o Dir::Cache="$dir/cache" -o APT::Sandbox::User=root
         -o APT::Install-Recommends=false)
    note "looking for packages of other VPNs"
    apt-get "${APT[@]}" update >&2 || return 1
    FETCH_READY=1
}

# newest VERSION PACKAGE: PACKAGE=VERSION of the newest version at hand that is at least that
newest() {
    local v
    v=$(apt-cache "${APT[@]}" madison "$2" | awk '{ print $3 }' | sort -V | tail -n 1)
    if [ -z "$v" ] || dpkg --compare-versions "$v" lt "$1"; then
        note "$2 $1 or later is not in this release (newest: ${v:-none})"
        return 1
    fi
    echo "$2=$v"
}

fetch() {
    local name=$1 test=$2 tree=$CACHE/$1 deb
    shift 2
    # shellcheck disable=SC2086 # the command is split on purpose
    if [ -s "$tree/packages" ] && in_tree "$name" $test >/dev/null 2>&1; then return 0; fi
    command -v apt-get >/dev/null || { note "this system has no apt"; return 1; }
    fetch_ready || return 1
    local want=() p v
    for p in "$@"; do
        case $p in
        *'>='*) v=$(newest "${p#*>=}" "${p%%>=*}") || return 1; want+=("$v") ;;
        *) want+=("$p") ;;
        esac
    done
    rm -rf "$CACHE/apt/cache/archives"/*.deb "$tree" "$tree.new"
    apt-get "${APT[@]}" -y --download-only --reinstall install "${want[@]}" >&2 || return 1
    mkdir -p "$tree.new" || return 1
    for deb in "$CACHE/apt/cache/archives"/*.deb; do
        dpkg-deb -x "$deb" "$tree.new" || return 1
        dpkg-deb -W --showformat='${Package} ${Version}\n' "$deb" >>"$tree.new/packages" || return 1
    done
    mv "$tree.new" "$tree" || return 1
    # shellcheck disable=SC2086
    in_tree "$name" $test >/dev/null 2>&1 || { note "$name does not run from $tree"; return 1; }
}

# fetched NAME PACKAGE: the version of a package in that tree
fetched() { awk -v name="$2" '$1 == name { print $2 }' "$CACHE/$1/packages"; }

# The chart is drawn by gnuplot, with a font of its own so that no font set-up is needed.
gnuplot_get() { fetch gnuplot 'gnuplot-nox --version' gnuplot-nox fonts-dejavu-core; }
