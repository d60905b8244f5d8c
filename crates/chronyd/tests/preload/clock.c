/* True time, the oscillator and the kernel's clock variables. */

#define _GNU_SOURCE
#include "world.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Units of the kernel's frequency variable in a ppm. */
#define FREQUENCY_UNITS 65536.0
#define NOMINAL_TICK 10000
/* adjtime()'s bit in the modes of adjtimex(), which libc's header does not name. */
#define MODE_ADJTIME 0x8000
/* Errors that the kernel shows before anybody set them, µs. */
#define UNKNOWN_ERROR 16000000

static struct {
    bool started;
    uint64_t seed;
    int64_t now;
    double error_s;     /* raw − true */
    double steps_s;     /* sum of all steps */
    double oscillator;  /* frequency error, s/s */
    double wander;
    struct timex kernel;
    int64_t duration, settling, sampling, next_look;
    double time_square, frequency_square, largest;
    uint64_t looks, requests;
    FILE *trace;
    bool reported;
    /* The kernel's own leap second: whether it is ordered, at which reading, and made. */
    bool leap_ordered, leap_made;
    int64_t leap_reading;
} world;

/* 2026-01-01 00:00:00 UTC. */
#define USUAL_START 1767225600.0
#define DAY_NS (86400 * NS_PER_S)

double setting(const char *name, double otherwise)
{
    const char *text = getenv(name);
    return text && *text ? atof(text) : otherwise;
}

int64_t start_s(void)
{
    return (int64_t)setting("WORLD_START", USUAL_START);
}

int leap_second(void)
{
    return (int)setting("WORLD_LEAP", 0);
}

int64_t leap_at(void)
{
    int64_t begin = start_s() * NS_PER_S;
    int64_t midnight = (begin / DAY_NS + 1) * DAY_NS - begin;
    return leap_second() < 0 ? midnight - NS_PER_S : midnight;
}

bool plain(void)
{
    return setting("WORLD_PLAIN", 0) != 0;
}

void *real_function(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (!function) {
        fprintf(stderr, "preloaded world: libc has no %s\n", name);
        abort();
    }
    return function;
}

static int64_t to_ns(double seconds)
{
    return llround(seconds * 1e9);
}

/* Reads the settings at the first call of all. */
static void start(void)
{
    if (world.started)
        return;
    world.started = true;
    world.seed = (uint64_t)setting("WORLD_SEED", 1);
    world.error_s = setting("WORLD_OFFSET", 0);
    world.oscillator = setting("WORLD_FREQUENCY", 0);
    world.wander = setting("WORLD_WANDER", 0);
    world.duration = to_ns(setting("WORLD_DURATION", 1000));
    world.settling = to_ns(setting("WORLD_SETTLING", 0));
    world.sampling = to_ns(setting("WORLD_SAMPLING", 10));
    world.next_look = world.sampling;
    world.kernel.tick = NOMINAL_TICK;
    world.kernel.status = STA_UNSYNC;
    world.kernel.maxerror = world.kernel.esterror = UNKNOWN_ERROR;
    world.kernel.constant = 2;
    world.kernel.precision = 1;
    world.kernel.tolerance = 32768000;
    const char *path = getenv("WORLD_TRACE");
    if (path && *path)
        world.trace = fopen(path, "w");
}

/* splitmix64 of the arguments, one after the other. */
static uint64_t mix(uint64_t state, uint64_t value)
{
    state += value + 0x9e3779b97f4a7c15;
    state = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9;
    state = (state ^ (state >> 27)) * 0x94d049bb133111eb;
    return state ^ (state >> 31);
}

double uniform(enum stream stream, uint32_t which, uint64_t number)
{
    start();
    uint64_t state = mix(mix(world.seed, stream), which);
    return ((double)(mix(state, number) >> 11) + 0.5) / 9007199254740992.0;
}

double exponential(enum stream stream, uint32_t which, uint64_t number)
{
    return -log(uniform(stream, which, number));
}

static double normal(enum stream stream, uint64_t number)
{
    double radius = sqrt(2 * exponential(stream, 0, number));
    return radius * cos(2 * M_PI * uniform(stream, 1, number));
}

/* The clock's rate against true time. */
static double rate(void)
{
    double kernel = world.kernel.tick / (double)NOMINAL_TICK +
                    world.kernel.freq / FREQUENCY_UNITS * 1e-6;
    return (1 + world.oscillator) * kernel;
}

static void look(void)
{
    double looked[2] = {world.error_s, rate() - 1};
    if (world.trace)
        fwrite(looked, sizeof looked, 1, world.trace);
    if (world.now <= world.settling)
        return;
    world.time_square += looked[0] * looked[0];
    world.frequency_square += looked[1] * looked[1];
    world.largest = fmax(world.largest, fabs(looked[0]));
    world.looks++;
}

int64_t true_now(void)
{
    start();
    return world.now;
}

int64_t world_end(void)
{
    start();
    return world.duration;
}

static int64_t reading(double error_s)
{
    /* Whole seconds apart, so that an error of many seconds keeps its nanoseconds. */
    double whole = floor(error_s);
    return (start_s() + (int64_t)whole) * NS_PER_S + world.now + (int64_t)floor((error_s - whole) * 1e9);
}

