/* Quality of service in a server file: what may be said, and what fits together. */
#include "daemon/config_qos.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/rate.h"
#include "common/text.h"

#define PRIORITY_MAX 7 /* TC_HTB_NUMPRIO of the kernel's sch_htb.c, less one */

static const char *const leaf_names[] = {"auto", "fq_codel", "bfifo", NULL};

const char *config_leaf_name(enum config_leaf leaf)
{
    return leaf_names[leaf];
}

static const struct schema_field rates_fields[] = {
    {
        .key = "rate",
        .doc = "What each user of the class is guaranteed in this direction.",
        .type = SCHEMA_RATE,
        SCHEMA_AT(config_rates, rate),
    },
    {
        .key = "ceil",
        .doc = "What each gets at most in this direction; by default the rate.",
        .type = SCHEMA_RATE,
        SCHEMA_AT(config_rates, ceil),
    },
};
static const struct schema_table rates_table = {.fields = rates_fields,
                                                .n = ARRAY_SIZE(rates_fields)};

static const struct schema_field class_fields[] = {
    {
        .key = "rate",
        .doc = "What each user of the class is guaranteed, such as 5mbit.",
        .type = SCHEMA_RATE,
        SCHEMA_AT(config_class, both.rate),
    },
    {
        .key = "ceil",
        .doc = "What each gets at most, while others leave it unused; by default the rate.",
        .type = SCHEMA_RATE,
        SCHEMA_AT(config_class, both.ceil),
    },
    {
        .key = "download",
        .doc = "Rates towards the user, where they differ from those of the other direction.",
        .type = SCHEMA_TABLE,
        SCHEMA_AT(config_class, download),
        .table = &rates_table,
    },
    {
        .key = "upload",
        .doc = "Rates from the user, where they differ from those of the other direction.",
        .type = SCHEMA_TABLE,
        SCHEMA_AT(config_class, upload),
        .table = &rates_table,
    },
    {
        .key = "priority",
        .doc = "Who gets first what others leave unused: 0 before 7.",
        .type = SCHEMA_UINT,
        SCHEMA_AT(config_class, priority),
        .max = PRIORITY_MAX,
        .preset = "4",
    },
    {
        .key = "shared",
        .doc = "Whether all users of the class have its rates together, rather than each.",
        .type = SCHEMA_BOOL,
        SCHEMA_AT(config_class, shared),
        .preset = "false",
    },
    {
        .key = "guaranteed",
        .doc = "Whether the rates shall never be scaled down: they must then fit the total for "
               "all users of the class.",
        .type = SCHEMA_BOOL,
        SCHEMA_AT(config_class, guaranteed),
        .preset = "false",
    },
};
static const struct schema_table class_table = {
    .fields = class_fields,
    .n = ARRAY_SIZE(class_fields),
    .entry_size = sizeof(struct config_class),
    .name_type = SCHEMA_NAME,
    .name_offset = offsetof(struct config_class, name),
    .name_size = sizeof(((struct config_class *)0)->name),
};

static const struct schema_field qos_fields[] = {
    {
        .key = "download",
        .doc = "What all users together may receive: somewhat less than the line carries, so that "
               "packets queue here, where they are sorted.",
        .type = SCHEMA_RATE,
        SCHEMA_AT(config, qos.download),
    },
    {
        .key = "upload",
        .doc = "What all users together may send.",
        .type = SCHEMA_RATE,
        SCHEMA_AT(config, qos.upload),
    },
    {
        .key = "default-class",
        .doc = "The class of users that have none of their own.",
        .type = SCHEMA_NAME,
        SCHEMA_AT(config, qos.default_name),
    },
    {
        .key = "leaf",
        .doc = "What orders the packets within a class: auto is fq_codel, or bfifo where the "
               "kernel lacks it.",
        .type = SCHEMA_ENUM,
        SCHEMA_AT(config, qos.leaf),
        .names = leaf_names,
        .preset = "auto",
    },
    {
        .key = "classes",
        .doc = "What a user may get, by name.",
        .type = SCHEMA_TABLE,
        .shape = SCHEMA_MAP,
        SCHEMA_AT_N(config, qos.classes, qos.n_classes),
        .max_items = CONFIG_CLASSES_MAX,
        .table = &class_table,
    },
};
const struct schema_table config_qos_table = {.fields = qos_fields, .n = ARRAY_SIZE(qos_fields)};

