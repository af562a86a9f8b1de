/* A queue of jobs under one lock. A thread takes a few items at a time, fewer as a job runs out, so that large images
 * at the end of a batch do not leave the other threads idle and small ones do not queue for the lock. */
#include "pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct Pool {
    pthread_mutex_t lock;
    pthread_cond_t wanted, finished;
    Job *first, *last;
    int closing;
    int32_t threads;
    pthread_t *handles;
};

static int64_t take(Pool *pool, Job *job, int64_t *from) {
    const int64_t left = job->items - job->next;
    const int64_t count = 1 + (left - 1) / (8 * (int64_t)pool->threads);
    *from = job->next;
    job->next += count;
    if (job->next == job->items) {
        pool->first = job->following;
        if (!pool->first) pool->last = NULL;
    }
    return count;
}

static void *serve(void *argument) {
    Pool *pool = argument;
    Memory memory = {0};
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->first && !pool->closing) pthread_cond_wait(&pool->wanted, &pool->lock);
        if (!pool->first) break;
        Job *job = pool->first;
        int64_t from;
        const int64_t count = take(pool, job, &from);
        pthread_mutex_unlock(&pool->lock);
        for (int64_t i = 0; i < count; i++) job->work(job->task, from + i, &memory);
        pthread_mutex_lock(&pool->lock);
        job->finished += count;
        if (job->finished == job->items) pthread_cond_broadcast(&pool->finished);
    }
    pthread_mutex_unlock(&pool->lock);
    free(memory.pixels.memory);
    free(memory.rows.memory);
    free(memory.filters.memory);
    return NULL;
}

Pool *fs_pool_open(int32_t threads) {
    Pool *pool = calloc(1, sizeof *pool);
    if (!pool) return NULL;
    pool->handles = calloc((size_t)threads, sizeof *pool->handles);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wanted, NULL);
    pthread_cond_init(&pool->finished, NULL);
    sigset_t others, before; /* signals are for the interpreter's own threads, but for the one that guard.c waits for */
    sigfillset(&others);
    sigdelset(&others, SIGBUS);
    pthread_sigmask(SIG_SETMASK, &others, &before);
    if (pool->handles)
        while (pool->threads < threads && !pthread_create(&pool->handles[pool->threads], NULL, serve, pool))
            pool->threads++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pool->threads == threads) return pool;
    fs_pool_close(pool);
    return NULL;
}

int32_t fs_pool_threads(const Pool *pool) { return pool->threads; }

void fs_pool_close(Pool *pool) {
    pthread_mutex_lock(&pool->lock);
    pool->closing = 1;
    pthread_cond_broadcast(&pool->wanted);
    pthread_mutex_unlock(&pool->lock);
    for (int32_t i = 0; i < pool->threads; i++) pthread_join(pool->handles[i], NULL);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->wanted);
    pthread_cond_destroy(&pool->finished);
    free(pool->handles);
    free(pool);
}

void fs_pool_run(Pool *pool, Job *job) {
    job->next = job->finished = 0;
    job->following = NULL;
    if (job->items <= 0) return;
    pthread_mutex_lock(&pool->lock);
    if (pool->last) pool->last->following = job;
    else pool->first = job;
    pool->last = job;
    pthread_cond_broadcast(&pool->wanted);
    while (job->finished < job->items) pthread_cond_wait(&pool->finished, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}
