/* The applied configurations: kept, bounded, gone back to; crashes and full disks in between. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/history.h"

struct fixture {
    char dir[40];
    struct history *h;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    strcpy(f->dir, "/tmp/test_history.XXXXXX");
    *state = f;
    return mkdtemp(f->dir) ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char pattern[64];
    glob_t found;

    history_free(f->h);
    snprintf(pattern, sizeof(pattern), "%s/history/*", f->dir);
    if (glob(pattern, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++)
            unlink(found.gl_pathv[i]);
    globfree(&found);
    snprintf(pattern, sizeof(pattern), "%s/history", f->dir);
    rmdir(pattern);
    rmdir(f->dir);
    free(f);
    return 0;
}

static void reopen(struct fixture *f, const char *boot)
{
    struct err err;

    history_free(f->h);
    f->h = NULL;
    if (history_open(&f->h, f->dir, boot, &err) < 0)
        fail_msg("%s", err.msg);
}

static void bundle_of(const char *text, struct bundle *out)
{
    *out = (struct bundle){0};
    assert_int_equal(bundle_add(out, "/etc/vpn/vpn.yaml", text, strlen(text)), 0);
    assert_int_equal(bundle_add(out, "/etc/vpn/vpn.yaml.d/10.yaml", "x: \"\\n\"\n", 8), 0);
}

static void hash_of(const char *text, uint8_t hash[BUNDLE_HASH_LEN])
{
    struct bundle bundle;

    bundle_of(text, &bundle);
    bundle_hash(&bundle, hash);
    bundle_clear(&bundle);
}

static int stage(struct fixture *f, const char *text, uint64_t until_ms, bool reject,
                 struct err *err)
{
    json_t *changes = json_pack("[s]", text);
    const struct history_note note = {.by = "root",
                                      .how = reject ? "rollback" : "apply",
                                      .time_s = 1700000000,
                                      .changes = changes,
                                      .until_ms = until_ms,
                                      .reject = reject};
    struct bundle bundle;
    int rc;

    bundle_of(text, &bundle);
    rc = history_stage(f->h, &bundle, &note, err);
    bundle_clear(&bundle);
    json_decref(changes);
    return rc;
}

static void apply(struct fixture *f, const char *text, uint64_t until_ms, bool reject)
{
    struct err err;

    if (stage(f, text, until_ms, reject, &err) < 0 || history_commit(f->h, &err) < 0)
        fail_msg("%s", err.msg);
}

static void assert_text(const struct fixture *f, const struct history_record *r, const char *text)
{
    struct bundle bundle = {0};
    struct err err;

    assert_non_null(r);
    if (history_load(f->h, r->number, &bundle, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(bundle.n, 2);
    assert_int_equal(bundle.files[0].len, strlen(text));
    assert_memory_equal(bundle.files[0].text, text, strlen(text));
    assert_string_equal(bundle.files[1].name, "/etc/vpn/vpn.yaml.d/10.yaml");
    bundle_clear(&bundle);
}

static enum history_verdict judge(const struct fixture *f, const char *text, uint64_t now_ms)
{
    uint8_t hash[BUNDLE_HASH_LEN];

    hash_of(text, hash);
    return history_judge(f->h, hash, now_ms);
}

static void test_kept(void **state)
{
    struct fixture *f = *state;

    reopen(f, "b");
    assert_int_equal(history_count(f->h), 0);
    assert_null(history_current(f->h));
    assert_null(history_back(f->h, 1));
    assert_int_equal(judge(f, "a", 5), HISTORY_RUN_FILE);
    apply(f, "a", 0, false);
    apply(f, "b", 0, false);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(history_count(f->h), 2);
        assert_int_equal(history_damaged(f->h), 0);
        assert_int_equal(history_at(f->h, 0)->number, 2);
        assert_ptr_equal(history_current(f->h), history_at(f->h, 0));
        assert_ptr_equal(history_confirmed(f->h), history_at(f->h, 0));
        assert_string_equal(history_at(f->h, 1)->by, "root");
        assert_string_equal(history_at(f->h, 1)->how, "apply");
        assert_int_equal(history_at(f->h, 1)->time_s, 1700000000);
        assert_string_equal(json_string_value(json_array_get(history_at(f->h, 1)->changes, 0)),
                            "a");
        assert_text(f, history_current(f->h), "b");
        assert_text(f, history_back(f->h, 1), "a");
        assert_null(history_back(f->h, 2));
        assert_false(history_pending(f->h, NULL));
        assert_int_equal(judge(f, "b", 5), HISTORY_RUN_FILE);
        assert_int_equal(judge(f, "c", 5), HISTORY_RUN_FILE);
        reopen(f, "b");
    }
}

static void test_bounded(void **state)
{
    struct fixture *f = *state;
    char text[16];

    reopen(f, "b");
    apply(f, "first", 0, false);
    /* All the others await confirmation: the first must stay, it is the way back. */
    for (int i = 0; i < 2 * HISTORY_MAX; i++) {
        snprintf(text, sizeof(text), "t%d", i);
        apply(f, text, 1000, false);
    }
    for (int round = 0; round < 2; round++) {
        assert_int_equal(history_count(f->h), HISTORY_MAX);
        assert_text(f, history_confirmed(f->h), "first");
        assert_text(f, history_at(f->h, HISTORY_MAX - 1), "first");
        assert_text(f, history_current(f->h), text);
        assert_int_equal(history_current(f->h)->number, 2 * HISTORY_MAX + 1);
        reopen(f, "b");
    }
}

