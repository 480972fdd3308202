/* Who gets what: connected users, their classes, and the rates shared out.  See qos.h. */
#include "daemon/qos.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rate.h"
#include "netlink/set.h"

#define MAJOR_ROOT    1
#define MINOR_FIRST   0x10   /* user number 0, or the first group */
#define QDISC_NESTED  0x200  /* major of user number 0's leaf qdisc below a group */
#define SHARED_FIRST  0xfd00 /* shared classes: by a hash of their name, so that it stays */
#define SHARED_PLACES 0x1ff
#define DEFAULT_SHARE 100 /* the default leaf gets one part in so many */
#define LEAST_SHARE   100 /* together, those scaled to nothing get one part in so many */
#define DEFAULT_PRIO  7

/* A user that is connected, with all their devices. */
struct member {
    uint32_t number;
    const struct config_user *conf;
};

static uint64_t bits_total(const struct config *config, enum qos_direction d)
{
    return d == QOS_DOWNLOAD ? config->qos.download : config->qos.upload;
}

static const struct config_rates *rates_of(const struct config_class *cls, enum qos_direction d)
{
    return d == QOS_DOWNLOAD ? &cls->download : &cls->upload;
}

bool qos_wanted(const struct config *config)
{
    return config->qos.download != 0 && config->qos.upload != 0;
}

void qos_ifb_name(const char *device, char out[IFNAMSIZ])
{
    snprintf(out, IFNAMSIZ, "ifb-%.*s", IFNAMSIZ - 5, device);
}

/* ---- leaves -------------------------------------------------------------------------------- */

static int member_cmp(const void *a, const void *b)
{
    const struct member *ma = a, *mb = b;

    return (ma->number > mb->number) - (ma->number < mb->number);
}

/* Connected users that the configuration knows, each once. */
static size_t members_find(const struct config *config, const struct qos_session *sessions,
                           size_t n, struct member *members)
{
    size_t found = 0, kept = 0;

    for (size_t i = 0; i < n; i++) {
        const struct config_user *conf = config_user_find(config, sessions[i].user);

        if (conf)
            members[found++] = (struct member){sessions[i].number, conf};
    }
    qsort(members, found, sizeof(*members), member_cmp);
    for (size_t i = 0; i < found; i++) {
        if (kept == 0 || members[kept - 1].number != members[i].number)
            members[kept++] = members[i];
    }
    return kept;
}

static void leaf_rates(struct qos_leaf *leaf, const struct config_class *cls,
                       const struct qos_tree *tree)
{
    snprintf(leaf->cls, sizeof(leaf->cls), "%s", cls->name);
    leaf->priority = cls->priority;
    leaf->fixed = cls->shared || cls->guaranteed;
    for (int d = 0; d < QOS_DIRECTIONS; d++) {
        const struct config_rates *rates = rates_of(cls, (enum qos_direction)d);

        leaf->promised[d] = leaf->rate[d] = rates->rate / 8;
        leaf->ceil[d] = rates->ceil / 8 < tree->total[d] ? rates->ceil / 8 : tree->total[d];
    }
}

static void user_leaf(struct qos_leaf *leaf, const struct member *member,
                      const struct qos_tree *tree)
{
    uint32_t number = member->number;

    snprintf(leaf->name, sizeof(leaf->name), "%s", member->conf->name);
    leaf->users = 1;
    if (tree->nested) {
        uint32_t group = MINOR_FIRST + number / QOS_GROUP;

        leaf->group = NET_TC_HANDLE(MAJOR_ROOT, group);
        leaf->handle = NET_TC_HANDLE(group, MINOR_FIRST + number % QOS_GROUP);
        leaf->qdisc = NET_TC_HANDLE(QDISC_NESTED + number, 0);
    } else {
        leaf->handle = NET_TC_HANDLE(MAJOR_ROOT, MINOR_FIRST + number);
        leaf->qdisc = NET_TC_HANDLE(MINOR_FIRST + number, 0);
    }
    leaf_rates(leaf, member->conf->cls, tree);
}

/* FNV-1a. */
static uint32_t hash(const void *bytes, size_t len)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < len; i++)
        h = (h ^ ((const uint8_t *)bytes)[i]) * 16777619u;
    return h;
}

