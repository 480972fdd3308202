# vpn-server, vpn-enclave, vpn-client, vpnctl
#
#   make            build bin/*                      make install  [DESTDIR= PREFIX=/usr]
#   make deps       install build and test packages (apt, root)
#   make demo       a tunnel between two namespaces, shown (root)
#   make test       the whole suite (root)
#   make check      unit tests alone (no root)       make lint     clang-format, clang-tidy, cppcheck
#   make soak       the tests that take minutes of real time (root)
#   make test-offloads  the tunnel's tests with each offload alone (root, half an hour)
#   make test-vm    the suites that need a real Debian kernel, under qemu (root)
#   make fuzz       fuzzers, FUZZ_SECONDS each       make bench    against other VPNs (root)
#   make bench-vm   the same beside the kernel's WireGuard, in the virtual machine (root)
#   make bench-netlink   the reconciler alone, on a real kernel (root)
#   make bench-sessions  1, 250 and 1000 of them: logins, memory, a packet's price (root)
#   make bench-handshakes  logins a second, and logins beside a full stream (root)
#   make bench-qos  users' rates against none and tc by hand, in the virtual machine (root)
#
#   V=1 shows the commands, SANITIZE=address,undefined or SANITIZE=thread builds into build-*/,
#   WERROR=1 makes warnings errors, CC=clang is fine.

VERSION  := 0.1.0
PREFIX   ?= /usr/local
SBINDIR  ?= $(PREFIX)/sbin
BINDIR   ?= $(PREFIX)/bin
MANDIR   ?= $(PREFIX)/share/man
UNITDIR  ?= $(PREFIX)/lib/systemd/system
SYSUSERS ?= $(PREFIX)/lib/sysusers.d
TMPFILES ?= $(PREFIX)/lib/tmpfiles.d

comma := ,
B   := build$(if $(SANITIZE),-$(subst $(comma),-,$(SANITIZE)))
BIN := $(if $(SANITIZE),$(B)/bin,bin)
Q   := $(if $(V),,@)
say  = $(if $(V),,@printf '  %-5s %s\n' '$(1)' '$(2)')

# ---- compiler ------------------------------------------------------------------------------------

PKGS := libsodium libgcrypt libseccomp libnl-3.0 yaml-0.1 jansson libcap-ng sqlite3
PKGS += libcares
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla \
        -Wformat=2 -Wundef $(if $(WERROR),-Werror)
HARD := -fPIE -fstack-protector-strong -fstack-clash-protection -fno-strict-overflow \
        $(if $(filter x86_64,$(shell uname -m)),-fcf-protection=full) \
        $(if $(SANITIZE),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -DHAVE_GCRYPT -pthread -iquote . $(WARN) $(HARD) \
             $(shell pkg-config --cflags $(PKGS)) \
             $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer) \
             $(if $(findstring thread,$(SANITIZE)),-Wno-tsan) $(CFLAGS)
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now,-z,noexecstack -pthread \
              $(if $(SANITIZE),-fsanitize=$(SANITIZE)) $(LDFLAGS)
lib = $(if $(strip $(1)),$(shell pkg-config --libs $(1)))

# ---- what is made of what --------------------------------------------------------------------------

COMMON_BASE := common/err.c common/ip.c common/wire.c common/mac.c common/cred.c common/clock.c \
               common/ipc.c common/ring.c common/bell.c common/inner.c common/bucket.c common/control.c
COMMON_APP  := common/log.c common/loop.c common/process.c common/ctl.c common/ctl_server.c
COMMON_CONF := common/arena.c common/bundle.c common/conf.c common/doc.c common/field.c common/problem.c \
               common/schema.c common/text.c common/value.c common/yaml.c
COMMON_CONF += common/rate.c

ENCLAVE_CRYPTO := enclave/aead.c enclave/noise.c enclave/replay.c enclave/handshake.c \
                  enclave/hs_initiator.c enclave/hs_handles.c enclave/hs_limit.c \
                  enclave/hs_payload.c enclave/hs_seen.c enclave/hs_users.c enclave/challenge.c
ENCLAVE_CORE   := enclave/keystore.c enclave/allow.c enclave/transport.c enclave/worker.c enclave/dispatch.c \
                  enclave/end.c enclave/secret.c
ENCLAVE_SRC := enclave/main.c enclave/seal.c enclave/credential.c enclave/selftest.c \
               $(ENCLAVE_CRYPTO) $(ENCLAVE_CORE) $(COMMON_BASE)
DOOR        := enclave/link.c enclave/spawner.c

NETLINK  := netlink/conn.c netlink/batch.c netlink/msg.c netlink/object.c netlink/link.c netlink/addr.c \
            netlink/route.c netlink/rule.c netlink/tun.c netlink/sysctl.c
NETLINK  += netlink/tc.c netlink/tc_msg.c netlink/qdisc.c netlink/class.c \
            netlink/filter.c netlink/filter_parse.c netlink/tc_probe.c
NETLINK  += netlink/firewall.c netlink/nft.c netlink/nft_expr.c netlink/nft_msg.c \
            netlink/nft_read.c netlink/nft_read_expr.c netlink/nft_monitor.c netlink/sysctl_keep.c
