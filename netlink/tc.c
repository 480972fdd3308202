/* Traffic control as plain structs: identity, attributes, order and their text. */
#include "netlink/tc.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CMP(a, b) (((a) > (b)) - ((a) < (b)))

/* The kernel keeps fq_codel's times in units of 1024 ns: what comes back is up to so much less. */
#define CODEL_SLACK_US 2
#define FQ_QUANTUM_MIN 256

const char *net_qdisc_kind_name(enum net_qdisc_kind kind)
{
    static const char *const names[] = {
        [NET_QDISC_HTB] = "htb",         [NET_QDISC_FQ_CODEL] = "fq_codel",
        [NET_QDISC_BFIFO] = "bfifo",     [NET_QDISC_TBF] = "tbf",
        [NET_QDISC_INGRESS] = "ingress", [NET_QDISC_CLSACT] = "clsact",
        [NET_QDISC_OTHER] = "other",
    };

    return names[kind];
}

int net_qdisc_cmp_id(const struct net_qdisc *a, const struct net_qdisc *b)
{
    int order = CMP(a->ifindex, b->ifindex);

    return order ? order : CMP(a->parent, b->parent);
}

static bool codel_same(uint32_t a_us, uint32_t b_us)
{
    return a_us > b_us ? a_us - b_us <= CODEL_SLACK_US : b_us - a_us <= CODEL_SLACK_US;
}

static uint32_t fq_quantum(const struct net_fq_codel *fq)
{
    return fq->quantum < FQ_QUANTUM_MIN ? FQ_QUANTUM_MIN : fq->quantum;
}

static enum net_tc_diff fq_diff(const struct net_fq_codel *want, const struct net_fq_codel *have)
{
    if (want->flows != have->flows)
        return NET_TC_RECREATE;
    if (want->limit != have->limit || fq_quantum(want) != fq_quantum(have) ||
        want->memory_limit != have->memory_limit || want->ecn != have->ecn ||
        !codel_same(want->target_us, have->target_us) ||
        !codel_same(want->interval_us, have->interval_us))
        return NET_TC_CHANGE;
    return NET_TC_SAME;
}

enum net_tc_diff net_qdisc_diff(const struct net_qdisc *want, const struct net_qdisc *have)
{
    if (want->kind != have->kind || want->handle != have->handle || want->has_more ||
        have->has_more)
        return NET_TC_RECREATE;
    switch (want->kind) {
    case NET_QDISC_HTB:
        return want->htb_default == have->htb_default ? NET_TC_SAME : NET_TC_RECREATE;
    case NET_QDISC_FQ_CODEL:
        return fq_diff(&want->fq, &have->fq);
    case NET_QDISC_BFIFO:
        return want->bfifo_limit_bytes == have->bfifo_limit_bytes ? NET_TC_SAME : NET_TC_CHANGE;
    case NET_QDISC_TBF:
        return want->tbf.rate_bytes_s == have->tbf.rate_bytes_s &&
                       want->tbf.max_bytes == have->tbf.max_bytes
                   ? NET_TC_SAME
                   : NET_TC_CHANGE;
    case NET_QDISC_INGRESS:
    case NET_QDISC_CLSACT:
        return NET_TC_SAME;
    case NET_QDISC_OTHER:
        break;
    }
    return strcmp(want->other, have->other) == 0 ? NET_TC_SAME : NET_TC_RECREATE;
}

int net_class_cmp_id(const struct net_class *a, const struct net_class *b)
{
    int order = CMP(a->ifindex, b->ifindex);

    return order ? order : CMP(a->handle, b->handle);
}

enum net_tc_diff net_class_diff(const struct net_class *want, const struct net_class *have)
{
    if (want->parent != have->parent)
        return NET_TC_RECREATE;
    if (want->rate_bytes_s != have->rate_bytes_s || want->ceil_bytes_s != have->ceil_bytes_s ||
        want->burst_us != have->burst_us || want->cburst_us != have->cburst_us ||
        want->has_more != have->has_more)
        return NET_TC_CHANGE;
    /* The kernel neither uses these two of an inner class nor takes a change (htb_change_class). */
    if (!want->inner && !have->inner &&
        (want->quantum != have->quantum || want->prio != have->prio))
        return NET_TC_CHANGE;
    return NET_TC_SAME;
}

int net_filter_cmp_id(const struct net_filter *a, const struct net_filter *b)
{
    int order = CMP(a->ifindex, b->ifindex);

    if (order == 0)
        order = CMP(a->parent, b->parent);
    if (order == 0)
        order = CMP(a->pref, b->pref);
    if (order == 0)
        order = CMP(a->handle, b->handle);
    return order;
}