static void test_confirmation(void **state)
{
    struct fixture *f = *state;
    uint64_t until = 0;
    struct err err;

    reopen(f, "boot1");
    apply(f, "old", 0, false);
    assert_int_equal(history_confirm(f->h, &err), -ENOENT);
    apply(f, "new", 5000, false);
    reopen(f, "boot1");
    assert_true(history_pending(f->h, &until));
    assert_int_equal(until, 5000);
    assert_text(f, history_back(f->h, 1), "old");
    /* Whether the file has the new contents or not: it goes on until the time is up. */
    assert_int_equal(judge(f, "new", 4999), HISTORY_RUN_PENDING);
    assert_int_equal(judge(f, "old", 4999), HISTORY_RUN_PENDING);
    assert_int_equal(judge(f, "new", 5000), HISTORY_RUN_CONFIRMED);
    assert_int_equal(judge(f, "old", 5000), HISTORY_RUN_FILE);
    /* Written since. */
    assert_int_equal(judge(f, "third", 4999), HISTORY_RUN_FILE);
    /* Nobody could reach the machine and started it again. */
    reopen(f, "boot2");
    assert_int_equal(judge(f, "new", 1), HISTORY_RUN_CONFIRMED);
    assert_int_equal(judge(f, "old", 1), HISTORY_RUN_FILE);

    reopen(f, "boot1");
    assert_int_equal(history_confirm(f->h, &err), 0);
    reopen(f, "boot1");
    assert_false(history_pending(f->h, NULL));
    assert_text(f, history_confirmed(f->h), "new");
    assert_int_equal(judge(f, "new", 9999), HISTORY_RUN_FILE);
}

static void test_rejected(void **state)
{
    struct fixture *f = *state;
    uint8_t hash[BUNDLE_HASH_LEN];
    char text[16];

    reopen(f, "b");
    apply(f, "a", 0, false);
    apply(f, "b", 0, false);
    apply(f, "c", 0, false);
    /* c is rolled back, to b; then b, to a. */
    assert_text(f, history_back(f->h, 1), "b");
    apply(f, "b", 0, true);
    reopen(f, "b");
    assert_int_equal(judge(f, "c", 5), HISTORY_RUN_CONFIRMED);
    assert_int_equal(judge(f, "b", 5), HISTORY_RUN_FILE);
    assert_text(f, history_back(f->h, 1), "a");
    apply(f, "a", 0, true);
    assert_int_equal(judge(f, "b", 5), HISTORY_RUN_CONFIRMED);
    assert_null(history_back(f->h, 1));
    /* Asked for by name it may come again. */
    apply(f, "c", 0, false);
    assert_int_equal(judge(f, "c", 5), HISTORY_RUN_FILE);
    assert_int_equal(judge(f, "b", 5), HISTORY_RUN_CONFIRMED);

    /* Only so many are remembered, the oldest go. */
    for (int i = 0; i < HISTORY_REJECTED_MAX; i++) {
        snprintf(text, sizeof(text), "t%d", i);
        apply(f, text, 0, false);
        apply(f, "good", 0, true);
    }
    reopen(f, "b");
    hash_of("b", hash);
    assert_false(history_rejected(f->h, hash));
    hash_of("t0", hash);
    assert_true(history_rejected(f->h, hash));
    assert_int_equal(judge(f, "t63", 5), HISTORY_RUN_CONFIRMED);
}

static size_t temporaries(const struct fixture *f)
{
    char pattern[64];
    glob_t found;
    size_t n;

    snprintf(pattern, sizeof(pattern), "%s/history/*.new", f->dir);
    n = glob(pattern, 0, NULL, &found) == 0 ? found.gl_pathc : 0;
    globfree(&found);
    return n;
}