# The engine's pure half: links no netlink library.
NET_PURE := netlink/object.c netlink/tc.c netlink/firewall.c netlink/noun.c netlink/set.c
NET_ENGINE := netlink/plan.c netlink/plan_judge.c netlink/plan_fall.c netlink/plan_order.c \
              netlink/plan_tree.c netlink/fight.c netlink/snapshot.c \
              netlink/apply.c netlink/reconcile.c netlink/drift.c netlink/told.c
NETLINK  += $(filter-out $(NETLINK),$(NET_PURE)) $(NET_ENGINE) netlink/kernel.c netlink/monitor.c
DATAPATH := daemon/datapath/datapath.c daemon/datapath/lane.c daemon/datapath/lane_in.c \
            daemon/datapath/lane_out.c daemon/datapath/lookup.c daemon/datapath/trie.c \
            daemon/datapath/peers.c daemon/datapath/udp.c daemon/datapath/report.c \
            daemon/datapath/icmp.c daemon/datapath/pmtu.c daemon/datapath/probe.c
DATAPATH += daemon/datapath/checksum.c daemon/datapath/gso.c daemon/datapath/coalesce.c \
            daemon/datapath/lane_send.c daemon/datapath/lane_deliver.c daemon/datapath/offload.c \
            daemon/datapath/offload_try.c
LEASE    := daemon/lease.c daemon/lease_table.c daemon/pool.c daemon/taken.c
LEASE_IO := daemon/lease_store.c daemon/lease_writer.c daemon/roster.c common/helper.c
CONFIG   := daemon/config.c daemon/config_check.c daemon/config_networks.c
CONFIG   += daemon/config_routing.c
CONFIG   += daemon/config_qos.c
QOS      := daemon/qos.c daemon/qos_lower.c daemon/qos_params.c

PROFILE := client/profile.c client/profile_check.c

SERVER_SRC := daemon/main.c daemon/server.c daemon/session.c daemon/session_change.c \
              daemon/session_path.c daemon/login.c daemon/admission.c $(LEASE) $(LEASE_IO) daemon/ctl.c \
              daemon/init.c daemon/config_keep.c daemon/device.c daemon/enrol.c daemon/networks.c \
              daemon/push.c daemon/reload.c daemon/users.c $(CONFIG) $(DATAPATH) \
              $(DOOR) $(NETLINK) $(COMMON_BASE) $(COMMON_APP) \
              $(COMMON_CONF)
SERVER_SRC += daemon/change.c daemon/choose.c daemon/config_diff.c daemon/confirm.c daemon/ctl_config.c \
              daemon/desired.c daemon/events.c daemon/follow.c daemon/history.c daemon/history_file.c \
              daemon/keeper.c daemon/listen.c
SERVER_SRC += daemon/history_record.c daemon/shaper.c daemon/shaper_report.c $(QOS)
SERVER_SRC += netlink/status_json.c
SERVER_SRC += daemon/firewall.c daemon/netfilter.c daemon/forwarding.c
CLIENT_SRC := client/firewall.c client/vpn-client.c client/client.c client/client_ctl.c client/tunnel.c client/tunnel_net.c client/tunnel_names.c client/login.c client/timers.c client/stale.c client/resolve.c client/dns.c client/routing.c client/netstate.c client/neighbours.c client/ability.c client/trust.c client/keeper.c client/pushed.c client/device_id.c $(PROFILE) common/helper.c \
              $(DATAPATH) $(DOOR) $(NETLINK) $(COMMON_BASE) $(COMMON_APP) $(COMMON_CONF)
CLIENT_SRC += netlink/status_json.c client/settle.c
VPNCTL_SRC := client/vpnctl.c client/cmd.c client/cmd_status.c client/cmd_users.c \
              client/cmd_user.c client/cmd_kick.c client/cmd_qos.c client/cmd_identity.c client/password.c client/render.c \
              $(PROFILE) $(CONFIG) $(COMMON_BASE) common/log.c common/ctl.c common/ctl_call.c $(COMMON_CONF)

VPNCTL_SRC += client/cmd_config.c client/cmd_confirm.c client/cmd_disable.c client/cmd_history.c client/cmd_routes.c \
              client/cmd_watch.c client/config_send.c
VPNCTL_SRC += client/cmd_check.c common/schema_json.c

DAEMON_LIBS  := libsodium libnl-3.0 yaml-0.1 jansson libcap-ng
CLIENT_LIBS  := $(DAEMON_LIBS) libcares
SERVER_LIBS  := $(DAEMON_LIBS) sqlite3
VPNCTL_LIBS  := libsodium yaml-0.1 jansson
ENCLAVE_LIBS := libsodium libgcrypt libseccomp

PROGRAMS := $(BIN)/vpn-server $(BIN)/vpn-enclave $(BIN)/vpn-client $(BIN)/vpnctl

all: $(PROGRAMS)

objs = $(patsubst %.c,$(B)/%.o,$(1))

define program # name, sources, libraries
$(BIN)/$(1): $(call objs,$(2))
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(ALL_LDFLAGS) -o $$@ $$^ $$(call lib,$(3))
endef
$(eval $(call program,vpn-server,$(SERVER_SRC),$(SERVER_LIBS)))
$(eval $(call program,vpn-enclave,$(ENCLAVE_SRC),$(ENCLAVE_LIBS)))
$(eval $(call program,vpn-client,$(CLIENT_SRC),$(CLIENT_LIBS)))
$(eval $(call program,vpnctl,$(VPNCTL_SRC),$(VPNCTL_LIBS)))

