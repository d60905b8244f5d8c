/*
 * Preloaded into a daemon: its clock shows another date, CALENDAR_AHEAD seconds from now, and may be
 * set, which moves this daemon's clock only. Changes of the frequency succeed and change nothing.
 */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000LL

/* The daemon's clock less the machine's, without what the calendar adds. */
static atomic_llong steps_ns;
static struct timex kernel = {.tick = 10000, .precision = 1, .tolerance = 32768000};

static long long machine_ns(void)
{
	struct timespec time;
	syscall(SYS_clock_gettime, CLOCK_REALTIME, &time);
	return time.tv_sec * NS_PER_S + time.tv_nsec;
}

static long long ahead_ns(void)
{
	static atomic_llong ahead_s;
	if (!ahead_s) {
		const char *text = getenv("CALENDAR_AHEAD");
		ahead_s = text ? atoll(text) : 0;
	}
	return ahead_s * NS_PER_S + steps_ns;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
	if (clock != CLOCK_REALTIME)
		return (int)syscall(SYS_clock_gettime, clock, time);
	long long now = machine_ns() + ahead_ns();
	time->tv_sec = now / NS_PER_S;
	time->tv_nsec = now % NS_PER_S;
	return 0;
}

int gettimeofday(struct timeval *time, void *zone)
{
	(void)zone;
	long long now = machine_ns() + ahead_ns();
	time->tv_sec = now / NS_PER_S;
	time->tv_usec = now % NS_PER_S / 1000;
	return 0;
}

time_t time(time_t *seconds)
{
	time_t now = (machine_ns() + ahead_ns()) / NS_PER_S;
	if (seconds)
		*seconds = now;
	return now;
}

int clock_settime(clockid_t clock, const struct timespec *time)
{
	(void)clock;
	steps_ns += time->tv_sec * NS_PER_S + time->tv_nsec - machine_ns() - ahead_ns();
	return 0;
}

int settimeofday(const struct timeval *time, const struct timezone *zone)
{
	(void)zone;
	struct timespec precise = {time->tv_sec, time->tv_usec * 1000};
	return clock_settime(CLOCK_REALTIME, &precise);
}

int adjtimex(struct timex *setting)
{
	if (setting->modes & ADJ_FREQUENCY)
		kernel.freq = setting->freq;
	if (setting->modes & ADJ_TICK)
		kernel.tick = setting->tick;
	if (setting->modes & ADJ_STATUS)
		kernel.status = setting->status;
	if (setting->modes & ADJ_SETOFFSET) {
		long long unit = setting->modes & ADJ_NANO ? 1 : 1000;
		steps_ns += setting->time.tv_sec * NS_PER_S + setting->time.tv_usec * unit;
	}
	unsigned int modes = setting->modes;
	*setting = kernel;
	setting->modes = modes;
	return TIME_OK;
}

int ntp_adjtime(struct timex *setting)
{
	return adjtimex(setting);
}

int clock_adjtime(clockid_t clock, struct timex *setting)
{
	(void)clock;
	return adjtimex(setting);
}
