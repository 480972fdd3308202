/* Our table of nf_tables in the kernel; see nft.h. */
#include "netlink/nft.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netlink/msg.h>

#include "common/cleanup.h"
#include "netlink/batch.h"
#include "netlink/conn.h"
#include "netlink/msg.h"
#include "netlink/nft_msg.h"

#define NFT_TRIES 16

/* ---- reading --------------------------------------------------------------------------------- */

static int ask(struct net_conn *conn, struct nl_msg *msg, net_each *each, void *ctx,
               struct err *err)
{
    int rc = msg ? net_query(conn, msg, each, ctx, err) : err_set(err, -ENOMEM, "out of memory");

    nlmsg_free(msg);
    return rc;
}

static int list(struct net_conn *conn, struct nl_msg *msg, net_each *each, void *ctx,
                struct err *err)
{
    int rc = msg ? net_dump(conn, msg, 0, each, ctx, err) : err_set(err, -ENOMEM, "out of memory");

    nlmsg_free(msg);
    return rc;
}

static int each_gen(const struct nlmsghdr *nlh, void *ctx)
{
    return net_nft_read_gen(nlh, ctx);
}

static int each_table(const struct nlmsghdr *nlh, void *ctx)
{
    return net_nft_read_table(nlh, ctx);
}

struct chains {
    struct net_firewall *fw;
    unsigned int seen;
};

static int each_chain(const struct nlmsghdr *nlh, void *ctx)
{
    struct chains *chains = ctx;

    return net_nft_read_chain(nlh, chains->fw, &chains->seen);
}

static int each_rule(const struct nlmsghdr *nlh, void *ctx)
{
    return net_nft_read_rule(nlh, ctx);
}

/* Where nobody has registered the subsystem, its messages are invalid. */
static int get_gen(struct net_conn *conn, struct net_nft_gen *gen, struct err *err)
{
    int rc = ask(conn, net_nft_msg_get_gen(), each_gen, gen, err);

    if (rc == -EINVAL || rc == -EOPNOTSUPP)
        return err_set(err, -EOPNOTSUPP, "this kernel has no nf_tables (module nf_tables)");
    return rc;
}

/* Chains follow from the rules, so one without any is somebody else's. */
static void check_chains(const struct chains *chains)
{
    unsigned int used = 0;

    for (size_t i = 0; i < chains->fw->n; i++)
        used |= 1U << chains->fw->rules[i].chain;
    if (used != chains->seen || used == 0)
        chains->fw->has_more = true;
}

/* The table of one family.  Return: 1, or 0 when there is none. */
static int read_family(struct net_conn *conn, uint8_t family, struct net_firewall *fw,
                       struct err *err)
{
    struct chains chains = {.fw = fw};
    int rc = ask(conn, net_nft_msg_get_table(family, fw->table), each_table, fw, err);

    if (rc == -ENOENT)
        return 0;
    if (rc == 0)
        rc = list(conn, net_nft_msg_get_chains(family), each_chain, &chains, err);
    if (rc == 0)
        rc = list(conn, net_nft_msg_get_rules(family, fw->table), each_rule, fw, err);
    if (rc == 0)
        check_chains(&chains);
    return rc < 0 ? rc : 1;
}

static int append(struct net_firewall *fw, const struct net_firewall *part)
{
    int rc = 0;

    fw->has_more = fw->has_more || part->has_more;
    for (size_t i = 0; rc == 0 && i < part->n; i++)
        rc = net_firewall_add(fw, &part->rules[i]);
    if (rc == -ENOSPC) {
        fw->has_more = true;
        rc = 0;
    }
    return rc;
}

/*
 * The tables of all families as one.  Whose it is, the first says; one of another family that is
 * not @owner's is no part of it, whatever the first is.  @present: a bit for each that is.
 */