/* ---- places and words ---------------------------------------------------------------------- */

/* One of the two directions, and where it is kept. */
static const struct direction {
    const char *name;
    size_t total, rates;
} directions[] = {
    {"download", offsetof(struct config_qos, download), offsetof(struct config_class, download)},
    {"upload", offsetof(struct config_qos, upload), offsetof(struct config_class, upload)},
};

static uint64_t total_of(const struct config_qos *qos, const struct direction *d)
{
    return *(const uint64_t *)((const char *)qos + d->total);
}

static struct config_rates *rates_of(struct config_class *cls, const struct direction *d)
{
    return (struct config_rates *)((char *)cls + d->rates);
}

/* The place of a key below qos, or of the nearest thing above it that is there. */
static struct doc_pos qos_pos(const struct check *c, const char *cls, const char *key,
                              const char *sub, char path[CHECK_PATH_SIZE])
{
    const struct doc_node *at = doc_get(c->root, "qos");
    const char *steps[] = {cls ? "classes" : key, cls, cls ? key : NULL, sub};

    snprintf(path, CHECK_PATH_SIZE, "qos");
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        const struct doc_node *below = steps[i] ? doc_get(at, steps[i]) : NULL;
        size_t used = strlen(path);

        if (!steps[i])
            continue;
        if (below)
            at = below;
        snprintf(path + used, CHECK_PATH_SIZE - used, ".%s", steps[i]);
    }
    return at ? at->pos : c->root->pos;
}

static bool said(const struct check *c, const char *key)
{
    return doc_get(doc_get(c->root, "qos"), key) != NULL;
}

/* Does the class have this key, in one direction's own map or beside it? */
static bool class_says(const struct check *c, const struct config_class *cls, const char *map,
                       const char *key)
{
    const struct doc_node *node = doc_get(doc_get(doc_get(c->root, "qos"), "classes"), cls->name);

    return doc_get(map ? doc_get(node, map) : node, key) != NULL;
}

static struct config_class *class_find(const struct config_qos *qos, const char *name)
{
    for (size_t i = 0; i < qos->n_classes; i++) {
        if (strcmp(qos->classes[i].name, name) == 0)
            return &qos->classes[i];
    }
    return NULL;
}

/* A name that is no class: which may have been meant? */
static void no_such_class(struct check *c, const struct doc_pos *pos, const char *path,
                          const char *name)
{
    const struct config_qos *qos = &c->config->qos;
    const char *names[CONFIG_CLASSES_MAX + 1];
    const char *nearest;
    size_t n = 0;

    for (; n < qos->n_classes && n < CONFIG_CLASSES_MAX; n++)
        names[n] = qos->classes[n].name;
    names[n] = NULL;
    nearest = text_nearest(name, names);
    if (nearest)
        problem_add(c->problems, PROBLEM_ERROR, pos, path,
                    "no class \"%s\" in qos.classes (did you mean \"%s\"?)", name, nearest);
    else
        problem_add(c->problems, PROBLEM_ERROR, pos, path,
                    "no class \"%s\" in qos.classes (describe it there, or choose another)", name);
}

/* ---- classes ------------------------------------------------------------------------------- */

/* The place of a rate or a ceiling, in one direction's own map or, where @map is NULL, beside it.
 */
static struct doc_pos rate_pos(const struct check *c, const struct config_class *cls,
                               const char *map, const char *key, char path[CHECK_PATH_SIZE])
{
    return qos_pos(c, cls->name, map ? map : key, map ? key : NULL, path);
}

