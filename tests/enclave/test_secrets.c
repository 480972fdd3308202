/*
 * No key of the enclave is found in vpn-server: not in its memory, nor its spawner's, nor the
 * rings, nor a core, nor the log; before a login, during it, with traffic, after a rekey, after the
 * end of the session and after the enclave was killed.
 *
 * The test is the client, so it knows every secret of each login.  What makes a silent scan mean
 * something: a pattern sent through the tunnel is found in vpn-server by the same scan; keys
 * planted in another process are found in every form; and the enclave's own region holds the keys
 * that are looked for.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <sodium.h>

#include "common/clock.h"
#include "common/cred.h"
#include "tests/enclave/daemon.h"
#include "tests/enclave/peer.h"
#include "tests/enclave/scan.h"

#define PORT    51820
#define WAIT_MS 10000

static struct daemon server;
static struct scan *needles;
static struct scan_control control;
static struct peer client;
static int sock;
static uint8_t identity[WIRE_KEY_LEN];

/* ---- set up --------------------------------------------------------------------------------- */

static void run_init(void)
{
    const char *program = daemon_program("vpn-server");
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);

        dup2(null, STDOUT_FILENO);
        execl(program, program, "--init", server.dir, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void read_identity(void)
{
    char path[64], line[128] = "";
    int fd;

    snprintf(path, sizeof(path), "%s/identity.key", server.dir);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_true(cred_secret_read(fd, line, sizeof(line)) > 0);
    close(fd);
    assert_int_equal(cred_key_decode(line, identity), 0);
    sodium_memzero(line, sizeof(line));
}

static int set_up(void **state)
{
    const char *argv[] = {NULL, "-v", "-c", NULL, NULL};
    char text[1024], key[CRED_KEY_TEXT_LEN + 1], path[64];
    uint8_t user_key[WIRE_KEY_LEN], server_public[WIRE_KEY_LEN];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};

    (void)state;
    scan_control_start(&control);
    needles = scan_new();
    daemon_dir(&server);
    run_init();
    read_identity();
    cred_public(identity, server_public);
    cred_key_random(user_key);
    peer_init(&client, user_key, "alice", server_public);
    sodium_memzero(user_key, sizeof(user_key));
    cred_key_encode(client.public_key, key);
    snprintf(text, sizeof(text),
             "server: {listen: [\"127.0.0.1:%d\"], workers: 2}\n"
             "users: {alice: {key: \"%s\"}}\n"
             "log: {level: debug, file: %s}\n",
             PORT, key, server.log);
    snprintf(path, sizeof(path), "%s/vpn.yaml.d", server.dir);
    assert_int_equal(mkdir(path, 0755), 0);
    daemon_write(&server, "vpn.yaml.d/test.yaml", 0644, text);
    snprintf(path, sizeof(path), "%s/vpn.yaml", server.dir);
    argv[0] = daemon_program("vpn-server");
    argv[3] = path;
    daemon_start(&server, argv);
    daemon_wait_log(&server, "running", 1);
    daemon_find(&server);

    sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(sock, (struct sockaddr *)&to, sizeof(to)), 0);
    scan_add(needles, "the server's private key", identity);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close(sock);
    daemon_stop(&server);
    scan_free(needles);
    return 0;
}

/* ---- the client's side ---------------------------------------------------------------------- */

/* The next datagram until @until_ms.  Return: its length, 0 when none came. */
static size_t receive(uint8_t datagram[WIRE_DATAGRAM_MAX], uint64_t until_ms)
{
    struct pollfd p = {.fd = sock, .events = POLLIN};
    uint64_t now_ms = clock_mono_ms();
    ssize_t n;

    if (poll(&p, 1, until_ms > now_ms ? (int)(until_ms - now_ms) : 0) != 1)
        return 0;
    n = recv(sock, datagram, WIRE_DATAGRAM_MAX, 0);
    assert_true(n > 0);
    return (size_t)n;
}

