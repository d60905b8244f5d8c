/* libc's functions for time, clock steering, waiting and randomness. */

#define _GNU_SOURCE
#include "world.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/select.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* A program that only looks at the clock (to measure its precision) sees time pass after so
 * many readings without a wait, so much with each. */
#define READINGS_AT_REST 1000
#define READING_NS 100
/* What a wait takes that does not wait. */
#define EMPTY_WAIT_NS 100
/* Waits that a program may make after it was told to end. */
#define WAITS_AFTER_END 1000

static int readings;

static struct timespec to_timespec(int64_t ns)
{
    return (struct timespec){ns / NS_PER_S, ns % NS_PER_S};
}

static int64_t from_timespec(const struct timespec *time)
{
    return time->tv_sec * NS_PER_S + time->tv_nsec;
}

int clock_gettime(clockid_t id, struct timespec *time)
{
    if (++readings > READINGS_AT_REST)
        run_until(true_now() + READING_NS);
    bool real = id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE || id == CLOCK_TAI;
    *time = to_timespec(real ? raw_now() : monotonic_now());
    return 0;
}

int clock_getres(clockid_t id, struct timespec *resolution)
{
    (void)id;
    if (resolution)
        *resolution = to_timespec(1);
    return 0;
}

int gettimeofday(struct timeval *time, void *zone)
{
    (void)zone;
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    time->tv_sec = precise.tv_sec;
    time->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *seconds)
{
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (seconds)
        *seconds = precise.tv_sec;
    return precise.tv_sec;
}

int clock_settime(clockid_t id, const struct timespec *time)
{
    if (id != CLOCK_REALTIME) {
        errno = EINVAL;
        return -1;
    }
    step_clock((double)(from_timespec(time) - raw_now()) * 1e-9);
    return 0;
}

int settimeofday(const struct timeval *time, const struct timezone *zone)
{
    (void)zone;
    if (!time)
        return 0;
    struct timespec precise = {time->tv_sec, time->tv_usec * 1000};
    return clock_settime(CLOCK_REALTIME, &precise);
}

int adjtime(const struct timeval *change, struct timeval *left)
{
    if (left)
        memset(left, 0, sizeof *left);
    if (change && (change->tv_sec || change->tv_usec)) {
        errno = EPERM;
        return -1;
    }
    return 0;
}

int adjtimex(struct timex *timex)
{
    return steer_clock(timex);
}

int __adjtimex(struct timex *timex)
{
    return steer_clock(timex);
}

int ntp_adjtime(struct timex *timex)
{
    return steer_clock(timex);
}

int clock_adjtime(clockid_t id, struct timex *timex)
{
    if (id != CLOCK_REALTIME) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return steer_clock(timex);
}

/* Lets time pass until something arrives, the wait is over (−1: never) or the world ends.
 * True when the wait was cut short by the end. */
static bool wait_for(int64_t timeout_ns)
{
    static int waits_after_end;
    readings = 0;
    if (true_now() >= world_end() && ++waits_after_end > WAITS_AFTER_END)
        _exit(3);
    if (waits_after_end)
        return false;
    if (timeout_ns == 0)
        run_until(true_now() + EMPTY_WAIT_NS);
    else if (timeout_ns < 0)
        run_until(next_arrival());
    else
        run_until_monotonic(monotonic_now() + timeout_ns, next_arrival());
    if (true_now() < world_end())
        return false;
    write_report();
    waits_after_end = 1;
    raise(SIGTERM);
    return true;
}

static int count_ready(struct pollfd *fds, nfds_t count)
{
    /* Descriptors of the world look as if they were not there to the real poll. */
    static int (*real_poll)(struct pollfd *, nfds_t, int);
    if (!real_poll)
        real_poll = real_function("poll");
    struct pollfd others[count + 1];
    for (nfds_t i = 0; i < count; i++) {
        others[i] = fds[i];
        if (is_virtual(fds[i].fd))
            others[i].fd = -1;
    }
    real_poll(others, count, 0);
    int ready = 0;
    for (nfds_t i = 0; i < count; i++) {
        fds[i].revents = others[i].revents;
        if (is_virtual(fds[i].fd)) {
            bool in = (fds[i].events & POLLIN) && readable(fds[i].fd);
            fds[i].revents = (short)((in ? POLLIN : 0) | (fds[i].events & POLLOUT));
        }
        ready += fds[i].revents != 0;
    }
    return ready;
}

static int poll_virtual(struct pollfd *fds, nfds_t count, int64_t timeout_ns)
{
    int ready = count_ready(fds, count);
    if (ready)
        return ready;
    if (wait_for(timeout_ns)) {
        errno = EINTR;
        return -1;
    }
    return count_ready(fds, count);
}