/* The minor of each shared class, by its index; 0 for the others. */
static void shared_minors(const struct config_qos *qos, uint32_t minors[CONFIG_CLASSES_MAX])
{
    bool taken[SHARED_PLACES] = {false};

    for (size_t i = 0; i < qos->n_classes; i++) {
        uint32_t place = hash(qos->classes[i].name, strlen(qos->classes[i].name)) % SHARED_PLACES;

        minors[i] = 0;
        if (!qos->classes[i].shared)
            continue;
        while (taken[place])
            place = (place + 1) % SHARED_PLACES;
        taken[place] = true;
        minors[i] = SHARED_FIRST + place;
    }
}

static void shared_leaf(struct qos_leaf *leaf, const struct config_class *cls, uint32_t minor,
                        const struct qos_tree *tree)
{
    snprintf(leaf->name, sizeof(leaf->name), "%s", cls->name);
    leaf->shared = true;
    leaf->handle = NET_TC_HANDLE(MAJOR_ROOT, minor);
    leaf->qdisc = NET_TC_HANDLE(minor, 0);
    leaf_rates(leaf, cls, tree);
}

static void default_leaf(struct qos_leaf *leaf, const struct qos_tree *tree)
{
    snprintf(leaf->name, sizeof(leaf->name), "(others)");
    leaf->handle = NET_TC_HANDLE(MAJOR_ROOT, QOS_MINOR_DEFAULT);
    leaf->qdisc = NET_TC_HANDLE(QOS_MINOR_DEFAULT, 0);
    leaf->priority = DEFAULT_PRIO;
    leaf->shared = true;
    for (int d = 0; d < QOS_DIRECTIONS; d++)
        leaf->ceil[d] = tree->total[d];
}

static int leaf_cmp(const void *a, const void *b)
{
    const struct qos_leaf *la = a, *lb = b;

    return (la->handle > lb->handle) - (la->handle < lb->handle);
}

/* Which leaf is a user's?  The default one for whoever has no class. */
static uint32_t leaf_of(const struct qos_tree *tree, const struct config_class *cls,
                        const uint32_t minors[CONFIG_CLASSES_MAX], const struct config *config,
                        uint32_t number)
{
    struct qos_leaf id = {0};
    const struct qos_leaf *found;

    if (!cls || number >= QOS_NUMBER_MAX)
        return 0;
    if (cls->shared)
        id.handle = NET_TC_HANDLE(MAJOR_ROOT, minors[cls - config->qos.classes]);
    else if (tree->nested)
        id.handle =
            NET_TC_HANDLE(MINOR_FIRST + number / QOS_GROUP, MINOR_FIRST + number % QOS_GROUP);
    else
        id.handle = NET_TC_HANDLE(MAJOR_ROOT, MINOR_FIRST + number);
    found = bsearch(&id, tree->leaves, tree->n_leaves, sizeof(id), leaf_cmp);
    return found ? (uint32_t)(found - tree->leaves) : 0;
}

static void leaves_fill(struct qos_tree *tree, const struct config *config,
                        const struct member *members, size_t n,
                        const uint32_t minors[CONFIG_CLASSES_MAX])
{
    bool used[CONFIG_CLASSES_MAX] = {false};

    default_leaf(&tree->leaves[tree->n_leaves++], tree);
    for (size_t i = 0; i < n; i++) {
        const struct config_class *cls = members[i].conf->cls;

        if (members[i].number >= QOS_NUMBER_MAX)
            tree->n_beyond++;
        else if (cls && cls->shared)
            used[cls - config->qos.classes] = true;
        else if (cls)
            user_leaf(&tree->leaves[tree->n_leaves++], &members[i], tree);
    }
    for (size_t i = 0; i < config->qos.n_classes; i++) {
        if (used[i])
            shared_leaf(&tree->leaves[tree->n_leaves++], &config->qos.classes[i], minors[i], tree);
    }
    /* 1:2, the default leaf, is the lowest handle there is. */
    qsort(tree->leaves, tree->n_leaves, sizeof(*tree->leaves), leaf_cmp);
    for (size_t i = 0; i < n; i++) {
        struct qos_leaf *leaf =
            &tree->leaves[leaf_of(tree, members[i].conf->cls, minors, config, members[i].number)];

        if (leaf->shared)
            leaf->users++;
    }
}