static void complain_ceil(struct check *c, const struct config_class *cls, const char *map,
                          const struct config_rates *rates)
{
    char path[CHECK_PATH_SIZE], a[RATE_STRLEN], b[RATE_STRLEN];
    struct doc_pos pos = rate_pos(c, cls, map, "ceil", path);

    problem_add(c->problems, PROBLEM_ERROR, &pos, path,
                "%s is below the guaranteed rate %s (raise it, or lower the rate)",
                rate_format(rates->ceil, a), rate_format(rates->rate, b));
}

static void check_rates(struct check *c, struct config_class *cls, const struct direction *d)
{
    struct config_rates *rates = rates_of(cls, d);
    const char *map = rates->rate || rates->ceil ? d->name : NULL;
    /* What stands beside the maps is for each direction without one: complained about once. */
    bool tell = map || d == directions || class_says(c, cls, directions->name, "rate") ||
                class_says(c, cls, directions->name, "ceil");
    uint64_t total = total_of(&c->config->qos, d);
    char path[CHECK_PATH_SIZE], a[RATE_STRLEN], b[RATE_STRLEN];
    struct doc_pos pos = rate_pos(c, cls, map, "rate", path);

    if (!map)
        *rates = cls->both;
    if (rates->rate == 0) {
        /* One that is there and zero was complained about already. */
        if (tell && !class_says(c, cls, map, "rate"))
            problem_add(
                c->problems, PROBLEM_ERROR, &pos, path,
                "is missing (write what a user of this class is guaranteed, such as 5mbit)");
        return;
    }
    if (rates->ceil && rates->ceil < rates->rate && tell)
        complain_ceil(c, cls, map, rates);
    if (rates->ceil < rates->rate)
        rates->ceil = rates->rate;
    if (total && rates->rate > total)
        problem_add(c->problems, PROBLEM_ERROR, &pos, path,
                    "%s is more than qos.%s gives everybody together, %s (lower one, or raise the "
                    "other)",
                    rate_format(rates->rate, a), d->name, rate_format(total, b));
}

/* What a class adds up to when all its users are there. */
static uint64_t class_users(const struct config *config, const struct config_class *cls)
{
    uint64_t n = 0;

    for (size_t i = 0; i < config->n_users; i++)
        n += config->users[i].cls == cls && config->users[i].enabled;
    return n;
}

/* Summands as a text, which ends in how many more there are where it would be too long. */
struct sum {
    uint64_t bits;
    char text[224];
    size_t used, left_out;
};

static void sum_add(struct sum *sum, uint64_t bits, const char *summand)
{
    const size_t room = sizeof(sum->text) - sum->used;

    sum->bits += bits;
    if (sum->left_out || strlen(summand) + sizeof(" + ") > room)
        sum->left_out++;
    else
        sum->used +=
            (size_t)snprintf(sum->text + sum->used, room, "%s%s", sum->used ? " + " : "", summand);
}

/* "2 vip at 5mbit + backup 2mbit": only what is fixed, or everything. */
static uint64_t sum_rates(struct check *c, const struct direction *d, bool all, char *text,
                          size_t size)
{
    struct config_qos *qos = &c->config->qos;
    struct sum sum = {.used = 0};
    char summand[CONFIG_CLASS_NAME_SIZE + RATE_STRLEN + 32], buf[RATE_STRLEN];

    for (size_t i = 0; i < qos->n_classes; i++) {
        struct config_class *cls = &qos->classes[i];
        uint64_t rate = rates_of(cls, d)->rate, users = class_users(c->config, cls);

        /* One without a rate was complained about already. */
        if (rate == 0 || (!all && !cls->guaranteed && !cls->shared))
            continue;
        rate_format(rate, buf);
        if (cls->shared) {
            snprintf(summand, sizeof(summand), "%s %s", cls->name, buf);
            sum_add(&sum, rate, summand);
        } else if (users) {
            snprintf(summand, sizeof(summand), "%" PRIu64 " %s at %s", users, cls->name, buf);
            sum_add(&sum, users * rate, summand);
        }
    }
    if (sum.left_out)
        snprintf(text, size, "%s + %zu more", sum.text, sum.left_out);
    else
        snprintf(text, size, "%s", sum.text);
    return sum.bits;
}