static void add_secrets(void)
{
    size_t i;

    for (i = 0; i < client.n_secrets; i++)
        scan_add(needles, client.secrets[i].name, client.secrets[i].bytes);
}

/* One request and its answer; what the session sends on its own meanwhile is read over. */
static unsigned int request(void)
{
    uint64_t until_ms = clock_mono_ms() + WAIT_MS;
    uint8_t req[WIRE_CONNECT_REQ_LEN], datagram[WIRE_DATAGRAM_MAX];
    unsigned int status;
    size_t len;

    peer_request(&client, req);
    assert_int_equal(send(sock, req, sizeof(req), 0), sizeof(req));
    do {
        len = receive(datagram, until_ms);
        assert_true(len > 0);
    } while (len != WIRE_CONNECT_RESP_LEN || datagram[0] != WIRE_CONNECT_RESP);
    status = peer_answer(&client, datagram);
    add_secrets();
    return status;
}

/* Up to the server's answer: the session exists in the enclave and is not confirmed. */
static void log_in(void)
{
    unsigned int status = request();

    if (status == WIRE_STATUS_CHALLENGE)
        status = request();
    assert_int_equal(status, WIRE_STATUS_OK);
}

static void send_sealed(enum wire_type type, const void *plain, size_t len)
{
    uint8_t datagram[WIRE_DATAGRAM_MAX];

    len = peer_seal(&client, type, plain, len, datagram);
    assert_int_equal(send(sock, datagram, len, 0), len);
}

/* Send until a message of type @reply comes back: a datagram may be lost. */
static void ask(enum wire_type type, const void *text, size_t text_len, enum wire_type reply)
{
    uint64_t until_ms = clock_mono_ms() + WAIT_MS;
    uint8_t datagram[WIRE_DATAGRAM_MAX], plain[WIRE_DATAGRAM_MAX];

    while (clock_mono_ms() < until_ms) {
        uint64_t again_ms = clock_mono_ms() + 1000;
        size_t len;

        send_sealed(type, text, text_len);
        while ((len = receive(datagram, again_ms)) > 0)
            if (datagram[0] == reply && peer_open(&client, datagram, len, plain) > 0)
                return;
    }
    fail_msg("no answer through the tunnel");
}

static void confirm(void)
{
    static const uint8_t ping[16] = {7};

    ask(WIRE_PING, ping, sizeof(ping), WIRE_PONG);
}

/*
 * Pings with @pattern, answered by the server's kernel through the tunnel.  At last one that nobody
 * answers: it stays where the enclave put it for the lane, until the next packet takes its place.
 */
static void exchange(const uint8_t pattern[SCAN_KEY_LEN])
{
    uint8_t packet[64];
    size_t len = packet4(packet, client.grant.ip4, client.grant.gateway4, pattern, SCAN_KEY_LEN);
    int i;

    for (i = 0; i < 20; i++)
        ask(WIRE_DATA, packet, len, WIRE_DATA);
    packet[20] = 0; /* an echo reply to nobody, and its checksum is wrong */
    send_sealed(WIRE_DATA, packet, len);
    confirm();
}

/* ---- controls ------------------------------------------------------------------------------- */

/* What goes through the tunnel in clear is there to be found: in memory that the scan must see. */
static void assert_pattern_found(const uint8_t pattern[SCAN_KEY_LEN])
{
    struct scan *s = scan_new();

    scan_add(s, "pattern", pattern);
    (void)scan_process(s, server.pid);
    assert_true(scan_found(s, pattern, SCAN_RAW_FIRST));
    assert_true(scan_found(s, pattern, SCAN_RAW_LAST));
    scan_free(s);
}

/* The keys looked for are those the enclave works with. */
static void assert_keys_live(void)
{
    if (!daemon_scan_enclave(&server, needles))
        return;
    assert_true(scan_found(needles, identity, SCAN_RAW_FIRST));
    assert_true(scan_found(needles, client.send_key, SCAN_RAW_FIRST));
    assert_true(scan_found(needles, client.send_key, SCAN_RAW_LAST));
    assert_true(scan_found(needles, client.recv_key, SCAN_RAW_FIRST));
    assert_true(scan_found(needles, client.recv_key, SCAN_RAW_LAST));
}