int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    return poll_virtual(fds, count, timeout_ms < 0 ? -1 : timeout_ms * 1000000LL);
}

int __poll_chk(struct pollfd *fds, nfds_t count, int timeout_ms, size_t length)
{
    (void)length;
    return poll(fds, count, timeout_ms);
}

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    (void)mask;
    return poll_virtual(fds, count, timeout ? from_timespec(timeout) : -1);
}

static nfds_t sets_to_fds(int count, fd_set *read, fd_set *write, fd_set *except,
                          struct pollfd *fds)
{
    nfds_t used = 0;
    for (int fd = 0; fd < count; fd++) {
        short events = (short)((read && FD_ISSET(fd, read) ? POLLIN : 0) |
                               (write && FD_ISSET(fd, write) ? POLLOUT : 0) |
                               (except && FD_ISSET(fd, except) ? POLLPRI : 0));
        if (events)
            fds[used++] = (struct pollfd){.fd = fd, .events = events};
    }
    return used;
}

static int select_virtual(int count, fd_set *read, fd_set *write, fd_set *except,
                          int64_t timeout_ns)
{
    struct pollfd fds[FD_SETSIZE];
    nfds_t used = sets_to_fds(count, read, write, except, fds);
    int result = poll_virtual(fds, used, timeout_ns);
    if (result < 0)
        return result;
    fd_set *sets[] = {read, write, except};
    short events[] = {POLLIN | POLLHUP | POLLERR, POLLOUT, POLLPRI};
    int ready = 0;
    for (int which = 0; which < 3; which++) {
        if (!sets[which])
            continue;
        FD_ZERO(sets[which]);
        for (nfds_t i = 0; i < used; i++)
            if (fds[i].revents & fds[i].events & events[which]) {
                FD_SET(fds[i].fd, sets[which]);
                ready++;
            }
    }
    return ready;
}

int select(int count, fd_set *read, fd_set *write, fd_set *except, struct timeval *timeout)
{
    if (!timeout)
        return select_virtual(count, read, write, except, -1);
    int64_t wanted = timeout->tv_sec * NS_PER_S + timeout->tv_usec * 1000;
    int64_t before = monotonic_now();
    int result = select_virtual(count, read, write, except, wanted);
    /* Linux leaves the time that was not waited. */
    int64_t left = wanted - (monotonic_now() - before);
    if (left < 0)
        left = 0;
    timeout->tv_sec = left / NS_PER_S;
    timeout->tv_usec = left % NS_PER_S / 1000;
    return result;
}

int pselect(int count, fd_set *read, fd_set *write, fd_set *except, const struct timespec *timeout,
            const sigset_t *mask)
{
    (void)mask;
    return select_virtual(count, read, write, except, timeout ? from_timespec(timeout) : -1);
}

int nanosleep(const struct timespec *wanted, struct timespec *left)
{
    int64_t until = monotonic_now() + from_timespec(wanted);
    run_until_monotonic(until, world_end());
    if (left)
        memset(left, 0, sizeof *left);
    return 0;
}

int clock_nanosleep(clockid_t id, int flags, const struct timespec *wanted, struct timespec *left)
{
    struct timespec relative = *wanted;
    if (flags & TIMER_ABSTIME) {
        struct timespec now;
        clock_gettime(id, &now);
        relative = to_timespec(from_timespec(wanted) - from_timespec(&now));
    }
    return nanosleep(&relative, left);
}

int usleep(useconds_t microseconds)
{
    struct timespec wanted = to_timespec(microseconds * 1000LL);
    return nanosleep(&wanted, NULL);
}

unsigned sleep(unsigned seconds)
{
    struct timespec wanted = {seconds, 0};
    nanosleep(&wanted, NULL);
    return 0;
}

/* Randomness: repeatable, and with WORLD_EVEN always the same number. */
static uint64_t random_bits(void)
{
    static uint64_t number;
    if (setting("WORLD_EVEN", 0) != 0)
        return 0x0101010101010101;
    return (uint64_t)(uniform(STREAM_DAEMON, 0, number++) * 9007199254740992.0) << 11 >> 8;
}

ssize_t getrandom(void *buffer, size_t length, unsigned flags)
{
    (void)flags;
    uint8_t *bytes = buffer;
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)random_bits();
    return (ssize_t)length;
}

int getentropy(void *buffer, size_t length)
{
    getrandom(buffer, length, 0);
    return 0;
}

long random(void)
{
    return (long)(random_bits() & RAND_MAX);
}

int rand(void)
{
    return (int)random();
}