/* ---- rates --------------------------------------------------------------------------------- */

/* @value times @num over @den, without overflow for rates. */
static uint64_t scale(uint64_t value, uint64_t num, uint64_t den)
{
    return (uint64_t)((__uint128_t)value * num / den);
}

static uint64_t at_least_floor(uint64_t rate)
{
    return rate > QOS_FLOOR_BYTES_S ? rate : QOS_FLOOR_BYTES_S;
}

/*
 * The least that a leaf is scaled down to, together with @n - 1 others.  HTB lets a class send a
 * whole packet however little of its rate it has, and then the class owes the time that the packet
 * takes at this rate, up to a minute (htb_accnt_tokens()): also when its rate is raised meanwhile.
 * So that shall be a second or two, but all of them together no more than is small beside @total.
 */
static uint64_t least_scaled(uint64_t total, uint64_t n)
{
    uint64_t each = total / LEAST_SHARE / (n ? n : 1);

    return each > QOS_FLOOR_BYTES_S ? QOS_FLOOR_BYTES_S : each ? each : 1;
}

/*
 * What is fixed gets what it was promised, and so do the others if there is enough; the default
 * leaf a little of the rest.  If there is not, that little comes before the others, who get as many
 * parts of theirs as are left.
 */
static void share_out(struct qos_tree *tree, int d)
{
    uint64_t total = tree->total[d], fixed = 0, elastic = 0, n_elastic = 0, left, rest, least;
    struct qos_leaf *others = &tree->leaves[0];

    for (size_t i = 1; i < tree->n_leaves; i++) {
        if (tree->leaves[i].fixed)
            fixed += tree->leaves[i].promised[d];
        else
            elastic += tree->leaves[i].promised[d];
        n_elastic += !tree->leaves[i].fixed;
    }
    left = total > fixed ? total - fixed : 0;
    tree->promised[d] = fixed + elastic;
    tree->scaled[d] = elastic > left;
    others->promised[d] = at_least_floor(total / DEFAULT_SHARE);
    rest = tree->scaled[d] ? left : left - elastic;
    if (rest > others->promised[d])
        rest = others->promised[d];
    others->rate[d] = at_least_floor(rest);
    least = least_scaled(total, n_elastic);
    for (size_t i = 1; tree->scaled[d] && i < tree->n_leaves; i++) {
        struct qos_leaf *leaf = &tree->leaves[i];

        if (leaf->fixed)
            continue;
        leaf->rate[d] = scale(leaf->promised[d], left - rest, elastic);
        if (leaf->rate[d] < least)
            leaf->rate[d] = least;
    }
    for (size_t i = 0; i < tree->n_leaves; i++) {
        if (tree->leaves[i].ceil[d] < tree->leaves[i].rate[d])
            tree->leaves[i].ceil[d] = tree->leaves[i].rate[d];
    }
}

static void extreme_rates(struct qos_tree *tree, const struct config *config)
{
    for (int d = 0; d < QOS_DIRECTIONS; d++) {
        tree->smallest[d] = tree->total[d];
        for (size_t i = 0; i < config->qos.n_classes; i++) {
            uint64_t rate = rates_of(&config->qos.classes[i], (enum qos_direction)d)->rate / 8;

            if (rate < tree->smallest[d])
                tree->smallest[d] = rate;
            if (rate > tree->largest[d])
                tree->largest[d] = rate;
        }
    }
}

/* ---- addresses ----------------------------------------------------------------------------- */

static int entry_cmp(const void *a, const void *b)
{
    const struct qos_entry *ea = a, *eb = b;
    int order = ip_addr_cmp(&ea->prefix.addr, &eb->prefix.addr);

    return order ? order : (ea->prefix.len > eb->prefix.len) - (ea->prefix.len < eb->prefix.len);
}

static void entry_add(struct qos_tree *tree, const struct ip_addr *addr, uint8_t len, uint32_t leaf)
{
    struct ip_prefix prefix = {*addr, len};

    if (addr->family && len > 0)
        tree->entries[tree->n_entries++] = (struct qos_entry){ip_prefix_network(prefix), leaf};
}