/* Staged, and then the daemon was killed, or gave up. */
static void test_crash(void **state)
{
    struct fixture *f = *state;
    struct history *leaked;
    struct err err;

    reopen(f, "b");
    apply(f, "a", 0, false);
    assert_int_equal(stage(f, "b", 0, false, &err), 0);
    leaked = f->h;
    f->h = NULL; /* leaked as by kill -9 */
    reopen(f, "b");
    assert_int_equal(temporaries(f), 2);
    history_clean(f->h);
    assert_int_equal(temporaries(f), 0);
    assert_int_equal(history_count(f->h), 1);
    assert_text(f, history_current(f->h), "a");
    assert_int_equal(stage(f, "b", 0, false, &err), 0);
    history_abort(f->h);
    assert_text(f, history_current(f->h), "a");
    apply(f, "c", 0, false);
    assert_text(f, history_current(f->h), "c");
    assert_int_equal(history_commit(f->h, &err), -EINVAL);
    history_free(leaked);
}

static void test_full_disk(void **state)
{
    struct fixture *f = *state;
    struct rlimit limit, none;
    struct err err = {0};

    reopen(f, "b");
    apply(f, "a", 0, false);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    none = (struct rlimit){100, limit.rlim_max};
    setrlimit(RLIMIT_FSIZE, &none);
    assert_int_equal(stage(f, "b", 0, false, &err), -EFBIG);
    assert_string_equal(err.msg,
                        "the configuration cannot be kept in the state folder: File too large");
    setrlimit(RLIMIT_FSIZE, &limit);
    assert_text(f, history_current(f->h), "a");
    reopen(f, "b");
    assert_int_equal(history_count(f->h), 1);
    assert_int_equal(history_damaged(f->h), 0);
    apply(f, "b", 0, false);
    assert_text(f, history_current(f->h), "b");
}

static void file_put(const struct fixture *f, const char *name, const char *text)
{
    char path[128];
    FILE *out;

    snprintf(path, sizeof(path), "%s/history/%s", f->dir, name);
    out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static void test_damaged(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{\"version\":1}",
        "{\"version\":1,\"current\":-1,\"confirmed\":0,\"rejected\":[]}",
        "{\"version\":1,\"current\":1,\"confirmed\":1,\"rejected\":[\"zz\"]}",
        "{\"version\":1,\"current\":1,\"confirmed\":1,\"rejected\":[],\"pending\":{}}",
        "{\"version\":2,\"current\":1,\"confirmed\":1,\"rejected\":[]}",
    };
    struct fixture *f = *state;
    struct bundle bundle = {0};
    struct err err;

    reopen(f, "b");
    apply(f, "a", 0, false);
    apply(f, "b", 0, false);
    file_put(f, "0000000001.json", "{\"version\":1,\"number\":1");
    reopen(f, "b");
    assert_int_equal(history_damaged(f->h), 1);
    assert_int_equal(history_count(f->h), 1);
    assert_text(f, history_current(f->h), "b");
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        file_put(f, "state.json", bad[i]);
        reopen(f, "b");
        assert_int_equal(history_damaged(f->h), 2);
        assert_null(history_current(f->h));
        assert_int_equal(judge(f, "b", 5), HISTORY_RUN_FILE);
    }
    /* What waits to be confirmed and cannot be read. */
    file_put(
        f, "state.json",
        "{\"version\":1,\"current\":1,\"confirmed\":2,\"rejected\":[],\"pending\":{\"boot\":\"b\","
        "\"until_ms\":9}}");
    reopen(f, "b");
    assert_false(history_pending(f->h, NULL));
    assert_int_equal(history_confirm(f->h, &err), -ENOENT);
    /* A new one goes on counting: numbers stand for one configuration. */
    apply(f, "c", 0, false);
    assert_int_equal(history_current(f->h)->number, 3);
    /* Contents that are not those of the hash. */
    file_put(
        f, "0000000003.json",
        "{\"version\":1,\"number\":3,\"hash\":\"0000000000000000000000000000000000000000000000000"
        "000000000000000\",\"time\":1,\"by\":\"x\",\"how\":\"y\",\"changes\":[],\"files\":[{"
        "\"name\":\"n\",\"bytes\":1}]}\nt");
    reopen(f, "b");
    assert_int_equal(history_load(f->h, 3, &bundle, &err), -EBADMSG);
    assert_int_equal(bundle.n, 0);
    assert_int_equal(history_load(f->h, 99, &bundle, &err), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_confirmation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rejected, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crash, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