static int read_table(struct net_conn *conn, const char *owner, struct net_firewall *fw,
                      unsigned int *present, struct err *err)
{
    int rc = 0;

    *present = 0;
    fw->arp_taken = false;
    for (size_t i = 0; rc >= 0 && i < NET_NFT_FAMILIES; i++) {
        _cleanup_(net_firewall_clear) struct net_firewall part = {.n = 0};

        memcpy(part.table, fw->table, sizeof(part.table));
        rc = read_family(conn, net_nft_families[i], &part, err);
        if (rc <= 0)
            continue;
        if (i > 0 && strcmp(part.owner, owner) != 0) {
            fw->arp_taken = true;
            continue;
        }
        /* One of ours beside somebody else's first one is neither's. */
        if (*present && strcmp(part.owner, fw->owner) != 0)
            continue;
        *present |= 1U << i;
        memcpy(fw->owner, part.owner, sizeof(fw->owner));
        rc = append(fw, &part);
    }
    return rc < 0 ? rc : 0;
}

/* A callback has no words of its own. */
static int explain(const char *table, int rc, struct err *err)
{
    if (rc == -EBADMSG)
        err_set(err, rc, "the kernel's description is malformed");
    else if (rc == -ENOMEM)
        err_set(err, rc, "out of memory");
    return err_prefix(err, rc, "reading the tables %s: ", table);
}

static int get(struct net_conn *conn, struct net_firewall *fw, unsigned int *present,
               struct net_nft_gen *gen, struct err *err)
{
    struct net_nft_gen before = {0}, after = {0};
    char owner[NET_FW_NAME_SIZE];

    memcpy(owner, fw->owner, sizeof(owner));

    for (int i = 0; i < NFT_TRIES; i++) {
        int rc = get_gen(conn, &before, err);

        net_firewall_clear(fw);
        fw->owner[0] = '\0';
        if (rc == 0)
            rc = read_table(conn, owner, fw, present, err);
        /* A chain or the table itself went while it was read. */
        if (rc == -ENOENT)
            continue;
        if (rc == 0)
            rc = get_gen(conn, &after, err);
        if (rc < 0)
            return explain(fw->table, rc, err);
        if (before.id == after.id) {
            *gen = after;
            return 0;
        }
    }
    return err_set(err, -EAGAIN, "reading the tables %s: they kept changing", fw->table);
}

int net_nft_get(struct net_conn *conn, struct net_firewall *fw, struct net_nft_gen *gen,
                struct err *err)
{
    struct net_nft_gen found = {0};
    unsigned int present;
    int rc = get(conn, fw, &present, &found, err);

    if (rc == 0 && gen)
        *gen = found;
    return rc;
}

/* ---- writing --------------------------------------------------------------------------------- */

struct batch {
    struct nl_msg **msgs;
    size_t n, size;
    size_t first_rule; /* index of its message */
};

static void batch_clear(struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++)
        nlmsg_free(batch->msgs[i]);
    free(batch->msgs);
    *batch = (struct batch){0};
}

/* Takes @msg, which may be NULL: out of memory. */
static int batch_add(struct batch *batch, struct nl_msg *msg)
{
    if (!msg)
        return -ENOMEM;
    batch->msgs[batch->n++] = msg;
    return 0;
}

static bool has_family(const struct net_firewall *fw, uint8_t family)
{
    for (size_t i = 0; i < fw->n; i++)
        if (net_nft_chains[fw->rules[i].chain].family == family)
            return true;
    return false;
}

/* Those that are there go, those that are wanted come. */
static int batch_tables(struct batch *batch, const struct net_firewall *want, unsigned int present)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < NET_NFT_FAMILIES; i++) {
        const uint8_t family = net_nft_families[i];

        if (present & 1U << i)
            rc = batch_add(batch, net_nft_msg_del_table(family, want->table));
        if (rc == 0 && has_family(want, family))
            rc = batch_add(batch, net_nft_msg_new_table(family, want));
    }
    return rc;
}