static bool match_same(const struct net_filter *a, const struct net_filter *b)
{
    if (a->side != b->side)
        return false;
    return a->side == NET_FILTER_ANY ||
           (a->prefix.len == b->prefix.len && ip_addr_equal(&a->prefix.addr, &b->prefix.addr));
}

enum net_tc_diff net_filter_diff(const struct net_filter *want, const struct net_filter *have)
{
    if (want->kind != have->kind || want->family != have->family || want->has_more ||
        have->has_more)
        return NET_TC_RECREATE;
    if (want->kind != NET_FILTER_TABLE && !match_same(want, have))
        return NET_TC_RECREATE;
    switch (want->kind) {
    case NET_FILTER_TABLE:
        return want->buckets == have->buckets ? NET_TC_SAME : NET_TC_RECREATE;
    case NET_FILTER_LINK:
        /* Which bits choose the bucket is part of the key, and the key stays as it was made. */
        if (want->hash_side != have->hash_side || want->hash_byte != have->hash_byte)
            return NET_TC_RECREATE;
        return want->table == have->table ? NET_TC_SAME : NET_TC_CHANGE;
    case NET_FILTER_CLASS:
        return want->classid == have->classid ? NET_TC_SAME : NET_TC_CHANGE;
    case NET_FILTER_REDIRECT:
        return want->redirect_ifindex == have->redirect_ifindex ? NET_TC_SAME : NET_TC_RECREATE;
    case NET_FILTER_OTHER:
        break;
    }
    return NET_TC_RECREATE;
}

int net_filter_rank(const struct net_filter *filter)
{
    if (filter->kind == NET_FILTER_TABLE)
        return 0;
    if (filter->kind != NET_FILTER_LINK)
        return 1;
    /* The link in the first table opens the way to all others: it comes last. */
    return NET_U32_TABLE(filter->handle) == 0 ? 3 : 2;
}

bool net_filter_lingers(const struct net_filter *filter)
{
    return filter->kind == NET_FILTER_TABLE;
}

bool net_tc_below(const struct net_qdisc *qdisc, uint32_t at)
{
    return at != NET_TC_ROOT && at != NET_TC_INGRESS &&
           NET_TC_MAJOR(at) == NET_TC_MAJOR(qdisc->handle);
}

/* ---- text ---------------------------------------------------------------------------------- */

/* Append to a buffer of NET_FORMAT_SIZE bytes; what does not fit is cut. */
__attribute__((format(printf, 2, 3))) static void append(char *buf, const char *fmt, ...)
{
    size_t used = strlen(buf);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(buf + used, NET_FORMAT_SIZE - used, fmt, ap);
    va_end(ap);
}

static void append_dev(char *buf, const char *dev, uint32_t ifindex)
{
    if (dev)
        append(buf, " dev %s", dev);
    else
        append(buf, " dev #%u", ifindex);
}

/* "1:" or "1:10", minor and major in hex as tc has them. */
static void append_handle(char *buf, uint32_t handle)
{
    append(buf, "%x:", NET_TC_MAJOR(handle));
    if (NET_TC_MINOR(handle))
        append(buf, "%x", NET_TC_MINOR(handle));
}

static void append_parent(char *buf, uint32_t parent)
{
    if (parent == NET_TC_ROOT) {
        append(buf, " root");
        return;
    }
    append(buf, " parent ");
    append_handle(buf, parent);
}

const char *net_rate_format(uint64_t bytes_s, char buf[32])
{
    static const char *const units[] = {"bit", "Kbit", "Mbit", "Gbit", "Tbit"};
    uint64_t value = bytes_s;
    const char *mult = "";
    size_t unit = 0;

    /* Beyond 2^61 eight times as much has no room; no such rate is real, but dumps are foreign. */
    if (value > UINT64_MAX / 8)
        mult = "*8";
    else
        value *= 8;
    while (unit + 1 < sizeof(units) / sizeof(units[0]) && value != 0 && value % 1000 == 0) {
        value /= 1000;
        unit++;
    }
    snprintf(buf, 32, "%" PRIu64 "%s%s", value, mult, units[unit]);
    return buf;
}

/* Microseconds as tc writes times. */
static void append_time(char *buf, const char *word, uint32_t us)
{
    if (us % 1000 == 0)
        append(buf, " %s %ums", word, us / 1000);
    else
        append(buf, " %s %uus", word, us);
}

