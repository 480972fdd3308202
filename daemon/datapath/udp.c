/* UDP sockets; see udp.h. */
#include "daemon/datapath/udp.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/udp.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/wire.h"

#define BUFFER_BYTES (8 << 20)

static int set_int(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value));
}

/* CAP_NET_ADMIN lifts the system's limit; without it the kernel grants what it allows. */
static void set_buffers(int fd)
{
    if (set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES) < 0)
        (void)set_int(fd, SOL_SOCKET, SO_RCVBUF, BUFFER_BYTES);
    if (set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES) < 0)
        (void)set_int(fd, SOL_SOCKET, SO_SNDBUF, BUFFER_BYTES);
}

static int set_options(int fd, const struct ip_endpoint *local, bool reuse, uint32_t mark)
{
    if (reuse && set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1) < 0)
        return -errno;
    if (mark && set_int(fd, SOL_SOCKET, SO_MARK, (int)mark) < 0)
        return -errno;
    if (local->addr.family == 4) {
        if (set_int(fd, IPPROTO_IP, IP_PKTINFO, 1) < 0 ||
            set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE) < 0)
            return -errno;
    } else {
        if (set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) < 0 ||
            set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) < 0 ||
            set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE) < 0)
            return -errno;
    }
    set_buffers(fd);
    return 0;
}

/* DONT lets the kernel cut by what it has learned of the path, and routers on IPv4 as well. */
void udp_fragment(int fd, sa_family_t family, bool may)
{
    if (family == AF_INET)
        (void)set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, may ? IP_PMTUDISC_DONT : IP_PMTUDISC_PROBE);
    else
        (void)set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER,
                      may ? IPV6_PMTUDISC_DONT : IPV6_PMTUDISC_PROBE);
}

static int bind_error(const struct ip_endpoint *local, int rc, struct err *err)
{
    char text[IP_ENDPOINT_STRLEN];

    ip_endpoint_format(local, text);
    switch (rc) {
    case -EADDRINUSE:
        return err_set(err, rc,
                       "UDP %s: the port is taken by another program (`ss -ulpn` shows which; "
                       "choose another with server.listen)",
                       text);
    case -EADDRNOTAVAIL:
        return err_set(err, rc, "UDP %s: this machine has no such address (see server.listen)",
                       text);
    case -EACCES:
        return err_set(err, rc, "UDP %s: no permission for a port below 1024 (start as root)",
                       text);
    default:
        return err_set(err, rc, "UDP %s: %s", text, strerror(-rc));
    }
}

int udp_open(const struct ip_endpoint *local, bool reuse, uint32_t mark, struct err *err)
{
    _cleanup_(close_fdp) int fd = -1;
    struct sockaddr_storage ss;
    socklen_t len = ip_endpoint_to_sockaddr(local, &ss);
    int rc;

    fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return bind_error(local, -errno, err);
    rc = set_options(fd, local, reuse, mark);
    if (rc < 0)
        return bind_error(local, rc, err);
    if (bind(fd, (struct sockaddr *)&ss, len) < 0)
        return bind_error(local, -errno, err);
    return TAKE_FD(fd);
}

uint16_t udp_bound_port(int fd)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    struct ip_endpoint ep;

    if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0 ||
        ip_endpoint_from_sockaddr(&ss, &ep) < 0)
        return 0;
    return ep.port;
}

int udp_steer(int fd, uint32_t lanes)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, WIRE_CONNECT_REQ, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, lanes),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, WIRE_HEADER_LEN),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, lanes),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    struct sock_fprog program = {.len = ARRAY_SIZE(code), .filter = code};

    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) < 0)
        return -errno;
    return 0;
}

int udp_receive_bulk(int fd)
{
    return set_int(fd, SOL_UDP, UDP_GRO, 1) < 0 ? -errno : 0;
}

bool udp_can_segment(int fd)
{
    int size;
    socklen_t len = sizeof(size);

    return getsockopt(fd, SOL_UDP, UDP_SEGMENT, &size, &len) == 0;
}