$(B)/%.o: %.c | missing
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# Say what is missing before the compiler does.
.PHONY: missing
missing:
	@command -v $(CC) >/dev/null || { echo "make: no compiler ($(CC)): run 'sudo make deps'" >&2; exit 1; }
	@command -v pkg-config >/dev/null || { echo "make: no pkg-config: run 'sudo make deps'" >&2; exit 1; }
	@for p in $(PKGS); do pkg-config --exists $$p || m="$$m $$p"; done; \
	 [ -z "$$m" ] || { echo "make: missing libraries:$$m: run 'sudo make deps'" >&2; exit 1; }

# ---- tests ---------------------------------------------------------------------------------------

TESTS :=
# name, folder, sources, libraries
define test
TESTS += $(B)/tests/$(2)/$(1)
$(B)/tests/$(2)/$(1): $(call objs,tests/$(2)/$(1).c $(3))
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(ALL_LDFLAGS) -o $$@ $$^ $$(call lib,cmocka $(4))
endef

# Programs that scripts use: built with the tests, not run as one.
HELPERS :=
define helper # name, folder, sources, libraries
HELPERS += $(B)/tests/$(2)/$(1)
$(B)/tests/$(2)/$(1): $(call objs,tests/$(2)/$(1).c $(3))
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(ALL_LDFLAGS) -o $$@ $$^ $$(call lib,$(4))
endef

IP := common/ip.c common/err.c

$(eval $(call helper,aead,bench,enclave/aead.c,libsodium libgcrypt))
$(eval $(call helper,without,net))
# Loaded into a program, not linked with it.
HELPERS += $(B)/tests/net/lacking.so
$(B)/tests/net/lacking.so: tests/net/lacking.c
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -fPIC -shared -o $@ $<
$(eval $(call helper,flood,net,common/mac.c common/wire.c common/cred.c common/err.c,libsodium))
$(eval $(call test,test_netobject,unit,netlink/object.c common/ip.c))
$(eval $(call test,test_firewall,unit,netlink/firewall.c netlink/object.c common/ip.c))
REAL_RIG := tests/net/reconcile_rig.c tests/net/witness.c tests/net/netns.c $(NETLINK) $(IP)
$(eval $(call test,test_reconcile_drift,net,$(REAL_RIG),libnl-3.0))
$(eval $(call test,test_reconcile_killed,net,$(REAL_RIG),libnl-3.0))
$(eval $(call test,test_reconcile_others,net,$(REAL_RIG),libnl-3.0))
ENGINE_RIG := tests/unit/reconcile_rig.c tests/unit/fake_kernel.c $(NET_PURE) $(NET_ENGINE) $(IP)
$(eval $(call test,test_reconcile_random,unit,$(ENGINE_RIG)))
$(eval $(call test,test_reconcile_drift,unit,$(ENGINE_RIG)))
$(eval $(call test,test_reconcile_obstacles,unit,$(ENGINE_RIG)))
$(eval $(call test,test_no_memory,unit,tests/unit/fake_kernel.c $(NET_PURE) $(NET_ENGINE) $(IP)))
$(eval $(call test,test_keeper,unit,tests/unit/fake_kernel.c daemon/keeper.c netlink/status_json.c $(NET_PURE) $(NET_ENGINE) $(IP),jansson))
MEMORY_WRAP := -Wl,--wrap=calloc,--wrap=malloc,--wrap=realloc,--wrap=reallocarray,--wrap=strdup
$(B)/tests/unit/test_no_memory $(B)/tests/unit/test_keeper: ALL_LDFLAGS += $(MEMORY_WRAP)
$(eval $(call test,test_plan,unit,tests/unit/fake_kernel.c $(NET_PURE) $(NET_ENGINE) $(IP)))
$(eval $(call test,test_netset,unit,$(NET_PURE) $(IP)))
NFT_PURE := netlink/firewall.c netlink/object.c netlink/nft_expr.c netlink/nft_msg.c \
            netlink/nft_read.c netlink/nft_read_expr.c netlink/msg.c
$(eval $(call test,test_nft_msg,unit,$(NFT_PURE) $(IP),libnl-3.0))
$(eval $(call test,test_sysctl_keep,net,tests/net/netns.c netlink/sysctl_keep.c netlink/sysctl.c common/err.c))
NFT_RIG := tests/net/nft_rig.c tests/net/netns.c $(NETLINK) $(IP)
$(eval $(call test,test_nft,net,$(NFT_RIG),libnl-3.0 libcap-ng))
$(eval $(call test,test_nft_others,net,$(NFT_RIG),libnl-3.0 libcap-ng))
NETLINK_RIG := tests/net/netlink_rig.c tests/net/netns.c $(NETLINK) $(IP)
$(eval $(call test,test_conn,net,$(NETLINK_RIG),libnl-3.0 libcap-ng))
$(eval $(call test,test_device,net,$(NETLINK_RIG),libnl-3.0 libcap-ng))
$(eval $(call test,test_route,net,$(NETLINK_RIG),libnl-3.0 libcap-ng))
$(eval $(call test,test_rule,net,$(NETLINK_RIG),libnl-3.0 libcap-ng))
TRAFFIC_RIG := tests/net/traffic_rig.c tests/net/netns.c tests/net/witness.c $(NETLINK) $(IP)
$(eval $(call test,test_qdisc,net,$(TRAFFIC_RIG),libnl-3.0))
$(eval $(call test,test_filter,net,$(TRAFFIC_RIG),libnl-3.0))
HS := enclave/handshake.c enclave/hs_initiator.c enclave/hs_limit.c enclave/hs_seen.c \
      enclave/hs_users.c enclave/hs_handles.c enclave/hs_payload.c enclave/challenge.c \
      enclave/noise.c common/wire.c common/mac.c common/cred.c common/bucket.c common/err.c

