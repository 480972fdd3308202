/* Where the sessions' clients are, and how large their packets may be: events and time. */
#include "daemon/datapath/probe.h"
#include "daemon/roster.h"
#include "daemon/server.h"

/* A wake-up looks at all sessions, so those that are due at about the same time share one. */
#define WAKE_STEP_MS 20

/* The loop wakes for the earliest of all searches. */
static void wake_at(struct server *s, uint64_t due_ms)
{
    if (due_ms < PMTU_NEVER - WAKE_STEP_MS)
        due_ms = (due_ms + WAKE_STEP_MS - 1) / WAKE_STEP_MS * WAKE_STEP_MS;
    if (due_ms < s->probe_ms)
        s->probe_ms = due_ms;
}

void sessions_roster(struct server *s, uint32_t peer)
{
    const struct server_session *session = session_get(s->sessions, peer);
    struct dp_peer *dp = peers_get(&s->dp.peers, peer);
    struct path path;

    if (!session || session->state != SERVER_SESSION_BOUND || !dp)
        return;
    path = peer_path(dp);
    roster_note(s->roster, IPC_PEER_SLOT(peer), session->confirmed.server,
                session->confirmed.client, &path, s->now.mono_ms);
}

void sessions_measure(struct server *s, uint32_t peer, bool fresh)
{
    struct server_session *session = session_get(s->sessions, peer);

    if (!session || session->state != SERVER_SESSION_BOUND)
        return;
    probe_begin(&s->dp, peer, &session->pmtu, fresh, s->now.mono_ms);
    wake_at(s, session->pmtu.due_ms);
}

void sessions_measure_all(struct server *s)
{
    const struct server_session *session = NULL;

    while ((session = sessions_each(s->sessions, (struct server_session *)(uintptr_t)session)) !=
           NULL)
        sessions_measure(s, session->peer, true);
}

void sessions_probed(struct server *s, uint32_t peer, uint64_t id)
{
    struct server_session *session = session_get(s->sessions, peer);

    if (session && session->state == SERVER_SESSION_BOUND)
        probe_answered(&s->dp, peer, &session->pmtu, id);
}

void sessions_shrunk(struct server *s, uint32_t peer)
{
    struct server_session *session = session_get(s->sessions, peer);

    if (!session || session->state != SERVER_SESSION_BOUND)
        return;
    probe_shrunk(&s->dp, peer, &session->pmtu, s->now.mono_ms);
    wake_at(s, session->pmtu.due_ms);
}

void sessions_probe(struct server *s)
{
    struct server_session *session = NULL;

    s->probe_ms = PMTU_NEVER;
    while ((session = sessions_each(s->sessions, session)) != NULL)
        if (session->state == SERVER_SESSION_BOUND)
            wake_at(s, probe_tick(&s->dp, session->peer, &session->pmtu, s->now.mono_ms));
}
