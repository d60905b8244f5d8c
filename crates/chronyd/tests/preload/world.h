/* A preloaded world: virtual time, a steerable clock and NTP servers inside the process under
 * test.
 *
 * Loaded with LD_PRELOAD, it takes the place of libc's functions for time, waiting, clock
 * steering and internet datagrams, so that an unchanged daemon lives through hours in
 * moments. No call that would change the machine's clock is passed on. One thread only:
 * the daemon's main thread, which waits in poll or select.
 *
 * clock.c          true time, the oscillator, the kernel's variables, the report
 * network.c        sockets, delays, servers
 * time_calls.c     the functions for time, waiting and randomness
 * socket_calls.c   the functions for sockets
 *
 * Settings come from the environment:
 *
 * WORLD_SEED       seed of everything random (1)
 * WORLD_DURATION   seconds until SIGTERM is raised (1000)
 * WORLD_SETTLING   seconds left out at the beginning of the report (0)
 * WORLD_SAMPLING   seconds between looks at the clock (10)
 * WORLD_REPORT     file for the summary, one line: samples, RMS time error (s), RMS frequency
 *                  error, largest time error (s), requests sent
 * WORLD_TRACE      file for all looks: pairs of native doubles, time error (s) and frequency
 *                  error, from the start
 * WORLD_OFFSET, WORLD_FREQUENCY, WORLD_WANDER
 *                  the clock at the start (s, s/s), standard deviation of its frequency's
 *                  random step each second (0, 0, 0)
 * WORLD_DELAY      fixed delay each way (s, 0.001)
 * WORLD_JITTER, WORLD_JITTER_BACK
 *                  mean of the exponential jitter to and from the servers (s, 0; the second is
 *                  as the first if not set)
 * WORLD_START      true time when the process starts, seconds since 1970 (2026-01-01 00:00:00 UTC)
 * WORLD_LEAP       1: a second is inserted at the end of the day in which the world begins,
 *                  -1: one is deleted; the servers announce and make it (0)
 * WORLD_EVEN       1: random numbers that the daemon asks for are all the same, so that
 *                  two daemons send their packets at the same times
 * WORLD_PLAIN      1: refuse socket flags, recvmmsg, sendmmsg and receive timestamps, as old
 *                  kernels and other simulators do
 *
 * The delay of a packet depends on the seed, its server, its direction and its number only:
 * two daemons that send as many packets meet the same network.
 */

#ifndef WORLD_H
#define WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/timex.h>

#define NS_PER_S 1000000000LL

/* True time when the process starts, seconds since 1970. */
int64_t start_s(void);
/* The leap second: 1, -1 or 0; and its true time, from the start. */
int leap_second(void);
int64_t leap_at(void);

/* clock.c. Times are nanoseconds; true time counts from the start. */
int64_t true_now(void);
int64_t raw_now(void);
int64_t monotonic_now(void);
/* Lets the clock run until a true time, not later than its second's end. */
void run_until(int64_t true_ns);
/* Lets the clock run until its monotonic time or a true time, whichever comes first. */
void run_until_monotonic(int64_t monotonic_ns, int64_t true_limit_ns);
/* The true time at which the world ends. */
int64_t world_end(void);
void step_clock(double change_s);
int steer_clock(struct timex *timex);
void count_request(void);
/* Writes the summary; once. */
void write_report(void);

/* Random numbers that depend on their arguments and the seed only. */
enum stream { STREAM_WANDER = 1, STREAM_FORTH, STREAM_BACK, STREAM_DAEMON };
double uniform(enum stream stream, uint32_t which, uint64_t number);
double exponential(enum stream stream, uint32_t which, uint64_t number);

double setting(const char *name, double otherwise);
/* Whether the plain, old-fashioned system is wanted (WORLD_PLAIN). */
bool plain(void);
/* The next function of this name, libc's. */
void *real_function(const char *name);

/* network.c */
struct arrival {
    int64_t at;
    int fd;
    uint32_t address; /* network order */
    uint8_t payload[48];
};
bool is_virtual(int fd);
int open_virtual(int domain, int type);
void close_virtual(int fd);
void bind_virtual(int fd, const struct sockaddr *address, socklen_t length);
int connect_virtual(int fd, const struct sockaddr *address, socklen_t length);
int name_virtual(int fd, struct sockaddr *address, socklen_t *length);
void want_timestamps(int fd, int option, bool wanted);
void want_destination(int fd, bool wanted);
ssize_t send_virtual(int fd, const void *data, size_t length, const struct sockaddr *to);
/* A message into msg; −1 with errno EAGAIN when there is none. */
ssize_t receive_virtual(int fd, struct msghdr *msg);
bool readable(int fd);
/* True time of the next arrival; the end of the world if there is none. */
int64_t next_arrival(void);

#endif