$(eval $(call helper,handshakes,bench,$(HS) common/clock.c,libsodium))

$(eval $(call test,test_wire,unit,common/wire.c))
$(eval $(call test,test_mac,unit,common/mac.c common/wire.c,libsodium))
$(eval $(call test,test_cred,unit,common/cred.c common/err.c,libsodium))
$(eval $(call test,test_replay,unit,enclave/replay.c))
$(eval $(call test,test_aead,unit,enclave/aead.c,libsodium libgcrypt))
$(eval $(call test,test_noise,unit,enclave/noise.c,libsodium libgcrypt))
$(eval $(call test,test_handshake,unit,$(HS),libsodium))
$(eval $(call test,test_hs_replay,unit,$(HS),libsodium))
$(eval $(call test,test_hs_table,unit,$(HS),libsodium))

$(eval $(call test,test_rekey,unit,$(HS) $(ENCLAVE_CORE) enclave/aead.c enclave/replay.c \
    common/ipc.c common/ring.c common/bell.c common/inner.c common/control.c common/ip.c,libsodium libgcrypt))
$(eval $(call test,test_icmp,unit,daemon/datapath/icmp.c daemon/datapath/checksum.c common/inner.c common/ip.c))
$(eval $(call test,test_gso,unit,daemon/datapath/gso.c daemon/datapath/checksum.c))
COALESCE_RIG := tests/unit/coalesce_rig.c daemon/datapath/coalesce.c daemon/datapath/gso.c daemon/datapath/checksum.c
$(eval $(call test,test_coalesce,unit,$(COALESCE_RIG)))
$(eval $(call test,test_coalesce_mix,unit,$(COALESCE_RIG)))
$(eval $(call test,test_superpackets,net,tests/net/tun_wire.c daemon/datapath/coalesce.c daemon/datapath/gso.c daemon/datapath/checksum.c))
$(eval $(call test,test_offload,unit,daemon/datapath/offload.c common/err.c))
# Beside lane.c, which its test and its fuzzer include.
LANE_REST := $(filter-out daemon/datapath/lane.c,$(DATAPATH)) enclave/link.c common/ring.c common/bell.c \
             common/ipc.c common/clock.c common/inner.c common/control.c common/ip.c common/mac.c \
             common/wire.c common/err.c common/log.c common/text.c common/bucket.c common/cred.c \
             enclave/spawner.c common/process.c $(NETLINK)
$(eval $(call test,test_lane,unit,$(LANE_REST),$(SERVER_LIBS)))
$(eval $(call test,test_sending,net,tests/net/netns.c daemon/datapath/lane.c $(LANE_REST),$(SERVER_LIBS)))
$(eval $(call test,test_pmtu,unit,daemon/datapath/pmtu.c))
$(eval $(call test,test_peers,unit,daemon/datapath/peers.c common/ip.c))
$(eval $(call test,test_timers,unit,client/timers.c))
$(eval $(call test,test_stale,unit,client/stale.c))
ROUTING_RIG := tests/unit/routing_rig.c client/routing.c $(NET_PURE) $(IP)
$(eval $(call test,test_routing,unit,$(ROUTING_RIG)))
$(eval $(call test,test_routing_full,unit,$(ROUTING_RIG)))
$(eval $(call test,test_trust,unit,client/trust.c client/routing.c $(NET_PURE) $(IP)))
$(eval $(call test,test_helper,unit,common/helper.c client/resolve.c client/dns.c $(IP),libsodium libcares))
$(eval $(call test,test_device_id,unit,client/device_id.c common/err.c))

KEYSTORE := enclave/keystore.c enclave/allow.c enclave/replay.c enclave/transport.c enclave/aead.c

$(eval $(call test,test_ipc,unit,common/ipc.c))
$(eval $(call test,test_ring,unit,common/ring.c common/bell.c))
$(eval $(call test,test_epoch,unit))
$(eval $(call test,test_link,unit,enclave/link.c common/ipc.c common/ring.c common/bell.c common/clock.c common/err.c))
$(eval $(call test,test_inner,unit,common/inner.c common/ip.c common/wire.c))
KEYSTORE_RIG := tests/unit/keystore_rig.c enclave/keystore.c enclave/allow.c enclave/replay.c common/ip.c common/clock.c
$(eval $(call test,test_keystore,unit,$(KEYSTORE_RIG),libsodium))
$(eval $(call test,test_keystore_end,unit,$(KEYSTORE_RIG),libsodium))
$(eval $(call test,test_keystore_allow,unit,$(KEYSTORE_RIG),libsodium))
TRANSPORT_RIG := tests/unit/transport_rig.c $(KEYSTORE) common/ip.c common/clock.c common/control.c \
                 common/inner.c common/wire.c
$(eval $(call test,test_transport,unit,$(TRANSPORT_RIG),libsodium libgcrypt))
$(eval $(call test,test_transport_refused,unit,$(TRANSPORT_RIG),libsodium libgcrypt))
$(eval $(call test,test_transport_inner,unit,$(TRANSPORT_RIG),libsodium libgcrypt))