void udp_batch_receive(struct udp_batch *b, unsigned int i, void *buf, size_t len)
{
    b->iovs[i] = (struct iovec){.iov_base = buf, .iov_len = len};
    b->msgs[i].msg_hdr = (struct msghdr){
        .msg_name = &b->names[i],
        .msg_namelen = sizeof(b->names[i]),
        .msg_iov = &b->iovs[i],
        .msg_iovlen = 1,
        .msg_control = b->controls[i].buf,
        .msg_controllen = sizeof(b->controls[i].buf),
    };
}

int udp_batch_from(const struct udp_batch *b, unsigned int i, struct path *out, size_t *stride)
{
    struct msghdr mh = b->msgs[i].msg_hdr;
    struct cmsghdr *cmsg;
    int rc;

    memset(out, 0, sizeof(*out));
    *stride = b->msgs[i].msg_len;
    rc = ip_endpoint_from_sockaddr(&b->names[i], &out->remote);
    if (rc < 0)
        return rc;
    for (cmsg = CMSG_FIRSTHDR(&mh); cmsg; cmsg = CMSG_NXTHDR(&mh, cmsg)) {
        if (cmsg->cmsg_level == IPPROTO_IP && cmsg->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;

            memcpy(&info, CMSG_DATA(cmsg), sizeof(info));
            out->local.family = 4;
            memcpy(out->local.bytes, &info.ipi_spec_dst, 4);
        } else if (cmsg->cmsg_level == IPPROTO_IPV6 && cmsg->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;

            memcpy(&info, CMSG_DATA(cmsg), sizeof(info));
            out->local.family = 6;
            memcpy(out->local.bytes, &info.ipi6_addr, 16);
        } else if (cmsg->cmsg_level == SOL_UDP && cmsg->cmsg_type == UDP_GRO) {
            int size;

            memcpy(&size, CMSG_DATA(cmsg), sizeof(size));
            if (size > 0)
                *stride = (size_t)size;
        }
    }
    return 0;
}

/* The next control message at the end of what @mh has; its space was cleared. */
static void put_control(struct msghdr *mh, int level, int type, const void *data, size_t len)
{
    struct cmsghdr *cmsg = (struct cmsghdr *)((char *)mh->msg_control + mh->msg_controllen);

    cmsg->cmsg_level = level;
    cmsg->cmsg_type = type;
    cmsg->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(cmsg), data, len);
    mh->msg_controllen += CMSG_SPACE(len);
}

/* Replies leave from the address that was called; the interface is left to routing. */
static void put_source(struct msghdr *mh, const struct path *to)
{
    if (to->local.family == 4) {
        struct in_pktinfo info = {0};

        memcpy(&info.ipi_spec_dst, to->local.bytes, 4);
        put_control(mh, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    } else if (to->local.family == 6) {
        struct in6_pktinfo info = {0};

        memcpy(&info.ipi6_addr, to->local.bytes, 16);
        info.ipi6_ifindex = to->remote.scope;
        put_control(mh, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
    }
}

void udp_batch_send(struct udp_batch *b, unsigned int i, struct iovec *pieces, size_t n,
                    const struct path *to)
{
    struct msghdr *mh = &b->msgs[i].msg_hdr;

    *mh = (struct msghdr){
        .msg_name = &b->names[i],
        .msg_namelen = ip_endpoint_to_sockaddr(&to->remote, &b->names[i]),
        .msg_iov = pieces,
        .msg_iovlen = n,
        .msg_control = b->controls[i].buf,
    };
    memset(b->controls[i].buf, 0, sizeof(b->controls[i].buf));
    put_source(mh, to);
    if (n > 1) {
        const uint16_t size = (uint16_t)pieces[0].iov_len;

        put_control(mh, SOL_UDP, UDP_SEGMENT, &size, sizeof(size));
    }
}

int udp_send_one(int fd, const void *buf, size_t len, const struct path *to)
{
    struct sockaddr_storage name;
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(struct in6_pktinfo))];
    } control = {0};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};
    struct msghdr mh = {
        .msg_name = &name,
        .msg_namelen = ip_endpoint_to_sockaddr(&to->remote, &name),
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.buf,
    };

    put_source(&mh, to);
    return sendmsg(fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}
