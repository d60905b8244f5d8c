/*
 * Preloaded into a daemon: clock devices that the machine does not have, behind the names
 * below. True time is a quarter of a second ahead of the machine's clock.
 *
 * - a source of pulses at true seconds, each 0.2 s long;
 * - the clock of a network card on TAI, with a pulse on channel 1 at true seconds;
 * - a real-time clock chip on UTC with interrupts at true seconds.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pps.h>
#include <linux/ptp_clock.h>
#include <linux/rtc.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define AHEAD_NS 250000000LL
#define PULSE_NS 200000000LL
#define SECOND_NS 1000000000LL
#define TAI_NS (37 * SECOND_NS)
#define CHANNEL 1
#define PIN 3
#define OPEN_MAX_FAKES 16

enum kind { PULSES, CARD, CHIP };

static const char *const names[] = { "/dev/pps-fake", "/dev/ptp-fake", "/dev/rtc-fake" };

/* Open devices: the end that the daemon has, the end that is written to. */
static struct fake {
	enum kind kind;
	int reader, writer;
	int pin_set, enabled;
} fakes[OPEN_MAX_FAKES];
static int fakes_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static long long raw_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * SECOND_NS + now.tv_nsec;
}

static void tell(const struct fake *fake, long long true_s)
{
	ssize_t written = 0;
	if (fake->kind == CARD) {
		struct ptp_extts_event event;
		memset(&event, 0, sizeof event);
		event.t.sec = true_s + TAI_NS / SECOND_NS;
		event.index = CHANNEL;
		written = write(fake->writer, &event, sizeof event);
	} else {
		unsigned long interrupt = 0x110;
		written = write(fake->writer, &interrupt, sizeof interrupt);
	}
	(void)written;
}