/* Begin, removal, tables, chains, rules, end. */
static int batch_build(struct batch *batch, const struct net_firewall *want, unsigned int present,
                       uint32_t gen)
{
    unsigned int made = 0;
    int rc;

    batch->size = 2 + 2 * NET_NFT_FAMILIES + NET_FW_CHAIN_NUM + want->n;
    batch->msgs = calloc(batch->size, sizeof(struct nl_msg *));
    if (!batch->msgs)
        return -ENOMEM;
    rc = batch_add(batch, net_nft_msg_begin(gen));
    if (rc == 0)
        rc = batch_tables(batch, want, present);
    for (size_t i = 0; rc == 0 && i < want->n; i++) {
        const enum net_fw_chain chain = want->rules[i].chain;

        if (!(made & 1U << chain))
            rc = batch_add(batch, net_nft_msg_new_chain(want->table, chain));
        made |= 1U << chain;
    }
    batch->first_rule = batch->n;
    for (size_t i = 0; rc == 0 && i < want->n; i++)
        rc = batch_add(batch, net_nft_msg_new_rule(want->table, &want->rules[i]));
    if (rc == 0)
        rc = batch_add(batch, net_nft_msg_end());
    return rc;
}

/* Which part of the kernel a rule needs that a small one may lack. */
static const char *rule_module(const struct net_fw_rule *rule)
{
    if (rule->routed_to[0] || rule->wrong_way || rule->to_local)
        return "nft_fib_inet";
    if (rule->action == NET_FW_MASQUERADE)
        return "nft_masq";
    return rule->action == NET_FW_NOTRACK ? "nft_ct" : "nf_tables";
}

static int refused(const struct net_firewall *want, const struct batch *batch, size_t failed,
                   int rc, struct err *err)
{
    char text[NET_FW_FORMAT_SIZE];
    const bool lacks = rc == -ENOENT || rc == -EOPNOTSUPP || rc == -EAFNOSUPPORT;

    if (failed >= batch->first_rule && failed - batch->first_rule < want->n) {
        const struct net_fw_rule *rule = &want->rules[failed - batch->first_rule];

        net_fw_rule_format(rule, text);
        if (lacks)
            return err_set(err, -EOPNOTSUPP, "the kernel lacks what a rule needs (module %s): %s",
                           rule_module(rule), text);
        return err_prefix(err, rc, "the kernel refuses rule %s: ", text);
    }
    if (lacks && failed < batch->n)
        return err_set(err, -EOPNOTSUPP,
                       "the kernel lacks what the table needs (nf_tables with %s)",
                       has_family(want, NFPROTO_ARP) ? "CONFIG_NF_TABLES_ARP"
                                                     : "the module nft_chain_nat");
    return rc;
}

/* @present: the tables that are replaced; @end: false to ask only. */
static int transact(struct net_conn *conn, const struct net_firewall *want, unsigned int present,
                    uint32_t gen, bool end, struct err *err)
{
    struct batch batch = {0};
    int rc = batch_build(&batch, want, present, gen);
    size_t failed;

    if (rc < 0) {
        err_set(err, rc, "out of memory");
    } else {
        rc = net_transaction(conn, batch.msgs, batch.n, end, &failed, err);
        if (rc < 0 && rc != -ERESTART)
            rc = refused(want, &batch, failed, rc, err);
    }
    batch_clear(&batch);
    return rc;
}

static int not_ours(const struct net_firewall *want, const char *family, struct err *err)
{
    return err_set(err, -EEXIST,
                   "table %s %s exists and is not ours, its comment is not \"%s\" (rename it, or "
                   "remove it with: nft delete table %s %s)",
                   family, want->table, want->owner, family, want->table);
}

/* Whatever a table holds, be it nothing. */
static int check_owner(const struct net_firewall *want, const struct net_firewall *have,
                       unsigned int present, struct err *err)
{
    return present && strcmp(want->owner, have->owner) != 0 ? not_ours(want, "inet", err) : 0;
}

