/*
 * Preloaded into OpenNTPD, which serves only after it has adjusted the machine's clock twice,
 * minutes after its start: adjustments succeed and change nothing, and the time by which it
 * paces its requests goes faster. The time it serves is the machine's.
 */
#include <poll.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

enum { SPEED = 100 };

int adjtime(const struct timeval *delta, struct timeval *remaining)
{
	(void)delta;
	if (remaining)
		remaining->tv_sec = remaining->tv_usec = 0;
	return 0;
}

int adjtimex(struct timex *setting)
{
	(void)setting;
	return 0;
}

int settimeofday(const struct timeval *time, const struct timezone *zone)
{
	(void)time;
	(void)zone;
	return 0;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
	long result = syscall(SYS_clock_gettime, clock, time);
	if (result == 0 && clock == CLOCK_MONOTONIC) {
		long long ns = (time->tv_sec * 1000000000LL + time->tv_nsec) * SPEED;
		time->tv_sec = ns / 1000000000;
		time->tv_nsec = ns % 1000000000;
	}
	return (int)result;
}

int poll(struct pollfd *descriptors, nfds_t count, int timeout_ms)
{
	if (timeout_ms > 0)
		timeout_ms = timeout_ms / SPEED + 1;
	return (int)syscall(SYS_poll, descriptors, count, timeout_ms);
}