/* Count what is not a single address, and let go of what no list holds. */
static void networks_limit(struct qos_tree *tree)
{
    size_t of_family[2] = {0}, kept = 0;

    for (size_t i = 0; i < tree->n_entries; i++) {
        const struct ip_prefix *prefix = &tree->entries[i].prefix;

        if (prefix->len != ip_addr_bits(&prefix->addr) &&
            ++of_family[prefix->addr.family == 6] > QOS_NETWORKS_MAX)
            tree->n_beyond++;
        else
            tree->entries[kept++] = tree->entries[i];
    }
    tree->n_entries = kept;
    tree->n_networks = of_family[0] + of_family[1];
}

static void entries_fill(struct qos_tree *tree, const struct config *config,
                         const struct qos_session *sessions, size_t n, const struct member *members,
                         size_t n_members, const uint32_t minors[CONFIG_CLASSES_MAX])
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        const struct config_user *conf = config_user_find(config, sessions[i].user);
        uint32_t leaf = conf ? leaf_of(tree, conf->cls, minors, config, sessions[i].number) : 0;

        if (leaf == 0) /* what no filter knows goes there by itself */
            continue;
        entry_add(tree, &sessions[i].ip4, 32, leaf);
        entry_add(tree, &sessions[i].ip6, 128, leaf);
    }
    for (size_t i = 0; i < n_members; i++) {
        const struct config_user *conf = members[i].conf;
        uint32_t leaf = leaf_of(tree, conf->cls, minors, config, members[i].number);

        for (size_t k = 0; leaf && k < conf->n_networks; k++)
            entry_add(tree, &conf->networks[k].addr, conf->networks[k].len, leaf);
    }
    qsort(tree->entries, tree->n_entries, sizeof(*tree->entries), entry_cmp);
    for (size_t i = 0; i < tree->n_entries; i++) {
        if (kept == 0 || entry_cmp(&tree->entries[kept - 1], &tree->entries[i]) != 0)
            tree->entries[kept++] = tree->entries[i];
    }
    tree->n_entries = kept;
    networks_limit(tree);
}

/* ---- all of it ----------------------------------------------------------------------------- */

static void tree_basics(struct qos_tree *tree, const struct config *config,
                        const struct qos_support *support)
{
    size_t most = config->n_users < config->max_clients ? config->n_users : config->max_clients;

    memcpy(tree->device[QOS_DOWNLOAD], config->device, IFNAMSIZ);
    qos_ifb_name(config->device, tree->device[QOS_UPLOAD]);
    tree->shaped[QOS_DOWNLOAD] = support->htb && support->u32;
    tree->shaped[QOS_UPLOAD] = tree->shaped[QOS_DOWNLOAD] && support->ifb;
    tree->mtu = config->mtu;
    tree->leaf_kind = support->fq_codel && config->qos.leaf != CONFIG_LEAF_BFIFO
                          ? NET_QDISC_FQ_CODEL
                          : NET_QDISC_BFIFO;
    /* By who might be connected, not by who is, or users would move as others come and go. */
    tree->nested = most + config->qos.n_classes > QOS_FLAT_MAX;
    tree->whole = qos_offload(config);
    tree->split = !tree->whole && support->tbf;
    for (int d = 0; d < QOS_DIRECTIONS; d++)
        tree->total[d] = bits_total(config, (enum qos_direction)d) / 8;
    extreme_rates(tree, config);
}

int qos_tree_build(const struct config *config, const struct qos_support *support,
                   const struct qos_session *sessions, size_t n, struct qos_tree **out)
{
    struct qos_tree *tree = calloc(1, sizeof(*tree));
    struct member *members = calloc(n + 1, sizeof(*members));
    uint32_t minors[CONFIG_CLASSES_MAX];
    size_t n_members, entries = 2 * n + 1;

    if (!tree || !members)
        goto fail;
    n_members = members_find(config, sessions, n, members);
    for (size_t i = 0; i < n_members; i++)
        entries += members[i].conf->n_networks;
    tree->leaves = calloc(n_members + config->qos.n_classes + 1, sizeof(*tree->leaves));
    tree->entries = calloc(entries, sizeof(*tree->entries));
    if (!tree->leaves || !tree->entries)
        goto fail;
    tree_basics(tree, config, support);
    shared_minors(&config->qos, minors);
    leaves_fill(tree, config, members, n_members, minors);
    tree->n_ready = tree->n_leaves;
    for (int d = 0; d < QOS_DIRECTIONS; d++)
        share_out(tree, d);
    entries_fill(tree, config, sessions, n, members, n_members, minors);
    free(members);
    *out = tree;
    return 0;

fail:
    free(members);
    qos_tree_free(tree);
    return -ENOMEM;
}

