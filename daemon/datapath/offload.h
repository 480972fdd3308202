/*
 * Offloads: what the kernel and the lanes may do in bulk.  Each is used where the kernel has it;
 * VPN_OFFLOADS in the environment names exactly those to use ("none" for none), so that every one
 * can be tried alone.  This file knows names and sets; the lanes and datapath.c use them.
 */
#ifndef DAEMON_DATAPATH_OFFLOAD_H
#define DAEMON_DATAPATH_OFFLOAD_H

#include <stdbool.h>

#include "common/err.h"

enum offload {
    OFFLOAD_TUN_TSO,     /* TUN: TCP super-packets from the host, cut by gso.c */
    OFFLOAD_TUN_USO,     /* the same of UDP; Linux 6.2 */
    OFFLOAD_TUN_GRO,     /* TUN: packets of a flow merged by coalesce.c for the host */
    OFFLOAD_UDP_SEGMENT, /* sockets: datagrams of one size to one peer in one send; Linux 4.18 */
    OFFLOAD_UDP_GRO,     /* sockets: the same when receiving; Linux 5.0 */
    OFFLOAD_NUM,
};

#define OFFLOAD_BIT(offload) (1U << (offload))
#define OFFLOAD_ALL          (OFFLOAD_BIT(OFFLOAD_NUM) - 1)

#define OFFLOAD_ENVIRONMENT "VPN_OFFLOADS"

struct offload_choice {
    unsigned int wanted; /* OFFLOAD_BIT()s */
    bool exact;          /* one that the kernel lacks is an error */
};

/**
 * offload_parse() - what @text, the variable's value or NULL, asks for
 *
 * Return: 0, or -EINVAL with the sentence.
 */
int offload_parse(const char *text, struct offload_choice *out, struct err *err);

/** offload_name() - as in status and in VPN_OFFLOADS; never NULL. */
const char *offload_name(unsigned int offload);

#endif