/* Writes at each true second what devices say by themselves. */
static void *speak(void *unused)
{
	(void)unused;
	for (;;) {
		long long true_s = (raw_ns() + AHEAD_NS) / SECOND_NS + 1;
		long long wait_ns = true_s * SECOND_NS - AHEAD_NS - raw_ns();
		struct timespec wait = { wait_ns / SECOND_NS, wait_ns % SECOND_NS };
		nanosleep(&wait, NULL);
		pthread_mutex_lock(&lock);
		for (int i = 0; i < fakes_count; i++)
			if (fakes[i].enabled)
				tell(&fakes[i], true_s);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static int open_fake(enum kind kind)
{
	int ends[2];
	pthread_t thread;
	if (fakes_count == OPEN_MAX_FAKES || pipe(ends))
		return -1;
	pthread_mutex_lock(&lock);
	fakes[fakes_count] = (struct fake){ kind, ends[0], ends[1], 0, 0 };
	if (fakes_count++ == 0)
		pthread_create(&thread, NULL, speak, NULL);
	pthread_mutex_unlock(&lock);
	return ends[0];
}

static int try_open(const char *path, int *descriptor)
{
	for (int kind = PULSES; kind <= CHIP; kind++)
		if (strcmp(path, names[kind]) == 0) {
			*descriptor = open_fake(kind);
			return 1;
		}
	return 0;
}

#define OPEN(name) \
	int name(const char *path, int flags, ...) \
	{ \
		int descriptor; \
		va_list rest; \
		va_start(rest, flags); \
		mode_t mode = va_arg(rest, mode_t); \
		va_end(rest); \
		if (try_open(path, &descriptor)) \
			return descriptor; \
		return openat(AT_FDCWD, path, flags, mode); \
	}
OPEN(open)
OPEN(open64)
OPEN(__open_2)
OPEN(__open64_2)

static int pulses(unsigned long request, void *argument)
{
	/* The last second that began, and the last whose pulse ended. */
	long long begun_s = (raw_ns() + AHEAD_NS) / SECOND_NS;
	long long ended_s = (raw_ns() + AHEAD_NS - PULSE_NS) / SECOND_NS;
	long long begin_ns = begun_s * SECOND_NS - AHEAD_NS;
	long long end_ns = ended_s * SECOND_NS - AHEAD_NS + PULSE_NS;
	struct pps_fdata *fetched = argument;
	struct pps_kparams *parameters = argument;
	switch (request) {
	case PPS_GETCAP:
		*(int *)argument = PPS_CAPTUREBOTH | PPS_CANWAIT | PPS_TSFMT_TSPEC;
		return 0;
	case PPS_GETPARAMS:
		memset(parameters, 0, sizeof *parameters);
		parameters->api_version = 1;
		return 0;
	case PPS_SETPARAMS:
		if (parameters->api_version == 1 && (parameters->mode & PPS_CAPTUREBOTH))
			return 0;
		break;
	case PPS_FETCH:
		/* Without a timeout the call would wait for the next pulse. */
		if (fetched->timeout.sec || fetched->timeout.nsec ||
		    (fetched->timeout.flags & PPS_TIME_INVALID))
			break;
		fetched->info.assert_sequence = begun_s;
		fetched->info.clear_sequence = ended_s;
		fetched->info.assert_tu.sec = begin_ns / SECOND_NS;
		fetched->info.assert_tu.nsec = begin_ns % SECOND_NS;
		fetched->info.clear_tu.sec = end_ns / SECOND_NS;
		fetched->info.clear_tu.nsec = end_ns % SECOND_NS;
		return 0;
	}
	errno = EINVAL;
	return -1;
}

static void put(struct ptp_clock_time *time, long long ns)
{
	time->sec = ns / SECOND_NS;
	time->nsec = ns % SECOND_NS;
}

static int card(struct fake *fake, unsigned long request, void *argument)
{
	struct ptp_sys_offset_extended *offsets = argument;
	struct ptp_extts_request *wanted = argument;
	struct ptp_pin_desc *pin = argument;
	switch (request) {
	case PTP_CLOCK_GETCAPS:
		memset(argument, 0, sizeof(struct ptp_clock_caps));
		return 0;
	case PTP_SYS_OFFSET_EXTENDED:
		if (offsets->n_samples > PTP_MAX_SAMPLES)
			break;
		for (unsigned i = 0; i < offsets->n_samples; i++) {
			long long before = raw_ns(), after = raw_ns();
			put(&offsets->ts[i][0], before);
			put(&offsets->ts[i][1], (before + after) / 2 + AHEAD_NS + TAI_NS);
			put(&offsets->ts[i][2], after);
		}
		return 0;
	case PTP_PIN_SETFUNC:
		if (pin->index != PIN || pin->func != PTP_PF_EXTTS || pin->chan != CHANNEL)
			break;
		fake->pin_set = 1;
		return 0;
	case PTP_EXTTS_REQUEST:
		if (wanted->index != CHANNEL || !fake->pin_set)
			break;
		fake->enabled = (wanted->flags & PTP_ENABLE_FEATURE) != 0;
		return 0;
	default:
		errno = EOPNOTSUPP;
		return -1;
	}
	errno = EINVAL;
	return -1;
}

static int chip(struct fake *fake, unsigned long request, void *argument)
{
	time_t true_s = (raw_ns() + AHEAD_NS) / SECOND_NS;
	struct tm date;
	switch (request) {
	case RTC_UIE_ON:
	case RTC_UIE_OFF:
		fake->enabled = request == RTC_UIE_ON;
		return 0;
	case RTC_RD_TIME:
		gmtime_r(&true_s, &date);
		/* The fields up to the weekday are the same. */
		memcpy(argument, &date, 6 * sizeof(int));
		return 0;
	}
	errno = ENOTTY;
	return -1;
}

int ioctl(int descriptor, unsigned long request, ...)
{
	static int (*real)(int, unsigned long, ...);
	va_list rest;
	va_start(rest, request);
	void *argument = va_arg(rest, void *);
	va_end(rest);
	/* Numbers come as int, and with their sign. */
	request &= 0xffffffff;
	for (int i = 0; i < fakes_count; i++) {
		if (fakes[i].reader != descriptor)
			continue;
		switch (fakes[i].kind) {
		case PULSES:
			return pulses(request, argument);
		case CARD:
			return card(&fakes[i], request, argument);
		case CHIP:
			return chip(&fakes[i], request, argument);
		}
	}
	if (!real)
		real = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
	return real(descriptor, request, argument);
}