void qos_tree_free(struct qos_tree *tree)
{
    if (!tree)
        return;
    free(tree->leaves);
    free(tree->entries);
    free(tree);
}

void qos_tree_freep(struct qos_tree **tree)
{
    qos_tree_free(*tree);
}

int qos_lower(const struct config *config, const struct qos_support *support,
              const struct qos_session *sessions, size_t n, size_t most, const char *alias,
              struct net_set *set, size_t *left, struct err *err)
{
    struct qos_tree *tree;
    int rc;

    if (left)
        *left = 0;
    if (!qos_wanted(config))
        return 0;
    rc = qos_tree_build(config, support, sessions, n, &tree);
    if (rc == 0) {
        if (tree->n_ready > most)
            tree->n_ready = most;
        if (left)
            *left = tree->n_leaves - tree->n_ready;
        rc = qos_tree_lower(tree, alias, set);
        qos_tree_free(tree);
    }
    return rc < 0 ? err_set(err, rc, "the users' rates cannot be laid out: %s", strerror(-rc)) : 0;
}

/* ---- what cannot be ------------------------------------------------------------------------ */

static void complain_scaled(const struct qos_tree *tree, int d, char out[QOS_COMPLAINT_SIZE])
{
    static const char *const names[] = {"download", "upload"};
    char a[RATE_STRLEN], b[RATE_STRLEN];

    snprintf(out, QOS_COMPLAINT_SIZE,
             "those connected are promised %s of qos.%s, %s: rates are scaled down, ceilings stay",
             rate_format(tree->promised[d] * 8, a), names[d], rate_format(tree->total[d] * 8, b));
}

size_t qos_complaints(const struct config *config, const struct qos_support *support,
                      const struct qos_tree *tree, char out[QOS_COMPLAINTS_MAX][QOS_COMPLAINT_SIZE])
{
    size_t n = 0;

    if (!qos_wanted(config))
        return 0;
    if (!support->htb || !support->u32) {
        snprintf(out[n++], QOS_COMPLAINT_SIZE,
                 "qos is not in force, users are not limited: this kernel has no %s (load module "
                 "%s, or use a kernel that has it)",
                 support->htb ? "u32 filters" : "HTB", support->htb ? "cls_u32" : "sch_htb");
        return n;
    }
    if (!support->ifb)
        snprintf(
            out[n++], QOS_COMPLAINT_SIZE,
            "qos.upload is not in force, what users send is not limited: this kernel lacks ifb "
            "or mirred (load modules ifb, sch_ingress and act_mirred); download is limited");
    if (!support->fq_codel && config->qos.leaf != CONFIG_LEAF_BFIFO)
        snprintf(out[n++], QOS_COMPLAINT_SIZE,
                 "this kernel has no fq_codel (module sch_fq_codel): packets of one user wait in "
                 "one line (bfifo), rates hold, delays within a user's own traffic are longer");
    if (!support->tbf && !qos_offload(config))
        snprintf(
            out[n++], QOS_COMPLAINT_SIZE,
            "this kernel has no tbf (module sch_tbf): packets that were merged to up to 64 KiB on "
            "their way here are not cut up, and hold up the others of slow classes");
    for (int d = 0; tree && d < QOS_DIRECTIONS; d++) {
        if (tree->shaped[d] && tree->scaled[d])
            complain_scaled(tree, d, out[n++]);
    }
    /* Upload's rates are not scaled where there is no ifb, so there is room for these two. */
    if (tree && tree->n_networks > QOS_PREFIX_MANY)
        snprintf(out[n++], QOS_COMPLAINT_SIZE,
                 "%zu networks behind users are looked through one by one for each packet (fewer "
                 "and larger ones cost less)",
                 tree->n_networks);
    if (tree && tree->n_beyond)
        snprintf(out[n++], QOS_COMPLAINT_SIZE,
                 "%zu users or networks are more than can be told apart: they share what is kept "
                 "for users without a class",
                 tree->n_beyond);
    return n;
}
