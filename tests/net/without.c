/*
 * Run a program in a kernel without netfilter: socket(AF_NETLINK, ..., NETLINK_NETFILTER) fails as
 * it does there, for the program and all its children.
 *
 * usage: without [-e ERRNO] PROGRAM [ARGUMENT...]
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SKIP 77

/* The lower half of an argument; netlink's numbers need no more. */
#define ARG(n)                                                                                     \
    (offsetof(struct seccomp_data, args[n]) +                                                      \
     (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? sizeof(unsigned int) : 0))

int main(int argc, char **argv)
{
    const bool given = argc > 3 && strcmp(argv[1], "-e") == 0;
    const unsigned int error = given ? (unsigned int)atoi(argv[2]) : EPROTONOSUPPORT;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARG(0)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARG(2)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NETLINK_NETFILTER, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog prog = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    if (argc < 2) {
        fputs("usage: without [-e ERRNO] PROGRAM [ARGUMENT...]\n", stderr);
        return 64;
    }
    /* Needs CAP_SYS_ADMIN; no_new_privs would change what the program is able to do. */
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0) {
        perror("without: seccomp");
        return SKIP;
    }
    argv += given ? 3 : 1;
    execv(argv[0], argv);
    perror(argv[0]);
    return 1;
}
