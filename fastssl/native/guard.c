/* One handler for the process. It jumps only where this thread is reading a guarded range and the fault lies in it: a
 * SIGBUS from anywhere else is a fault of the program and goes where it went before.
 *
 * SA_NODEFER: the handler is left by a jump that restores no signal mask, so none may be set on the way in.
 */
#include "guard.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

/* Of the static kind: the first touch of any other thread-local may take memory, which a handler must not. */
static __thread Guard *volatile current __attribute__((tls_model("initial-exec")));
static __thread volatile int passing_on __attribute__((tls_model("initial-exec")));

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction before;
static uintptr_t page;

static int is_guarded(const Guard *guard, const siginfo_t *info) {
    if (!guard || info->si_code <= 0) return 0; /* sent by a process, not by a fault */
    const uintptr_t at = (uintptr_t)info->si_addr, begin = (uintptr_t)guard->bytes;
    return at >= (begin & ~(page - 1)) && at < begin + guard->size;
}

static void die(int signal) {
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigaction(signal, &standard, NULL);
    raise(signal);
}

/* A handler that was put before ours and then behind it gives the signal back to us: that ends here. */
static void pass_on(int signal, siginfo_t *info, void *context) {
    const struct sigaction next = before;
    if (passing_on || next.sa_handler == SIG_DFL || (next.sa_handler == SIG_IGN && info->si_code > 0)) die(signal);
    if (next.sa_handler == SIG_DFL || next.sa_handler == SIG_IGN) return;
    passing_on = 1;
    if (next.sa_flags & SA_SIGINFO) next.sa_sigaction(signal, info, context);
    else next.sa_handler(signal);
    passing_on = 0;
}

static void on_bus_error(int signal, siginfo_t *info, void *context) {
    Guard *guard = current;
    if (!is_guarded(guard, info)) {
        pass_on(signal, info, context);
        return;
    }
    current = NULL;
    siglongjmp(guard->jump, UNREADABLE_BYTES);
}

void fs_guard_begin(Guard *guard) { current = guard; }

void fs_guard_end(void) { current = NULL; }

void fs_guard_install(void) {
    struct sigaction now, ours = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    pthread_mutex_lock(&lock);
    page = (uintptr_t)sysconf(_SC_PAGESIZE);
    sigemptyset(&ours.sa_mask);
    if (sigaction(SIGBUS, NULL, &now) == 0 && !((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_bus_error)) {
        before = now;
        sigaction(SIGBUS, &ours, NULL);
    }
    pthread_mutex_unlock(&lock);
}