static void check_sums(struct check *c, const struct direction *d)
{
    uint64_t total = total_of(&c->config->qos, d);
    char path[CHECK_PATH_SIZE], text[256], a[RATE_STRLEN], b[RATE_STRLEN];
    struct doc_pos pos = qos_pos(c, NULL, "classes", NULL, path);
    uint64_t sum = sum_rates(c, d, false, text, sizeof(text));

    if (total == 0)
        return;
    if (sum > total) {
        problem_add(c->problems, PROBLEM_ERROR, &pos, path,
                    "what is guaranteed or shared cannot be met: %s = %s is more than qos.%s, %s "
                    "(lower the rates, raise qos.%s, or remove guaranteed)",
                    text, rate_format(sum, a), d->name, rate_format(total, b), d->name);
        return;
    }
    sum = sum_rates(c, d, true, text, sizeof(text));
    if (sum > total)
        problem_add(c->problems, PROBLEM_NOTE, &pos, path,
                    "with everybody connected, %s = %s is more than qos.%s, %s: rates without "
                    "guaranteed are then scaled down to fit",
                    text, rate_format(sum, a), d->name, rate_format(total, b));
}

/* ---- who has which ------------------------------------------------------------------------- */

static void check_users(struct check *c)
{
    struct config *config = c->config;

    for (size_t i = 0; i < config->n_users; i++) {
        struct config_user *user = &config->users[i];
        char path[CHECK_PATH_SIZE];
        struct doc_pos pos;

        user->cls = config->qos.default_class;
        if (!user->class_name || !check_user_named(user))
            continue;
        user->cls = class_find(&config->qos, user->class_name);
        pos = check_user_pos(c, user, "class", 0, 1, path);
        if (!doc_get(c->root, "qos"))
            problem_add(c->problems, PROBLEM_ERROR, &pos, path,
                        "there is no qos: in this file that could describe class \"%s\" (write "
                        "one, or remove the key)",
                        user->class_name);
        else if (!user->cls)
            no_such_class(c, &pos, path, user->class_name);
    }
}

static void check_totals(struct check *c)
{
    const struct config_qos *qos = &c->config->qos;
    char path[CHECK_PATH_SIZE];

    for (size_t i = 0; i < ARRAY_SIZE(directions); i++) {
        struct doc_pos pos = qos_pos(c, NULL, directions[i].name, NULL, path);

        if (total_of(qos, &directions[i]) == 0 && !said(c, directions[i].name))
            problem_add(c->problems, PROBLEM_ERROR, &pos, path,
                        "is missing (write a little less than the line carries, such as 50mbit)");
    }
}

void check_qos(struct check *c)
{
    struct config_qos *qos = &c->config->qos;
    const struct doc_node *node = doc_get(c->root, "qos");
    char path[CHECK_PATH_SIZE];

    if (node && node->kind == DOC_MAP) {
        check_totals(c);
        if (qos->default_name) {
            struct doc_pos pos = qos_pos(c, NULL, "default-class", NULL, path);

            qos->default_class = class_find(qos, qos->default_name);
            if (!qos->default_class)
                no_such_class(c, &pos, path, qos->default_name);
        }
    }
    for (size_t i = 0; i < qos->n_classes; i++) {
        for (size_t k = 0; k < ARRAY_SIZE(directions); k++)
            check_rates(c, &qos->classes[i], &directions[k]);
    }
    check_users(c);
    for (size_t k = 0; node && k < ARRAY_SIZE(directions); k++)
        check_sums(c, &directions[k]);
}
