/* Looking for secrets; see scan.h. */
#include "tests/enclave/scan.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <sodium.h>

#define CHUNK       (1 << 20)
#define PATTERN_MAX 40
#define OVERLAP     64 /* longer than a pattern: none is cut in two by the end of a chunk */

static const char *const form_names[SCAN_FORMS] = {"first half", "last half", "hex",
                                                   "upper-case hex", "base64"};

struct pattern {
    uint8_t bytes[PATTERN_MAX];
    size_t len;
    int next; /* with the same first two bytes */
    bool found;
    char where[160];
};

struct needle {
    char name[64];
    uint8_t key[SCAN_KEY_LEN];
    struct pattern pattern[SCAN_FORMS];
};

struct scan {
    size_t n;
    struct needle needle[SCAN_NEEDLES];
    int head[1 << 16]; /* needle × SCAN_FORMS + form, by the first two bytes; -1: none */
    uint8_t chunk[CHUNK + OVERLAP];
};

struct scan *scan_new(void)
{
    struct scan *s = calloc(1, sizeof(*s));

    assert_non_null(s);
    memset(s->head, 0xff, sizeof(s->head));
    return s;
}

void scan_free(struct scan *s)
{
    if (s)
        sodium_memzero(s, sizeof(*s));
    free(s);
}

size_t scan_text(const uint8_t key[SCAN_KEY_LEN], enum scan_form form, char out[80])
{
    char *c;

    switch (form) {
    case SCAN_RAW_FIRST:
    case SCAN_RAW_LAST:
        memcpy(out, key + (form == SCAN_RAW_LAST ? 16 : 0), 16);
        return 16;
    case SCAN_HEX_LOWER:
    case SCAN_HEX_UPPER:
        sodium_bin2hex(out, 80, key, SCAN_KEY_LEN);
        for (c = out; form == SCAN_HEX_UPPER && *c; c++)
            if (*c >= 'a')
                *c = (char)(*c - 'a' + 'A');
        return 64;
    case SCAN_BASE64:
        sodium_bin2base64(out, 80, key, SCAN_KEY_LEN, sodium_base64_VARIANT_ORIGINAL);
        return 44;
    case SCAN_FORMS:
        break;
    }
    return 0;
}

static unsigned int first_two(const uint8_t *p)
{
    return p[0] | (unsigned int)p[1] << 8;
}

static struct pattern *pattern_at(struct scan *s, int number)
{
    return &s->needle[number / SCAN_FORMS].pattern[number % SCAN_FORMS];
}

void scan_add(struct scan *s, const char *name, const uint8_t key[SCAN_KEY_LEN])
{
    struct needle *n = &s->needle[s->n];
    size_t i;
    int form;

    for (i = 0; i < s->n; i++)
        if (memcmp(s->needle[i].key, key, SCAN_KEY_LEN) == 0)
            return;
    assert_true(s->n < SCAN_NEEDLES);
    snprintf(n->name, sizeof(n->name), "%s", name);
    memcpy(n->key, key, SCAN_KEY_LEN);
    for (form = 0; form < SCAN_FORMS; form++) {
        struct pattern *p = &n->pattern[form];
        char text[80];
        int *head;

        p->len = scan_text(key, (enum scan_form)form, text);
        if (p->len > PATTERN_MAX)
            p->len = PATTERN_MAX;
        if (form == SCAN_BASE64)
            p->len = 40; /* without its padding */
        memcpy(p->bytes, text, p->len);
        head = &s->head[first_two(p->bytes)];
        p->next = *head;
        *head = (int)s->n * SCAN_FORMS + form;
        sodium_memzero(text, sizeof(text));
    }
    s->n++;
}

void scan_clear(struct scan *s)
{
    size_t i;

    for (i = 0; i < s->n * SCAN_FORMS; i++)
        pattern_at(s, (int)i)->found = false;
}

static void compare(struct scan *s, const char *where, const uint8_t *at, size_t left,
                    uint64_t offset)
{
    int number;

    for (number = s->head[first_two(at)]; number >= 0; number = pattern_at(s, number)->next) {
        struct pattern *p = pattern_at(s, number);

        if (p->len > left || memcmp(at, p->bytes, p->len) != 0)
            continue;
        if (!p->found)
            snprintf(p->where, sizeof(p->where), "%.120s at %#lx", where, (unsigned long)offset);
        p->found = true;
    }
}

static void search(struct scan *s, const char *where, const uint8_t *bytes, size_t len,
                   uint64_t offset)
{
    size_t i;

    for (i = 0; i + 1 < len; i++)
        if (s->head[first_two(bytes + i)] >= 0)
            compare(s, where, bytes + i, len - i, offset + i);
}

void scan_buffer(struct scan *s, const char *where, const void *bytes, size_t len)
{
    search(s, where, bytes, len, 0);
}