int64_t raw_now(void)
{
    start();
    return reading(world.error_s);
}

/* Runs as the raw clock but is never stepped. */
int64_t monotonic_now(void)
{
    start();
    return reading(world.error_s - world.steps_s);
}

/* Does what the kernel does about STA_INS and STA_DEL. */
static void follow_leap(void)
{
    int wanted = world.kernel.status & (STA_INS | STA_DEL);
    if (!wanted) {
        world.leap_ordered = world.leap_made = false;
        return;
    }
    int64_t raw = reading(world.error_s);
    if (!world.leap_ordered) {
        world.leap_ordered = true;
        world.leap_reading = (raw / DAY_NS + 1) * DAY_NS - (wanted == STA_DEL ? NS_PER_S : 0);
    }
    if (!world.leap_made && raw >= world.leap_reading) {
        world.leap_made = true;
        step_clock(wanted == STA_INS ? -1 : 1);
        world.kernel.tai += wanted == STA_INS ? 1 : -1;
    }
}

/* Runs to the next change of the rate, the next look or `until`. */
static void run_some(int64_t until)
{
    int64_t second = (world.now / NS_PER_S + 1) * NS_PER_S;
    int64_t stop = until < second ? until : second;
    if (world.next_look < stop)
        stop = world.next_look;
    world.error_s += (double)(stop - world.now) * 1e-9 * (rate() - 1);
    world.now = stop;
    follow_leap();
    if (stop == second)
        world.oscillator += world.wander * normal(STREAM_WANDER, (uint64_t)(second / NS_PER_S));
    if (stop == world.next_look) {
        look();
        world.next_look += world.sampling;
    }
}

void run_until(int64_t true_ns)
{
    start();
    while (world.now < true_ns)
        run_some(true_ns);
}

void run_until_monotonic(int64_t monotonic_ns, int64_t true_limit_ns)
{
    start();
    while (world.now < true_limit_ns) {
        int64_t remaining = monotonic_ns - monotonic_now();
        if (remaining <= 0)
            return;
        int64_t reached = world.now + (int64_t)ceil((double)remaining / rate());
        run_some(reached < true_limit_ns ? reached : true_limit_ns);
    }
}

void step_clock(double change_s)
{
    start();
    world.error_s += change_s;
    world.steps_s += change_s;
}

static void set_variables(const struct timex *wanted)
{
    struct timex *kernel = &world.kernel;
    if (wanted->modes & ADJ_FREQUENCY)
        kernel->freq = wanted->freq;
    if (wanted->modes & ADJ_TICK)
        kernel->tick = wanted->tick;
    if (wanted->modes & ADJ_MAXERROR)
        kernel->maxerror = wanted->maxerror;
    if (wanted->modes & ADJ_ESTERROR)
        kernel->esterror = wanted->esterror;
    if (wanted->modes & ADJ_STATUS)
        kernel->status = wanted->status & ~STA_RONLY;
    if (wanted->modes & ADJ_TIMECONST)
        kernel->constant = wanted->constant;
    if (wanted->modes & ADJ_TAI)
        kernel->tai = (int)wanted->constant;
}

/* adjtimex(). Corrections by the kernel itself (adjtime(), its PLL) are not simulated: nobody
 * here asks for other ones than 0. */
int steer_clock(struct timex *timex)
{
    start();
    int modes = (int)timex->modes;
    if ((modes & MODE_ADJTIME) == 0) {
        set_variables(timex);
        if (modes & ADJ_SETOFFSET) {
            double fraction = (double)timex->time.tv_usec * (modes & ADJ_NANO ? 1e-9 : 1e-6);
            step_clock((double)timex->time.tv_sec + fraction);
            /* A step makes the kernel forget how good its time is; daemons look for that to learn
             * whether the step was understood. */
            world.kernel.maxerror = world.kernel.esterror = UNKNOWN_ERROR;
            world.kernel.status |= STA_UNSYNC;
        }
    }
    follow_leap();
    *timex = world.kernel;
    timex->modes = (unsigned)modes;
    int64_t raw = raw_now();
    timex->time.tv_sec = raw / NS_PER_S;
    timex->time.tv_usec = raw % NS_PER_S / (world.kernel.status & STA_NANO ? 1 : 1000);
    if (world.leap_made)
        return TIME_WAIT;
    return world.kernel.status & STA_UNSYNC ? TIME_ERROR : TIME_OK;
}

void count_request(void)
{
    world.requests++;
}

void write_report(void)
{
    if (world.reported)
        return;
    world.reported = true;
    if (world.trace)
        fclose(world.trace);
    const char *path = getenv("WORLD_REPORT");
    FILE *file = path && *path ? fopen(path, "w") : NULL;
    if (!file)
        return;
    double looks = world.looks ? (double)world.looks : 1;
    fprintf(file, "%llu %.6e %.6e %.6e %llu\n", (unsigned long long)world.looks,
            sqrt(world.time_square / looks), sqrt(world.frequency_square / looks), world.largest,
            (unsigned long long)world.requests);
    fclose(file);
}
