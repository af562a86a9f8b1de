/* Reading mapped bytes whose file may be cut off or whose storage may fail meanwhile: the kernel says so by SIGBUS. */
#ifndef FASTSSL_GUARD_H
#define FASTSSL_GUARD_H
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#define UNREADABLE "unreadable: the file was cut off, or its storage failed, after it was opened"

typedef struct {
    sigjmp_buf jump; /* to be set by the caller: sigsetjmp(guard.jump, 0) */
    const uint8_t *bytes;
    size_t size;
} Guard;

/* A fault among the guard's bytes on this thread jumps to `jump`, with value UNREADABLE_BYTES, until fs_guard_end or
 * the jump. One at a time; nothing that was taken since sigsetjmp is given back by itself. */
enum { UNREADABLE_BYTES = 2 };
void fs_guard_begin(Guard *guard);
void fs_guard_end(void);

/* Puts the handler first in line, unless it is there; every other SIGBUS goes on to the handler it was put before. */
void fs_guard_install(void);
#endif