/* From @start of @fd until @end or until nothing can be read.  Return: bytes read. */
static size_t search_fd(struct scan *s, const char *where, int fd, uint64_t start, uint64_t end)
{
    size_t kept = 0, total = 0;

    while (start < end) {
        size_t want = end - start < CHUNK ? end - start : CHUNK;
        ssize_t n = pread(fd, s->chunk + kept, want, (off_t)start);

        if (n <= 0)
            break;
        search(s, where, s->chunk, kept + (size_t)n, start - kept);
        start += (uint64_t)n;
        total += (size_t)n;
        kept += (size_t)n;
        if (kept > OVERLAP) {
            memmove(s->chunk, s->chunk + kept - OVERLAP, OVERLAP);
            kept = OVERLAP;
        }
    }
    return total;
}

size_t scan_process(struct scan *s, pid_t pid)
{
    char path[64], line[512];
    size_t total = 0;
    FILE *maps;
    int mem;

    snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
    mem = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(mem >= 0);
    snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
    maps = fopen(path, "re");
    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps)) {
        unsigned long start, end;
        char mode[8];

        line[strcspn(line, "\n")] = '\0';
        if (sscanf(line, "%lx-%lx %7s", &start, &end, mode) == 3 && mode[0] == 'r' &&
            !strstr(line, "[v")) /* vvar, vdso, vsyscall: the kernel's */
            total += search_fd(s, line, mem, start, end);
    }
    fclose(maps);
    close(mem);
    return total;
}

size_t scan_file(struct scan *s, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t total;

    if (fd < 0)
        return 0;
    total = search_fd(s, path, fd, 0, UINT64_MAX >> 1);
    close(fd);
    return total;
}

bool scan_found(const struct scan *s, const uint8_t key[SCAN_KEY_LEN], enum scan_form form)
{
    size_t i;

    for (i = 0; i < s->n; i++)
        if (memcmp(s->needle[i].key, key, SCAN_KEY_LEN) == 0)
            return s->needle[i].pattern[form].found;
    return false;
}

unsigned int scan_report(const struct scan *s, const char *phase)
{
    unsigned int found = 0;
    size_t i;
    int form;

    for (i = 0; i < s->n; i++) {
        for (form = 0; form < SCAN_FORMS; form++) {
            const struct pattern *p = &s->needle[i].pattern[form];

            if (!p->found)
                continue;
            print_message("# %s: %s (%s) in %s\n", phase, s->needle[i].name, form_names[form],
                          p->where);
            found++;
        }
    }
    return found;
}

/* ---- the positive control ------------------------------------------------------------------- */

#define CONTROL_SIZE (1 << 20)

static void __attribute__((noreturn)) hold(int fd)
{
    uint8_t *heap = malloc(CONTROL_SIZE);
    uint8_t *shared =
        mmap(NULL, CONTROL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint8_t text[128];
    size_t used = 0;
    ssize_t n;

    if (!heap || shared == MAP_FAILED)
        _exit(1);
    while ((n = recv(fd, text, sizeof(text), 0)) > 0 && used + sizeof(text) < CONTROL_SIZE) {
        /* In turn; the odd distance is no alignment that a scan could rely on. */
        memcpy((used & 1 ? shared : heap) + used, text, (size_t)n);
        used += (size_t)n + 13;
        sodium_memzero(text, sizeof(text));
        if (send(fd, "", 1, 0) < 0)
            break;
    }
    _exit(0);
}

void scan_control_start(struct scan_control *c)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    c->pid = fork();
    assert_true(c->pid >= 0);
    if (c->pid == 0) {
        close(pair[0]);
        hold(pair[1]);
    }
    close(pair[1]);
    c->fd = pair[0];
}

static void plant(struct scan_control *c, const uint8_t key[SCAN_KEY_LEN], enum scan_form form)
{
    char text[80];
    size_t len = scan_text(key, form, text);
    char ack;

    assert_int_equal(send(c->fd, text, len, MSG_NOSIGNAL), len);
    assert_int_equal(recv(c->fd, &ack, 1, 0), 1);
    sodium_memzero(text, sizeof(text));
}

void scan_control_check(struct scan_control *c, struct scan *s)
{
    size_t i;
    int form;

    scan_clear(s);
    assert_true(scan_process(s, c->pid) > CONTROL_SIZE);
    assert_int_equal(scan_report(s, "control, nothing planted"), 0);
    for (i = 0; i < s->n; i++)
        for (form = 0; form < SCAN_FORMS; form++)
            plant(c, s->needle[i].key, (enum scan_form)form);
    (void)scan_process(s, c->pid);
    for (i = 0; i < s->n; i++)
        for (form = 0; form < SCAN_FORMS; form++)
            if (!s->needle[i].pattern[form].found)
                fail_msg("a planted key was missed: %s, %s", s->needle[i].name, form_names[form]);
    assert_true(s->n > 0);
    print_message("# control: %zu keys planted and found in %d forms each\n", s->n, SCAN_FORMS);
    scan_clear(s);
    kill(c->pid, SIGKILL);
    waitpid(c->pid, NULL, 0);
    close(c->fd);
}