$(eval $(call test,test_worker,unit,enclave/worker.c $(KEYSTORE) common/ring.c common/ip.c common/clock.c common/control.c common/inner.c common/wire.c,libsodium libgcrypt))

RIG := tests/enclave/rig.c tests/enclave/peer.c tests/enclave/tracer.c tests/enclave/scan.c \
       tests/enclave/daemon.c $(DOOR) $(HS) enclave/aead.c common/ipc.c common/ring.c common/bell.c common/clock.c \
       common/process.c common/log.c common/text.c common/ip.c
RIG_LIBS := libsodium libgcrypt libcap-ng

$(eval $(call test,test_syscalls,enclave,$(RIG),$(RIG_LIBS)))
$(eval $(call test,test_hostile_message,enclave,$(RIG),$(RIG_LIBS)))
$(eval $(call test,test_hostile_request,enclave,$(RIG),$(RIG_LIBS)))
$(eval $(call test,test_hostile_grant,enclave,$(RIG),$(RIG_LIBS)))
$(eval $(call test,test_hostile_setup,enclave,$(RIG),$(RIG_LIBS)))
$(eval $(call test,test_hostile_ring,enclave,$(RIG),$(RIG_LIBS)))
$(eval $(call test,test_wipe,enclave,$(RIG),$(RIG_LIBS)))
$(eval $(call test,test_secrets,enclave,$(RIG),$(RIG_LIBS)))
$(eval $(call test,test_secrets_client,enclave,$(RIG),$(RIG_LIBS)))

CONF := $(IP) common/cred.c $(COMMON_CONF)

$(eval $(call test,test_admission,unit,daemon/admission.c common/bucket.c,libsodium))
$(eval $(call test,test_ip,unit,common/ip.c))
QOS_WORLD := tests/unit/qos_world.c $(CONF) $(CONFIG) $(QOS) $(NET_PURE)
$(eval $(call test,test_qos,unit,$(QOS_WORLD),yaml-0.1 libsodium))
$(eval $(call test,test_qos_rates,unit,$(QOS_WORLD),yaml-0.1 libsodium))
$(eval $(call helper,qoscost,bench,$(CONF) $(CONFIG) $(QOS) $(filter-out $(CONF),$(NETLINK)),yaml-0.1 libsodium libnl-3.0))
$(eval $(call helper,qosload,bench,common/ip.c))
$(eval $(call test,test_shaping,net,tests/net/netns.c tests/net/witness.c $(QOS_WORLD) $(filter-out $(QOS_WORLD),$(NETLINK)), \
    yaml-0.1 libsodium libnl-3.0))
$(eval $(call test,test_rate,unit,common/rate.c common/err.c))
$(eval $(call test,test_tc,unit,netlink/tc.c common/ip.c))
$(eval $(call test,test_tc_parse,unit,$(NETLINK) $(IP),libnl-3.0))
$(eval $(call test,test_trie,unit,daemon/datapath/lookup.c daemon/datapath/trie.c common/ip.c))
$(eval $(call test,test_control,unit,common/control.c common/ip.c))
$(eval $(call test,test_pushed,unit,client/pushed.c common/ip.c))
$(eval $(call test,test_log,unit,common/log.c common/text.c common/err.c))
$(eval $(call test,test_text,unit,common/text.c common/err.c))
$(eval $(call test,test_arena,unit,common/arena.c))
$(eval $(call test,test_yaml,unit,$(CONF),yaml-0.1 libsodium))
$(eval $(call test,test_bundle,unit,$(CONF),yaml-0.1 libsodium))
$(eval $(call test,test_value,unit,common/value.c common/cred.c $(IP),libsodium))
$(eval $(call test,test_schema,unit,$(CONF),yaml-0.1 libsodium))
$(eval $(call test,test_config,unit,$(CONF) $(CONFIG),yaml-0.1 libsodium))
$(eval $(call test,test_users,unit,$(CONF) $(CONFIG) daemon/users.c,yaml-0.1 libsodium))
LEASE_RIG := tests/unit/lease_rig.c $(CONF) $(CONFIG) $(LEASE)
$(eval $(call test,test_lease,unit,$(LEASE_RIG),yaml-0.1 libsodium))
$(eval $(call test,test_lease_random,unit,$(LEASE_RIG),yaml-0.1 libsodium))
$(eval $(call test,test_session,unit,daemon/session.c daemon/session_path.c daemon/login.c daemon/admission.c common/bucket.c \
    daemon/datapath/peers.c daemon/users.c common/mac.c common/wire.c common/ipc.c common/log.c \
    $(CONF) $(CONFIG) $(LEASE),yaml-0.1 libsodium jansson))