const char *net_qdisc_format(const struct net_qdisc *qdisc, const char *dev, char *buf)
{
    char rate[32];

    buf[0] = '\0';
    append(buf, "qdisc %s ",
           qdisc->kind == NET_QDISC_OTHER ? qdisc->other : net_qdisc_kind_name(qdisc->kind));
    append_handle(buf, qdisc->handle);
    append_dev(buf, dev, qdisc->ifindex);
    append_parent(buf, qdisc->parent);
    if (qdisc->kind == NET_QDISC_HTB)
        append(buf, " default 0x%x", qdisc->htb_default);
    if (qdisc->kind == NET_QDISC_BFIFO)
        append(buf, " limit %ub", qdisc->bfifo_limit_bytes);
    if (qdisc->kind == NET_QDISC_TBF)
        append(buf, " rate %s burst %ub", net_rate_format(qdisc->tbf.rate_bytes_s, rate),
               qdisc->tbf.max_bytes);
    if (qdisc->kind == NET_QDISC_FQ_CODEL) {
        append(buf, " limit %up flows %u quantum %u", qdisc->fq.limit, qdisc->fq.flows,
               qdisc->fq.quantum);
        append_time(buf, "target", qdisc->fq.target_us);
        append_time(buf, "interval", qdisc->fq.interval_us);
        append(buf, " memory_limit %ub%s", qdisc->fq.memory_limit, qdisc->fq.ecn ? " ecn" : "");
    }
    return buf;
}

/* A burst in bytes: how much the rate gives in that time. */
static uint64_t burst_bytes(uint64_t bytes_s, uint32_t us)
{
    if (us != 0 && bytes_s > UINT64_MAX / us)
        return UINT64_MAX / 1000000;
    return bytes_s * us / 1000000;
}

const char *net_class_format(const struct net_class *cls, const char *dev, char *buf)
{
    char rate[32];
    char ceil[32];

    buf[0] = '\0';
    append(buf, "class htb ");
    append_handle(buf, cls->handle);
    append_dev(buf, dev, cls->ifindex);
    append_parent(buf, NET_TC_MINOR(cls->parent) ? cls->parent : NET_TC_ROOT);
    append(buf, " prio %u rate %s ceil %s", cls->prio, net_rate_format(cls->rate_bytes_s, rate),
           net_rate_format(cls->ceil_bytes_s, ceil));
    append(buf, " burst %" PRIu64 "b cburst %" PRIu64 "b quantum %u",
           burst_bytes(cls->rate_bytes_s, cls->burst_us),
           burst_bytes(cls->ceil_bytes_s, cls->cburst_us), cls->quantum);
    return buf;
}

static const char *side_word(enum net_filter_side side)
{
    return side == NET_FILTER_SRC ? "src" : "dst";
}

static void append_match(char *buf, const struct net_filter *filter)
{
    char prefix[IP_PREFIX_STRLEN];

    if (filter->side == NET_FILTER_ANY)
        append(buf, " match u32 0 0");
    else if (filter->side == NET_FILTER_VERSION)
        append(buf, " match %s", filter->prefix.addr.family == 6 ? "ip6" : "ip");
    else
        append(buf, " match %s %s %s", filter->prefix.addr.family == 6 ? "ip6" : "ip",
               side_word(filter->side), ip_prefix_format(&filter->prefix, prefix));
}

static void append_what(char *buf, const struct net_filter *filter)
{
    switch (filter->kind) {
    case NET_FILTER_TABLE:
        append(buf, " ht divisor %u", filter->buckets);
        break;
    case NET_FILTER_LINK:
        append_match(buf, filter);
        append(buf, " link %x: hashkey %s byte %u", filter->table, side_word(filter->hash_side),
               filter->hash_byte);
        break;
    case NET_FILTER_CLASS:
        append_match(buf, filter);
        append(buf, " flowid ");
        append_handle(buf, filter->classid);
        break;
    case NET_FILTER_REDIRECT:
        append_match(buf, filter);
        append(buf, " action mirred egress redirect");
        append_dev(buf, filter->redirect[0] ? filter->redirect : NULL, filter->redirect_ifindex);
        break;
    case NET_FILTER_OTHER:
        append(buf, " (not one of ours)");
        break;
    }
}

const char *net_filter_format(const struct net_filter *filter, const char *dev, char *buf)
{
    static const char *const protocols[] = {"all", "ip", "ipv6"};
    uint32_t handle = filter->handle;

    buf[0] = '\0';
    append(buf, "filter");
    append_dev(buf, dev, filter->ifindex);
    append_parent(buf, filter->parent);
    append(buf, " protocol %s pref %u u32 fh %x:",
           protocols[filter->family == 4   ? 1
                     : filter->family == 6 ? 2
                                           : 0],
           filter->pref, NET_U32_TABLE(handle));
    if (filter->kind != NET_FILTER_TABLE)
        append(buf, "%x:%x", NET_U32_BUCKET(handle), NET_U32_NODE(handle));
    append_what(buf, filter);
    return buf;
}
