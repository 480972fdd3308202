/*
 * No key of the enclave, and no token, is found in vpn-client: as test_secrets.c does it for
 * vpn-server.  Here the test is the server, in this process.
 */
#include <arpa/inet.h>
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
#include <unistd.h>
#include <cmocka.h>
#include <sodium.h>

#include "common/clock.h"
#include "common/cred.h"
#include "tests/enclave/daemon.h"
#include "tests/enclave/peer.h"
#include "tests/enclave/scan.h"

#define REALM   "test-3f9c81d2a47be650"
#define WAIT_MS 30000 /* the client waits between its attempts */

static struct daemon daemon_client;
static struct scan *needles;
static struct scan_control control;
static struct peer server;
static struct sockaddr_in client_at;
static int sock;
static uint8_t token[SCAN_KEY_LEN], client_key[WIRE_KEY_LEN];

static const struct hs_grant grant = {
    .ip4 = {10, 8, 0, 10},
    .gateway4 = {10, 8, 0, 1},
    .prefix4 = 24,
    .mtu = 1400,
    .keepalive_s = 25,
    .lease_s = 3600,
};

/* ---- set up --------------------------------------------------------------------------------- */

static uint16_t listen_udp(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof(at);

    sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(sock, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(getsockname(sock, (struct sockaddr *)&at, &len), 0);
    return ntohs(at.sin_port);
}

/* A token, and the key that follows from it. */
static void make_token(char text[CRED_TOKEN_LEN + 2])
{
    cred_token_random(text);
    assert_int_equal(sodium_hex2bin(token, sizeof(token), text, CRED_TOKEN_LEN, NULL, NULL, NULL),
                     0);
    assert_int_equal(cred_key_from_token(REALM, "alice", text, client_key), 0);
    text[CRED_TOKEN_LEN] = '\n';
    text[CRED_TOKEN_LEN + 1] = '\0';
}

static int set_up(void **state)
{
    const char *argv[] = {NULL, "-v", "-c", NULL, NULL};
    char text[1024], key[CRED_KEY_TEXT_LEN + 1], token_text[CRED_TOKEN_LEN + 2], path[64];
    uint8_t server_key[WIRE_KEY_LEN];
    struct daemon *d = &daemon_client;

    (void)state;
    scan_control_start(&control);
    needles = scan_new();
    daemon_dir(d);
    cred_key_random(server_key);
    peer_init(&server, server_key, "", NULL);
    cred_key_encode(server.public_key, key);
    make_token(token_text);
    daemon_write(d, "token", 0400, token_text);
    sodium_memzero(token_text, sizeof(token_text));
    snprintf(text, sizeof(text),
             "version: 1\n"
             "tunnels:\n"
             "  test:\n"
             "    device: tunsecret0\n"
             "    server: 127.0.0.1:%u\n"
             "    server-key: \"%s\"\n"
             "    realm: " REALM "\n"
             "    user: alice\n"
             "    token-file: %s/token\n"
             "state: %s/state\n"
             "control: {socket: %s/vpn.sock}\n"
             "log: {level: debug, file: %s}\n",
             listen_udp(), key, d->dir, d->dir, d->dir, d->log);
    daemon_write(d, "client.yaml", 0600, text);
    snprintf(path, sizeof(path), "%.31s/client.yaml", d->dir);
    argv[0] = daemon_program("vpn-client");
    argv[3] = path;
    daemon_start(d, argv);
    daemon_wait_log(d, "connecting to", 1);
    daemon_find(d);
    scan_add(needles, "the token", token);
    scan_add(needles, "the key made of the token", client_key);
    scan_add(needles, "the server's private key", server_key);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close(sock);
    daemon_stop(&daemon_client);
    scan_free(needles);
    return 0;
}

/* ---- the server's side ---------------------------------------------------------------------- */

/* The next datagram until @until_ms.  Return: its length, 0 when none came. */
static size_t receive(uint8_t datagram[WIRE_DATAGRAM_MAX], uint64_t until_ms)
{
    struct pollfd p = {.fd = sock, .events = POLLIN};
    socklen_t len = sizeof(client_at);
    uint64_t now_ms = clock_mono_ms();
    ssize_t n;

    if (poll(&p, 1, until_ms > now_ms ? (int)(until_ms - now_ms) : 0) != 1)
        return 0;
    n = recvfrom(sock, datagram, WIRE_DATAGRAM_MAX, 0, (struct sockaddr *)&client_at, &len);
    assert_true(n > 0);
    return (size_t)n;
}

static void send_back(const uint8_t *datagram, size_t len)
{
    assert_int_equal(
        sendto(sock, datagram, len, 0, (struct sockaddr *)&client_at, sizeof(client_at)), len);
}

static bool is_request(const uint8_t *datagram, size_t len)
{
    return len == WIRE_CONNECT_REQ_LEN && datagram[0] == WIRE_CONNECT_REQ;
}

/* Make the answer to a request, without sending it. */
static void make_answer(const uint8_t *request, uint8_t resp[WIRE_CONNECT_RESP_LEN])
{
    size_t i;

    peer_respond(&server, request, &grant, resp);
    for (i = 0; i < server.n_secrets; i++)
        scan_add(needles, server.secrets[i].name, server.secrets[i].bytes);
}

static void take_request(uint8_t resp[WIRE_CONNECT_RESP_LEN])
{
    uint64_t until_ms = clock_mono_ms() + WAIT_MS;
    uint8_t datagram[WIRE_DATAGRAM_MAX];
    size_t len;

    do {
        len = receive(datagram, until_ms);
        assert_true(len > 0);
    } while (!is_request(datagram, len));
    make_answer(datagram, resp);
}

static void send_sealed(enum wire_type type, const void *plain, size_t len)
{
    uint8_t datagram[WIRE_DATAGRAM_MAX];

    len = peer_seal(&server, type, plain, len, datagram);
    send_back(datagram, len);
}

/*
 * Answer, until the client confirms the session with its PING.  On a busy machine an answer may
 * come after the client has given that request up: then the next one is answered.
 */
static void answer(uint8_t resp[WIRE_CONNECT_RESP_LEN])
{
    uint64_t until_ms = clock_mono_ms() + WAIT_MS;
    uint8_t datagram[WIRE_DATAGRAM_MAX], plain[WIRE_DATAGRAM_MAX], pong[16] = {0};
    size_t len;

    send_back(resp, WIRE_CONNECT_RESP_LEN);
    do {
        len = receive(datagram, until_ms);
        assert_true(len > 0);
        if (is_request(datagram, len)) {
            make_answer(datagram, resp);
            send_back(resp, WIRE_CONNECT_RESP_LEN);
        }
    } while (datagram[0] != WIRE_PING || peer_open(&server, datagram, len, plain) == 0);
    memcpy(pong, plain, 8);
    send_sealed(WIRE_PONG, pong, sizeof(pong));
}

static void log_in(unsigned int times)
{
    uint8_t resp[WIRE_CONNECT_RESP_LEN];

    take_request(resp);
    answer(resp);
    daemon_wait_log(&daemon_client, "connected\n", times);
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
            if (datagram[0] == reply && peer_open(&server, datagram, len, plain) > 0)
                return;
    }
    fail_msg("no answer through the tunnel");
}