$(eval $(call test,test_guard,unit,client/firewall.c $(NET_PURE) $(IP)))
$(eval $(call test,test_neighbours,unit,client/neighbours.c client/ability.c $(NET_PURE) $(IP)))
$(eval $(call test,test_lower,unit,$(CONF) $(CONFIG) daemon/firewall.c netlink/firewall.c netlink/object.c,yaml-0.1 libsodium))
$(eval $(call test,test_networks,unit,daemon/networks.c common/ip.c))
$(eval $(call test,test_netfilter,unit,daemon/netfilter.c daemon/firewall.c netlink/firewall.c netlink/object.c $(IP),jansson))
LEASE_STORE_RIG := tests/unit/lease_store_rig.c tests/unit/sqlite_shim.c $(CONF) $(CONFIG) $(LEASE) daemon/lease_store.c
$(eval $(call test,test_lease_store,unit,$(LEASE_STORE_RIG),yaml-0.1 libsodium sqlite3))
$(eval $(call test,test_lease_store_faults,unit,$(LEASE_STORE_RIG),yaml-0.1 libsodium sqlite3))
$(eval $(call test,test_roster,unit,daemon/roster.c common/mac.c common/wire.c common/ip.c common/err.c,libsodium))
$(eval $(call test,test_reload,unit,$(CONF) $(CONFIG) daemon/config_keep.c $(LEASE),yaml-0.1 libsodium))
$(eval $(call test,test_desired,unit,$(CONF) $(CONFIG) daemon/desired.c daemon/config_diff.c daemon/config_keep.c \
    daemon/users.c daemon/firewall.c $(filter-out $(IP),$(NET_PURE)),yaml-0.1 libsodium jansson))
$(eval $(call test,test_history,unit,$(CONF) daemon/history.c daemon/history_file.c daemon/history_record.c,yaml-0.1 libsodium jansson))
$(eval $(call test,test_profile,unit,$(CONF) $(PROFILE),yaml-0.1 libsodium))
$(eval $(call test,test_init,unit,$(CONF) $(CONFIG) daemon/init.c,yaml-0.1 libsodium))
$(eval $(call test,test_ctl,unit,common/ctl.c common/ctl_call.c common/ctl_server.c common/err.c,jansson))
$(eval $(call test,test_ctl_call,unit,common/ctl.c common/ctl_call.c common/ctl_server.c common/err.c,jansson))
$(eval $(call test,test_schema_json,unit,common/schema_json.c $(CONF) $(CONFIG) $(PROFILE),yaml-0.1 libsodium jansson))
$(eval $(call test,test_render,unit,client/render.c common/text.c,jansson))

# How each suite is run: tests/run prints TAP and a closing summary.
UNIT_TESTS    = $(filter $(B)/tests/unit/%,$(TESTS))
ENCLAVE_TESTS = $(filter $(B)/tests/enclave/%,$(TESTS))
NET_TESTS     = $(filter $(B)/tests/net/%,$(TESTS))
RUN = VPN_BIN=$(abspath $(BIN)) VPN_SANITIZE='$(SANITIZE)' VPN_BUILD=$(abspath $(B)) tests/run
TEST_JOBS ?= 1

.PHONY: all tests check check-threads test test-quick test-measuring soak demo deps install lint fuzz bench bench-sessions clean

tests: $(TESTS) $(HELPERS)

check: $(UNIT_TESTS)
	$(Q)$(RUN) -j $(TEST_JOBS) tests/layers.sh tests/bench/check.sh $(UNIT_TESTS)

# The whole suite: units, sealed process, namespaces, the sanitizers; static checks and fuzzers beside.
test: deps
	$(Q)+tests/suite

# ThreadSanitizer sees one process: the rings are tested with the worker as a thread.
# Its runtime of gcc 12 does not know pthread_clockjoin_np() and takes joined threads for leaks.
check-threads: $(UNIT_TESTS)
	$(Q)TSAN_OPTIONS=report_thread_leaks=0 $(RUN) -j $(TEST_JOBS) $(UNIT_TESTS)

test-quick: all tests
	$(Q)$(RUN) -j $(TEST_JOBS) tests/layers.sh tests/bench/check.sh $(UNIT_TESTS) $(ENCLAVE_TESTS) $(NET_TESTS) \
	    $(filter-out $(if $(APART),$(MEASURING)),$(NET_SCRIPTS))

test-measuring: all tests
	$(Q)$(RUN) $(MEASURING)

