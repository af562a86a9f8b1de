/* Threads that take the items of a job in turn. */
#ifndef FASTSSL_POOL_H
#define FASTSSL_POOL_H
#include "resize.h"

/* What a thread keeps from item to item. */
typedef struct {
    Scratch pixels, rows, filters;
} Memory;

typedef struct Job {
    void (*work)(void *task, int64_t item, Memory *memory);
    void *task;
    int64_t items;
    int64_t next, finished; /* the pool's */
    struct Job *following;
} Job;

typedef struct Pool Pool;

/* NULL when no thread can be started. */
Pool *fs_pool_open(int32_t threads);
int32_t fs_pool_threads(const Pool *pool);
/* Waits until all threads have ended. No job may be running. */
void fs_pool_close(Pool *pool);
/* Returns when every item of the job is done. Several callers may run jobs at once: the earlier job goes first. */
void fs_pool_run(Pool *pool, Job *job);
#endif