/* Pings that the client's kernel answers, and one that stays in the slot; see test_secrets.c. */
static void exchange(const uint8_t pattern[SCAN_KEY_LEN])
{
    static const uint8_t ping[16] = {9};
    uint8_t packet[64];
    size_t len = packet4(packet, grant.gateway4, grant.ip4, pattern, SCAN_KEY_LEN);
    int i;

    for (i = 0; i < 20; i++)
        ask(WIRE_DATA, packet, len, WIRE_DATA);
    packet[20] = 0;
    send_sealed(WIRE_DATA, packet, len);
    ask(WIRE_PING, ping, sizeof(ping), WIRE_PONG);
}

/* ---- controls ------------------------------------------------------------------------------- */

static void assert_pattern_found(const uint8_t pattern[SCAN_KEY_LEN])
{
    struct scan *s = scan_new();

    scan_add(s, "pattern", pattern);
    (void)scan_process(s, daemon_client.pid);
    assert_true(scan_found(s, pattern, SCAN_RAW_FIRST));
    assert_true(scan_found(s, pattern, SCAN_RAW_LAST));
    scan_free(s);
}

static void assert_keys_live(void)
{
    if (!daemon_scan_enclave(&daemon_client, needles))
        return;
    assert_true(scan_found(needles, client_key, SCAN_RAW_FIRST));
    assert_true(scan_found(needles, server.send_key, SCAN_RAW_FIRST));
    assert_true(scan_found(needles, server.recv_key, SCAN_RAW_LAST));
    /* Argon2 made a key of it; nobody needs the token any more. */
    assert_false(scan_found(needles, token, SCAN_HEX_LOWER));
}

/* ---- the phases, in order ------------------------------------------------------------------- */

static void test_login(void **state)
{
    uint8_t resp[WIRE_CONNECT_RESP_LEN];

    (void)state;
    take_request(resp);
    daemon_scan(&daemon_client, needles, "asked, not answered");
    daemon_assert_sealed_off(&daemon_client);
    answer(resp);
    daemon_wait_log(&daemon_client, "connected\n", 1);
    daemon_scan(&daemon_client, needles, "connected");
    assert_keys_live();
}

static void test_traffic(void **state)
{
    uint8_t pattern[SCAN_KEY_LEN];

    (void)state;
    randombytes_buf(pattern, sizeof(pattern));
    exchange(pattern);
    daemon_scan(&daemon_client, needles, "traffic");
    assert_pattern_found(pattern);
    assert_keys_live();
    daemon_assert_sealed_off(&daemon_client);
    daemon_scan_core(&daemon_client, needles);
}

/* "Shutting down": it comes back with a new login. */
static void test_new_login(void **state)
{
    static const uint8_t reason[16] = {WIRE_DISCONNECT_SHUTDOWN};
    uint8_t pattern[SCAN_KEY_LEN];

    (void)state;
    send_sealed(WIRE_DISCONNECT, reason, sizeof(reason));
    log_in(2);
    randombytes_buf(pattern, sizeof(pattern));
    exchange(pattern);
    daemon_scan(&daemon_client, needles, "after a new login");
    assert_pattern_found(pattern);
    assert_keys_live();
}

static void test_enclave_killed(void **state)
{
    uint8_t pattern[SCAN_KEY_LEN];

    (void)state;
    kill(daemon_client.enclave, SIGKILL);
    daemon_find(&daemon_client);
    log_in(3);
    randombytes_buf(pattern, sizeof(pattern));
    exchange(pattern);
    daemon_scan(&daemon_client, needles, "after a respawn");
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
    daemon_abort(&daemon_client, needles);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_login),     cmocka_unit_test(test_traffic),
        cmocka_unit_test(test_new_login), cmocka_unit_test(test_enclave_killed),
        cmocka_unit_test(test_control),   cmocka_unit_test(test_abort),
    };
    const char *why = daemon_unavailable("vpn-client");

    if (why) {
        printf("1..0 # SKIP %s\n", why);
        return 77;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, set_up, tear_down) ? 1 : 0;
}
