/*
 * What the kernel shall hold: a configuration, and who is connected, as objects.
 *
 * Pure: no system call, clock or log line.
 */
#ifndef DAEMON_DESIRED_H
#define DAEMON_DESIRED_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "daemon/config.h"

struct net_set;

/* The mark on the links that are ours. */
#define DESIRED_ALIAS "vpn-server"

/* What this kernel can do. */
struct desired_support {
    bool firewall; /* nf_tables */
    bool fib;      /* and its rules may ask the routing tables */
    bool forward4; /* forwarding can be switched on, and put back */
    bool forward6;
};

/**
 * desired_config() - what the file alone asks for: the tunnel, packet filter, routes, rules,
 * forwarding
 * @set: gets them
 *
 * Return: 0; -ENOMEM; -EINVAL for what cannot be an object (the configuration was checked: none).
 */
int desired_config(const struct config *config, const struct desired_support *support,
                   struct net_set *set, struct err *err);

/**
 * desired_sessions() - what is there because somebody is connected: the networks behind users
 * @connected: for each of the configuration's users, by index: is a device of theirs connected?
 */
int desired_sessions(const struct config *config, const bool *connected, struct net_set *set,
                     struct err *err);

#endif
