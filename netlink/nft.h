/*
 * Our table of nf_tables in the kernel: read, replaced in one transaction and removed.
 *
 * Theory of operation: nf_tables numbers its states (generations), and a transaction says on which
 * one it builds.  So the table is read between two looks at that number, and what replaces it is
 * refused when anybody changed anything in the meantime: then it is read again.  A replacement
 * removes the table and makes it anew in one transaction; packets see the old rules or the new.
 *
 * A kernel may lack nf_tables, or some of the steps that our rules are made of.  That is
 * -EOPNOTSUPP with a sentence that names the module; nothing else of the VPN depends on it.
 */
#ifndef NETLINK_NFT_H
#define NETLINK_NFT_H

#include "common/err.h"
#include "netlink/firewall.h"
#include "netlink/nft_read.h"

struct net_conn;

/**
 * net_nft_get() - read a table
 * @conn: from net_conn_open_netfilter()
 * @fw:   zeroed but for its table and who should own it, which becomes who does; empty for an
 *        absent one, which has no rules.  net_firewall_clear() it
 * @gen:  the state in which it was; may be NULL
 *
 * Return: 0; -EOPNOTSUPP; -EAGAIN when it kept changing; or -errno.
 */
int net_nft_get(struct net_conn *conn, struct net_firewall *fw, struct net_nft_gen *gen,
                struct err *err);

/**
 * net_nft_put() - make the kernel's table equal to @want
 *
 * Without rules in @want the table is removed.  Nothing is sent when they are equal already.  Rules
 * for ARP are left out when its table is somebody else's: see net_nft_vacant().
 *
 * Return: 0; -EEXIST when the table is somebody else's, or that of ARP and there are no other
 * rules; -EOPNOTSUPP; or -errno, and then nothing was changed.
 */
int net_nft_put(struct net_conn *conn, const struct net_firewall *want, struct err *err);

/**
 * net_nft_check() - would the kernel take these rules?
 *
 * It is asked in a transaction that is never ended, so nothing is changed, and under another name,
 * so that it makes no difference whose table is there.  Return: 0; -EOPNOTSUPP; or -errno when it
 * could not be found out.
 */
int net_nft_check(struct net_conn *conn, const struct net_firewall *want, struct err *err);

/**
 * net_nft_able() - can this kernel do a rule such as @rule?
 *
 * Asked over a connection of its own; nothing is changed.  Return: as net_nft_check().
 */
int net_nft_able(const struct net_fw_rule *rule, struct err *err);

/**
 * net_nft_vacant() - is no table of this name, of any family, somebody else's than @owner's?
 *
 * Asked over a connection of its own.  Return: 0; -EEXIST with its family; or as net_nft_get().
 */
int net_nft_vacant(const char *table, const char *owner, struct err *err);

#endif
