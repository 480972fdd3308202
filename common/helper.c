/* The one helper thread; see helper.h. */
#include "common/helper.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"

/* First in, first out. */
struct queue {
    struct helper_job *first;
    struct helper_job **last;
};

struct helper {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct queue waiting, ended;
    bool closing;
    int event;
};

static void queue_init(struct queue *q)
{
    q->first = NULL;
    q->last = &q->first;
}

static void queue_put(struct queue *q, struct helper_job *job)
{
    job->next = NULL;
    *q->last = job;
    q->last = &job->next;
}

static struct helper_job *queue_take(struct queue *q)
{
    struct helper_job *job = q->first;

    if (job)
        q->first = job->next;
    if (!q->first)
        q->last = &q->first;
    return job;
}

static void *helper_main(void *arg)
{
    struct helper *h = arg;
    const uint64_t one = 1;
    struct helper_job *job;

    pthread_mutex_lock(&h->lock);
    for (;;) {
        while (!h->closing && !h->waiting.first)
            pthread_cond_wait(&h->changed, &h->lock);
        if (h->closing)
            break;
        job = queue_take(&h->waiting);
        pthread_mutex_unlock(&h->lock);
        job->work(job);
        pthread_mutex_lock(&h->lock);
        queue_put(&h->ended, job);
        /* It fails only when the counter is at its limit: readable then as well. */
        (void)!write(h->event, &one, sizeof(one));
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

static void helper_free(struct helper *h)
{
    pthread_cond_destroy(&h->changed);
    pthread_mutex_destroy(&h->lock);
    close_fdp(&h->event);
    free(h);
}

int helper_new(struct helper **out)
{
    struct helper *h = calloc(1, sizeof(*h));
    int rc;

    if (!h)
        return -ENOMEM;
    queue_init(&h->waiting);
    queue_init(&h->ended);
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->changed, NULL);
    h->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    rc = h->event < 0 ? -errno : -pthread_create(&h->thread, NULL, helper_main, h);
    if (rc < 0) {
        helper_free(h);
        return rc;
    }
    *out = h;
    return 0;
}

/* Taken one by one under the lock, called without it: done() may submit again. */
static void call_back(struct helper *h, struct queue *from, bool cancelled)
{
    struct helper_job *job;

    do {
        pthread_mutex_lock(&h->lock);
        job = queue_take(from);
        pthread_mutex_unlock(&h->lock);
        if (job)
            job->done(job, cancelled);
    } while (job);
}

int helper_close(struct helper *h, uint32_t wait_ms)
{
    struct timespec until;

    if (!h)
        return 0;
    pthread_mutex_lock(&h->lock);
    h->closing = true;
    pthread_cond_signal(&h->changed);
    pthread_mutex_unlock(&h->lock);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    call_back(h, &h->waiting, true);
    if (pthread_clockjoin_np(h->thread, NULL, CLOCK_MONOTONIC, &until) != 0)
        return -ETIMEDOUT;
    call_back(h, &h->ended, false);
    helper_free(h);
    return 0;
}

void helper_submit(struct helper *h, struct helper_job *job)
{
    pthread_mutex_lock(&h->lock);
    queue_put(&h->waiting, job);
    pthread_cond_signal(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

int helper_fd(const struct helper *h)
{
    return h->event;
}

void helper_service(struct helper *h)
{
    uint64_t count;

    if (read(h->event, &count, sizeof(count)) < 0)
        return;
    call_back(h, &h->ended, false);
}
