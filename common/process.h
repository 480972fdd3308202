/* Being a daemon: accounts, privileges, background, pid file, readiness. */
#ifndef COMMON_PROCESS_H
#define COMMON_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/err.h"

/*
 * Used where the system has no such users (a checkout that was not installed): numeric ids from
 * the range that Debian leaves to local use, so that no account of the machine is meant.
 */
#define PROCESS_UID_DAEMON  64086
#define PROCESS_UID_ENCLAVE 64087

struct account {
    uid_t uid;
    gid_t gid;
};

/** process_account() - user and group by name, else @fallback for both. */
struct account process_account(const char *name, uid_t fallback);

/** process_group() - a group's id, or (gid_t)-1 when the system has none of that name. */
gid_t process_group(const char *name);

/**
 * process_drop() - become @account and keep only CAP_NET_ADMIN
 * @low_port: keep CAP_NET_BIND_SERVICE as well, for a port below 1024
 *
 * The bounding set is emptied but for those, no new privileges can be gained.  Before threads.
 * Without root nothing changes and 0 is returned.
 *
 * Return: 0 or -errno.
 */
int process_drop(struct account account, bool low_port, struct err *err);

/** process_has_net_admin() - is CAP_NET_ADMIN effective? */
bool process_has_net_admin(void);

/**
 * process_background() - first half of `-d`: fork; the parent waits for process_ready()
 *
 * The parent exits 0 when the child says it is ready, or with the child's status when it ends
 * before, so that `vpn-server -d && …` means what it says.  Before threads and before the spawner.
 *
 * Return: 0 in the child, or -errno.
 */
int process_background(struct err *err);
/**
 * process_ready() - the service works: release the parent of `-d`, tell systemd (sd_notify), and
 * point standard streams to /dev/null when in the background
 */
void process_ready(void);
/** process_notify() - a state line for systemd ("STOPPING=1"); nothing without NOTIFY_SOCKET. */
void process_notify(const char *state);

/**
 * process_pidfile() - lock and write a pid file
 *
 * Return: a descriptor to keep open, or -errno with the sentence (another one runs).
 */
int process_pidfile(const char *path, struct err *err);

/**
 * process_folder() - make a folder that @account may write, if it is absent
 *
 * Parents are made 0755 root.  An existing folder keeps its owner and mode.
 *
 * Return: 0 or -errno.
 */
int process_folder(const char *path, struct account account, mode_t mode, struct err *err);

/** process_folder_of() - the same for the folder that @file lies in, 0755. */
int process_folder_of(const char *file, struct account account, struct err *err);

/**
 * process_log_file() - open the log while we are root, because its folder may be closed to
 * @account; the file becomes @account's, so that it can be opened again after a rotation
 *
 * Return: 0 or -errno.
 */
int process_log_file(const char *path, struct account account, struct err *err);

#endif