static int put_once(struct net_conn *conn, const struct net_firewall *want, struct err *err)
{
    _cleanup_(net_firewall_clear) struct net_firewall have = {0};
    struct net_firewall part = *want;
    struct net_nft_gen gen = {0};
    unsigned int present = 0;
    int rc;

    memcpy(have.table, want->table, sizeof(have.table));
    memcpy(have.owner, want->owner, sizeof(have.owner));
    rc = get(conn, &have, &present, &gen, err);
    if (rc == 0)
        rc = check_owner(want, &have, present, err);
    if (have.arp_taken)
        part.n = net_firewall_others(want);
    if (rc == 0 && part.n == 0 && want->n > 0)
        rc = not_ours(want, "arp", err);
    if (rc < 0 || net_firewall_same(&part, &have))
        return rc;
    rc = transact(conn, &part, present, gen.id, true, err);
    return rc < 0 ? err_prefix(err, rc, "table %s %s: ", net_firewall_family(&part), part.table)
                  : 0;
}

static int check_once(struct net_conn *conn, const struct net_firewall *want, struct err *err)
{
    struct net_firewall probe = *want;
    struct net_nft_gen gen = {0};
    int rc = get_gen(conn, &gen, err);

    if (rc < 0)
        return rc;
    /* Under a name of its own, so that it makes no difference what is there. */
    memcpy(probe.table, "vpn-probe", sizeof("vpn-probe"));
    rc = transact(conn, &probe, 0, gen.id, false, err);
    return rc < 0 ? err_prefix(err, rc, "table %s %s: ", net_firewall_family(want), want->table)
                  : 0;
}

/* Again, while others change the packet filter at the same time. */
static int retry(int (*once)(struct net_conn *, const struct net_firewall *, struct err *),
                 struct net_conn *conn, const struct net_firewall *want, struct err *err)
{
    int rc = -ERESTART;

    for (int i = 0; rc == -ERESTART && i < NFT_TRIES; i++)
        rc = once(conn, want, err);
    if (rc == -ERESTART)
        return err_set(err, -EAGAIN, "table %s %s: the packet filter kept changing",
                       net_firewall_family(want), want->table);
    return rc;
}

int net_nft_put(struct net_conn *conn, const struct net_firewall *want, struct err *err)
{
    return retry(put_once, conn, want, err);
}

int net_nft_check(struct net_conn *conn, const struct net_firewall *want, struct err *err)
{
    return retry(check_once, conn, want, err);
}

int net_nft_able(const struct net_fw_rule *rule, struct err *err)
{
    struct net_firewall fw = {.table = "able", .owner = "able"};
    struct net_conn *conn = NULL;
    int rc = net_conn_open_netfilter(&conn, err);

    if (rc == 0 && net_firewall_add(&fw, rule) < 0)
        rc = err_set(err, -EINVAL, "there can be no such rule");
    if (rc == 0)
        rc = net_nft_check(conn, &fw, err);
    net_firewall_clear(&fw);
    net_conn_close(conn);
    return rc;
}

int net_nft_vacant(const char *table, const char *owner, struct err *err)
{
    _cleanup_(net_firewall_clear) struct net_firewall have = {.n = 0};
    _cleanup_(net_conn_closep) struct net_conn *conn = NULL;
    struct net_firewall want = {.n = 0};
    struct net_nft_gen gen = {0};
    unsigned int present = 0;
    int rc = net_conn_open_netfilter(&conn, err);

    snprintf(want.table, sizeof(want.table), "%s", table);
    snprintf(want.owner, sizeof(want.owner), "%s", owner);
    have = want;
    if (rc == 0)
        rc = get(conn, &have, &present, &gen, err);
    if (rc == 0)
        rc = check_owner(&want, &have, present, err);
    return rc == 0 && have.arp_taken ? not_ours(&want, "arp", err) : rc;
}