NET_SCRIPTS := $(sort $(wildcard tests/net/*.sh))
NET_SCRIPTS := $(filter-out tests/net/lib.sh,$(NET_SCRIPTS))
# Those that measure: the whole suite runs them at its end, with nothing beside them (APART=1).
MEASURING := $(shell grep -l '^. exclusive:' $(NET_SCRIPTS))

# The tunnel's tests with each offload alone and with none (make test has them all on); a kernel
# without one fails its turn.  Those that measure say nothing of offloads that 50-offloads.sh does not.
OFFLOADS := none tun-tso tun-uso tun-gro udp-segment udp-gro
OFFLOAD_SCRIPTS = $(filter-out $(MEASURING),$(filter tests/net/0%.sh tests/net/10% tests/net/11%,$(NET_SCRIPTS)))
.PHONY: test-offloads
test-offloads: all tests
	$(Q)$(RUN) -j $(TEST_JOBS) $(foreach o,$(OFFLOADS),VPN_OFFLOADS=$(o) $(OFFLOAD_SCRIPTS))

# What needs real time: minutes each.
soak: all tests
	$(Q)VPN_TEST_TIMEOUT=7200 $(RUN) $(sort $(wildcard tests/soak/*.sh))

# In one guest with Debian's kernel (VM_KERNEL=backports for the newer one); the rig itself first.
VM_KERNEL ?= stable
VM_TESTS = $(sort $(wildcard tests/vm/*.sh)) $(B)/tests/enclave/test_syscalls $(NET_TESTS) tests/net/01-tunnel.sh
VM_TESTS += tests/net/40-qos.sh

.PHONY: test-vm
test-vm: deps
	$(Q)+$(MAKE) --no-print-directory all tests
	$(Q)VPN_TEST_TIMEOUT=1200 $(RUN) tests/vm/rig tests/vm/clock
	$(Q)VPN_TEST_TIMEOUT=1200 VPN_BIN=$(abspath $(BIN)) VPN_BUILD=$(abspath $(B)) \
	    tests/vm/run -k $(VM_KERNEL) -t 3600 tests/run $(VM_TESTS)

demo: deps
	$(Q)+$(MAKE) --no-print-directory all
	$(Q)VPN_BIN=$(abspath $(BIN)) tests/demo

# ---- packages ------------------------------------------------------------------------------------

DEPS := gcc make pkg-config libsodium-dev libgcrypt20-dev libseccomp-dev libnl-3-dev libyaml-dev \
        libjansson-dev libcap-ng-dev libcmocka-dev iproute2 iputils-ping perl procps
DEPS += nftables conntrack
DEPS += libsqlite3-dev
DEPS += libc-ares-dev
DEPS_TEST := clang clang-format clang-tidy cppcheck iperf3 socat strace gdb man-db

deps:
	$(Q)packaging/deps $(DEPS) $(DEPS_TEST)

# ---- static checks ---------------------------------------------------------------------------------

C_FILES = $(sort $(wildcard common/*.c netlink/*.c enclave/*.c daemon/*.c daemon/datapath/*.c client/*.c))
ALL_C_FILES = $(C_FILES) $(sort $(wildcard tests/*/*.c))
H_FILES = $(sort $(wildcard common/*.h netlink/*.h enclave/*.h daemon/*.h daemon/datapath/*.h client/*.h tests/*/*.h))

# The analyzer leaves a function after so many states (its own limit, 225000, takes twice the time).
TIDY_LIMIT := -Xclang -analyzer-config -Xclang max-nodes=100000

lint:
	$(Q)clang-format --dry-run --Werror $(ALL_C_FILES) $(H_FILES)
	$(Q)cppcheck --quiet --error-exitcode=1 --std=c11 --inline-suppr -j 2 -D_GNU_SOURCE -DHAVE_GCRYPT \
	    --enable=warning,portability,performance --suppressions-list=tests/cppcheck.supp -I . $(C_FILES)
	$(Q)printf '%s\n' $(C_FILES) | xargs -P 2 -I{} clang-tidy --quiet --warnings-as-errors='*' {} -- \
	    -std=gnu11 -D_GNU_SOURCE -DHAVE_GCRYPT -iquote . $(TIDY_LIMIT) \
	    $(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(PKGS))) 2>/dev/null

# ---- fuzzers (clang, libFuzzer) --------------------------------------------------------------------

FUZZ_SECONDS ?= 600
FUZZ_JOBS ?= $(shell nproc)
FUZZ_CFLAGS = -std=gnu11 -D_GNU_SOURCE -DHAVE_GCRYPT -iquote . -g -O1 -pthread \
              -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined \
              $(shell pkg-config --cflags $(PKGS))
fuzz_objs = $(patsubst %.c,build-fuzz/%.o,$(1))
FUZZERS :=
# name, sources, libraries
define fuzzer
FUZZERS += build-fuzz/$(1)
build-fuzz/$(1): $(call fuzz_objs,tests/fuzz/$(1).c $(2))
	$$(call say,FUZZ,$$@)
	$$(Q)clang -fsanitize=fuzzer,address,undefined -pthread -o $$@ $$^ $$(call lib,$(3))
endef

build-fuzz/%.o: %.c | missing
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)clang $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<

$(eval $(call fuzzer,fuzz_wire,common/wire.c common/mac.c,libsodium))
$(eval $(call fuzzer,fuzz_control,common/control.c common/ip.c))
$(eval $(call fuzzer,fuzz_handshake,$(HS),libsodium))
$(eval $(call fuzzer,fuzz_ipc,enclave/dispatch.c enclave/keystore.c enclave/allow.c enclave/replay.c $(HS) common/ip.c common/clock.c common/ipc.c,libsodium))
$(eval $(call fuzzer,fuzz_ring,enclave/worker.c enclave/transport.c enclave/keystore.c enclave/allow.c enclave/replay.c enclave/aead.c enclave/end.c enclave/secret.c common/ring.c common/bell.c common/clock.c common/control.c common/inner.c common/wire.c common/ip.c common/err.c,libsodium libgcrypt))
$(eval $(call fuzzer,fuzz_transport,enclave/transport.c enclave/keystore.c enclave/allow.c enclave/replay.c enclave/aead.c common/control.c common/inner.c common/wire.c common/ip.c common/err.c,libsodium libgcrypt))
$(eval $(call fuzzer,fuzz_gso,daemon/datapath/gso.c daemon/datapath/coalesce.c daemon/datapath/checksum.c common/inner.c common/ip.c common/wire.c))
$(eval $(call fuzzer,fuzz_yaml,$(CONF) $(CONFIG) $(PROFILE),yaml-0.1 libsodium))
$(eval $(call fuzzer,fuzz_ctl,common/ctl.c common/ctl_server.c common/err.c,jansson))

