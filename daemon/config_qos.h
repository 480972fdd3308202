/*
 * What a server file says about quality of service: totals, classes, who has which.
 *
 * Between daemon/config.c, which has the file's other tables, and daemon/config_check.c.
 */
#ifndef DAEMON_CONFIG_QOS_H
#define DAEMON_CONFIG_QOS_H

#include "common/schema.h"
#include "daemon/config_check.h"

/* `qos`; its members lie in struct config. */
extern const struct schema_table config_qos_table;

/** config_leaf_name() - as a file says it; static. */
const char *config_leaf_name(enum config_leaf leaf);

/**
 * check_qos() - classes against the totals, and users against the classes
 *
 * Fills in what follows: each class's rates for each direction, each user's class.  Rates that can
 * never be met are errors; rates that cannot be met when everybody is there are a note, because
 * then they are scaled.
 */
void check_qos(struct check *c);

#endif
