/* TUN devices: a network device whose other end is a file descriptor of ours. */
#include "netlink/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>

#include "netlink/object.h"

static int refused(const char *name, int error, bool multi_queue, struct err *err)
{
    switch (error) {
    case EPERM:
        return err_set(err, -EPERM,
                       "device %s: not permitted to make or use it: this needs CAP_NET_ADMIN "
                       "(start it as root)",
                       name);
    case EBUSY:
        return err_set(err, -EBUSY, "device %s is in use by another process", name);
    case E2BIG:
        return err_set(err, -E2BIG, "device %s has as many queues as the kernel allows", name);
    case EINVAL:
        return err_set(err, -EINVAL,
                       "device %s exists and is not a TUN device with %s: remove it (ip link del "
                       "%s) or choose another name",
                       name, multi_queue ? "several queues" : "a single queue", name);
    case EEXIST:
        return err_set(err, -EEXIST, "device %s: the descriptor belongs to a device already", name);
    case ENOTTY:
    case EBADFD:
        return err_set(err, -error, "device %s: the descriptor is not /dev/net/tun", name);
    default:
        return err_set(err, -error, "device %s: cannot attach to it: %s", name, strerror(error));
    }
}

static int set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

int tun_attach(int fd, const char *name, const struct tun_options *options, struct err *err)
{
    struct ifreq ifr = {0};
    int header = TUN_VNET_HDR_LEN;
    int rc;

    if (!net_ifname_valid(name))
        return err_set(err, -EINVAL, "\"%.32s\" cannot be the name of a network device", name);
    memcpy(ifr.ifr_name, name, strlen(name));
    /* IFF_NO_PI: no protocol word before the packet, its first nibble tells the family. */
    ifr.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
    if (options->multi_queue)
        ifr.ifr_flags |= IFF_MULTI_QUEUE;
    if (set_nonblocking(fd) < 0)
        return err_set(err, -errno, "device %s: %s", name, strerror(errno));
    if (ioctl(fd, TUNSETIFF, &ifr) < 0)
        return refused(name, errno, options->multi_queue, err);
    /* An adopted device may have been left with another header, and with offloads. */
    if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0)
        return err_set(err, -errno, "device %s: cannot set the packet header: %s", name,
                       strerror(errno));
    if (ioctl(fd, TUNSETOFFLOAD, 0UL) < 0)
        return err_set(err, -errno, "device %s: cannot turn its offloads off: %s", name,
                       strerror(errno));
    rc = tun_set_persist(fd, options->persist, err);
    return rc < 0 ? err_prefix(err, rc, "device %s: ", name) : 0;
}

int tun_set_persist(int fd, bool persist, struct err *err)
{
    if (ioctl(fd, TUNSETPERSIST, (unsigned long)persist) < 0)
        return err_set(err, -errno, "cannot set how long the device stays: %s", strerror(errno));
    return 0;
}