$(eval $(call fuzzer,fuzz_netlink,$(NETLINK) $(IP),libnl-3.0))
$(eval $(call fuzzer,fuzz_nft,$(NFT_PURE) $(IP),libnl-3.0))
$(eval $(call fuzzer,fuzz_lane,$(LANE_REST),$(SERVER_LIBS)))

# The whole server but its main() and its spawner.
$(eval $(call fuzzer,fuzz_link,$(filter-out daemon/main.c enclave/spawner.c,$(SERVER_SRC)),$(SERVER_LIBS)))

fuzzers: $(FUZZERS)
fuzz: $(FUZZERS)
	$(Q)tests/fuzz/run -j $(FUZZ_JOBS) $(FUZZ_SECONDS) $(FUZZERS)

# Against wireguard-go, OpenVPN and the bare veth, in turn; BENCH are options of tests/bench/run.
bench: all $(B)/tests/bench/aead
	$(Q)VPN_BIN=$(abspath $(BIN)) VPN_BUILD=$(abspath $(B)) tests/bench/run $(BENCH)

# Beside the kernel's own WireGuard, in the VM: its processor is emulated, so ratios alone say something.
VM_PEERS := veth,ours,wireguard-go,wireguard
.PHONY: bench-vm
bench-vm: all $(B)/tests/bench/aead
	$(Q)tests/bench/run --fetch --peers $(VM_PEERS)
	$(Q)mkdir -p $(B)/bench-vm
	$(Q)VPN_BIN=$(abspath $(BIN)) VPN_BUILD=$(abspath $(B)) tests/vm/run -k $(VM_KERNEL) -w $(B)/bench-vm \
	    tests/bench/run --quick --pps 2000 --peers $(VM_PEERS) --out $(abspath $(B))/bench-vm $(BENCH)

# One user of 10,000 changed, from vpnctl's start to its end.
.PHONY: bench-apply
bench-apply: all
	$(Q)VPN_BIN=$(abspath $(BIN)) tests/bench/apply

# The engine alone, on a real kernel in a namespace: times of a first apply, of nothing to do.
$(eval $(call helper,netlink,bench,$(NETLINK) $(IP),libnl-3.0))
.PHONY: bench-netlink
bench-netlink: $(B)/tests/bench/netlink
	$(Q)$<

# Users' rates, in the VM with the real fq_codel: against no QoS and tc by hand, 10 users and 200;
# and what a packet costs by the number of users.  BENCH are options of tests/bench/qos.
.PHONY: bench-qos
bench-qos: all tests
	$(Q)VPN_BIN=$(abspath $(BIN)) VPN_BUILD=$(abspath $(B)) tests/bench/qos $(BENCH)
	$(Q)VPN_BIN=$(abspath $(BIN)) VPN_BUILD=$(abspath $(B)) tests/bench/qos -u 200 --no-picture $(BENCH)
	$(Q)$(B)/tests/bench/qoscost

# Logins, memory and the price of a packet beside many sessions; BENCH are the numbers of them.
bench-sessions: all
	$(Q)VPN_BIN=$(abspath $(BIN)) tests/bench/sessions $(BENCH)

# Full handshakes a second of one core, and logins beside a stream at full speed.
.PHONY: bench-handshakes
bench-handshakes: all $(B)/tests/bench/handshakes
	$(Q)VPN_BIN=$(abspath $(BIN)) VPN_BUILD=$(abspath $(B)) tests/bench/handshakes $(BENCH)

# ---- install ---------------------------------------------------------------------------------------

install: all
	install -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(BINDIR) $(DESTDIR)$(MANDIR)/man8 $(DESTDIR)$(MANDIR)/man5 \
	    $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSUSERS) $(DESTDIR)$(TMPFILES) $(DESTDIR)/etc/vpn \
	    $(DESTDIR)/etc/iproute2/rt_protos.d $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
	    $(DESTDIR)$(PREFIX)/share/doc/vpn
	install -m 755 $(BIN)/vpn-server $(BIN)/vpn-enclave $(BIN)/vpn-client $(DESTDIR)$(SBINDIR)
	install -m 755 $(BIN)/vpnctl $(DESTDIR)$(BINDIR)
	install -m 644 etc/vpn.yaml etc/client.yaml README.md LICENSE $(DESTDIR)$(PREFIX)/share/doc/vpn
	install -m 644 packaging/man/*.8 $(DESTDIR)$(MANDIR)/man8
	install -m 644 packaging/man/*.5 $(DESTDIR)$(MANDIR)/man5
	for u in packaging/*.service; do \
	    sed 's|/usr/sbin/|$(SBINDIR)/|g; s|/usr/bin/vpnctl|$(BINDIR)/vpnctl|g' $$u > $(DESTDIR)$(UNITDIR)/$${u##*/}; done
	install -m 644 packaging/sysusers.d/vpn.conf $(DESTDIR)$(SYSUSERS)
	install -m 644 packaging/tmpfiles.d/vpn.conf $(DESTDIR)$(TMPFILES)
	install -m 644 packaging/rt_protos.d/vpn.conf $(DESTDIR)/etc/iproute2/rt_protos.d
	install -m 644 packaging/completions/vpnctl $(DESTDIR)$(PREFIX)/share/bash-completion/completions

# What was built; not build-vm/, which was downloaded.
clean:
	rm -rf bin build $(filter-out build-vm,$(wildcard build-*))

-include $(shell find build* -name '*.d' -type f 2>/dev/null)