/* ---- the phases, in order ------------------------------------------------------------------- */

static void test_before_login(void **state)
{
    (void)state;
    daemon_scan(&server, needles, "before login");
    daemon_assert_sealed_off(&server);
}

static void test_during_login(void **state)
{
    (void)state;
    log_in();
    daemon_scan(&server, needles, "answered, not confirmed");
    assert_keys_live();
    confirm();
    daemon_wait_log(&server, "alice: connected", 1);
}

static void test_traffic(void **state)
{
    uint8_t pattern[SCAN_KEY_LEN];

    (void)state;
    randombytes_buf(pattern, sizeof(pattern));
    exchange(pattern);
    daemon_scan(&server, needles, "traffic");
    assert_pattern_found(pattern);
    assert_keys_live();
    daemon_assert_sealed_off(&server);
    daemon_scan_core(&server, needles);
}

static void test_rekey(void **state)
{
    uint8_t pattern[SCAN_KEY_LEN], old[WIRE_KEY_LEN];

    (void)state;
    memcpy(old, client.send_key, sizeof(old));
    log_in();
    assert_memory_not_equal(old, client.send_key, sizeof(old));
    confirm();
    randombytes_buf(pattern, sizeof(pattern));
    exchange(pattern);
    daemon_scan(&server, needles, "after a rekey");
    assert_pattern_found(pattern);
    assert_keys_live();
}

static void test_disconnect(void **state)
{
    static const uint8_t reason[16] = {1};
    uint64_t until = clock_mono_ms() + WAIT_MS;
    uint8_t key[WIRE_KEY_LEN];

    (void)state;
    memcpy(key, client.send_key, sizeof(key));
    send_sealed(WIRE_DISCONNECT, reason, sizeof(reason));
    daemon_wait_log(&server, "alice: disconnected", 1);
    daemon_scan(&server, needles, "after the end");
    /* The enclave forgets them too, within its tick. */
    do {
        if (!daemon_scan_enclave(&server, needles))
            return;
    } while (scan_found(needles, key, SCAN_RAW_FIRST) && clock_mono_ms() < until);
    assert_false(scan_found(needles, client.send_key, SCAN_RAW_FIRST));
    assert_false(scan_found(needles, client.recv_key, SCAN_RAW_FIRST));
    assert_true(scan_found(needles, identity, SCAN_RAW_FIRST));
}

static void test_enclave_killed(void **state)
{
    uint8_t pattern[SCAN_KEY_LEN];

    (void)state;
    log_in();
    confirm();
    daemon_wait_log(&server, "alice: connected", 2);
    kill(server.enclave, SIGKILL);
    daemon_find(&server);
    daemon_wait_log(&server, "enclave process started", 2);
    daemon_scan(&server, needles, "after a respawn");
    log_in();
    confirm();
    randombytes_buf(pattern, sizeof(pattern));
    exchange(pattern);
    daemon_scan(&server, needles, "traffic after a respawn");
    assert_pattern_found(pattern);
    assert_keys_live();
}

static void test_control(void **state)
{
    (void)state;
    scan_control_check(&control, needles);
}

static void test_abort(void **state)
{
    (void)state;
    daemon_abort(&server, needles);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_before_login), cmocka_unit_test(test_during_login),
        cmocka_unit_test(test_traffic),      cmocka_unit_test(test_rekey),
        cmocka_unit_test(test_disconnect),   cmocka_unit_test(test_enclave_killed),
        cmocka_unit_test(test_control),      cmocka_unit_test(test_abort),
    };
    const char *why = daemon_unavailable("vpn-server");

    if (why) {
        printf("1..0 # SKIP %s\n", why);
        return 77;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, set_up, tear_down) ? 1 : 0;
}
