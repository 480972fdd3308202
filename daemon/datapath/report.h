/* What both daemons say about themselves in `vpnctl status`: the enclave, the drops, … */
#ifndef DAEMON_DATAPATH_REPORT_H
#define DAEMON_DATAPATH_REPORT_H

#include <jansson.h>
#include <time.h>

#include "daemon/datapath/datapath.h"
#include "enclave/link.h"

/**
 * report_enclave() - its process, its engine, and how far the seal goes
 *
 * {"pid","state":"ready|starting|down","restarts","engine","sealed","steps":[{"step","state"}]}
 *
 * Return: a new reference, or NULL without memory; so do those below.
 */
json_t *report_enclave(const struct link *link);

/** report_drops() - {reason: count}, the lanes' reasons and the enclave's, all of them. */
json_t *report_drops(const struct dp_stats *stats);

/** report_offloads() - {name: in use?}, see offload.h. */
json_t *report_offloads(struct datapath *dp);

/** report_log_seal() - log each step of the enclave's ladder, and whether its claim holds. */
void report_log_seal(const struct link *link);

/** report_time() - RFC 3339 in UTC, "2026-01-31T12:00:00Z". */
json_t *report_time(time_t when);

#endif
