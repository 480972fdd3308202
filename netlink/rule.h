/*
 * Policy routing rules: which table a packet is looked up in.
 *
 * The kernel walks the rules by priority.  This is how the traffic of one uid takes its own tunnel
 * while the main table stays as it was.
 */
#ifndef NETLINK_RULE_H
#define NETLINK_RULE_H

#include "common/err.h"
#include "netlink/object.h"

struct net_conn;
struct nl_msg;
struct nlmsghdr;

/** net_rule_parse() - an RTM_NEWRULE message.  Return: 0 or -EBADMSG. */
int net_rule_parse(const struct nlmsghdr *nlh, struct net_rule *out);

/**
 * net_rule_build() - the message that makes or removes a rule; nothing of one can be changed
 * @out: becomes the message; the caller frees it
 *
 * A removal hits the first rule that agrees in what this one has: the caller knows what is there.
 *
 * Return: 0 or -errno.
 */
int net_rule_build(enum net_verb verb, const struct net_rule *rule, struct nl_msg **out,
                   struct err *err);

/** net_rule_each - one rule of a dump; nonzero ends the dump and is handed on. */
typedef int net_rule_each(const struct net_rule *rule, void *ctx);

/**
 * net_rule_put() - make this rule be there, once
 *
 * Somebody else's rule with the same selectors is another rule to the kernel: both then stand.
 *
 * Return: 0, also when the rule was there already; -EEXIST when one of ours that differs only in
 * the invert flag has its place (@err shows it); or -errno.
 */
int net_rule_put(struct net_conn *conn, const struct net_rule *rule, struct err *err);

/**
 * net_rule_del() - remove exactly this rule; one that is gone already is success
 *
 * Return: 0, -EEXIST when the kernel would remove another rule of ours first (@err shows it), or
 * -errno.
 */
int net_rule_del(struct net_conn *conn, const struct net_rule *rule, struct err *err);

/**
 * net_rule_dump() - read the rules in the kernel's order
 * @family:   4, 6, or 0 for both
 * @protocol: 0 for any; the kernel cannot filter rules, so this is done here
 */
int net_rule_dump(struct net_conn *conn, uint8_t family, uint8_t protocol, net_rule_each *each,
                  void *ctx, struct err *err);

#endif
