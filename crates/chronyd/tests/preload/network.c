/* Sockets without a network, and the servers behind them. */

#define _GNU_SOURCE
#include "world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>

#define MOST_DESCRIPTORS 1024
#define MOST_IN_FLIGHT 256
#define MOST_SERVERS 16
#define NTP_PORT 123
#define NTP_LENGTH 48
/* Seconds from 1900 to 1970. */
#define NTP_EPOCH 2208988800LL
/* This machine: 198.51.100.1. */
#define OWN_ADDRESS 0xc6336401

struct descriptor {
    bool open;
    int domain;
    struct sockaddr_in local, remote;
    bool connected;
    int timestamps; /* SO_TIMESTAMP, SO_TIMESTAMPNS or 0 */
    bool destination;
};

static struct descriptor descriptors[MOST_DESCRIPTORS];
static struct arrival in_flight[MOST_IN_FLIGHT];
static size_t in_flight_count;
static struct {
    uint32_t address;
    uint64_t packets;
} servers[MOST_SERVERS];
static uint16_t next_port = 32768;

bool is_virtual(int fd)
{
    return fd >= 0 && fd < MOST_DESCRIPTORS && descriptors[fd].open;
}

int open_virtual(int domain, int type)
{
    if (plain() && (type & (SOCK_CLOEXEC | SOCK_NONBLOCK))) {
        errno = EINVAL;
        return -1;
    }
    /* A real descriptor, so that fcntl(), dup() and close() mean what they say. */
    int fd = open("/dev/null", O_RDWR | (type & SOCK_CLOEXEC ? O_CLOEXEC : 0));
    if (fd < 0 || fd >= MOST_DESCRIPTORS)
        return -1;
    struct descriptor fresh = {.open = true, .domain = domain};
    fresh.local.sin_family = AF_INET;
    descriptors[fd] = fresh;
    return fd;
}

void close_virtual(int fd)
{
    descriptors[fd].open = false;
    size_t kept = 0;
    for (size_t i = 0; i < in_flight_count; i++)
        if (in_flight[i].fd != fd)
            in_flight[kept++] = in_flight[i];
    in_flight_count = kept;
}

void bind_virtual(int fd, const struct sockaddr *address, socklen_t length)
{
    if (address->sa_family == AF_INET && length >= sizeof(struct sockaddr_in))
        memcpy(&descriptors[fd].local, address, sizeof(struct sockaddr_in));
}

int connect_virtual(int fd, const struct sockaddr *address, socklen_t length)
{
    if (address->sa_family != AF_INET || length < sizeof(struct sockaddr_in)) {
        errno = ENETUNREACH;
        return -1;
    }
    struct descriptor *descriptor = &descriptors[fd];
    memcpy(&descriptor->remote, address, sizeof descriptor->remote);
    descriptor->connected = true;
    descriptor->local.sin_addr.s_addr = htonl(OWN_ADDRESS);
    return 0;
}

static void give_port(struct descriptor *descriptor)
{
    if (descriptor->local.sin_port == 0)
        descriptor->local.sin_port = htons(next_port++);
    if (next_port == 0)
        next_port = 32768;
}

int name_virtual(int fd, struct sockaddr *address, socklen_t *length)
{
    give_port(&descriptors[fd]);
    socklen_t most = *length < sizeof(struct sockaddr_in) ? *length : sizeof(struct sockaddr_in);
    memcpy(address, &descriptors[fd].local, most);
    *length = sizeof(struct sockaddr_in);
    return 0;
}

void want_timestamps(int fd, int option, bool wanted)
{
    descriptors[fd].timestamps = wanted ? option : 0;
}

void want_destination(int fd, bool wanted)
{
    descriptors[fd].destination = wanted;
}

static uint64_t *packets_of(uint32_t address)
{
    for (size_t i = 0; i < MOST_SERVERS; i++) {
        if (servers[i].address == 0)
            servers[i].address = address;
        if (servers[i].address == address)
            return &servers[i].packets;
    }
    return &servers[MOST_SERVERS - 1].packets;
}

static void put_timestamp(uint8_t *to, int64_t true_ns)
{
    int64_t unix_ns = start_s() * NS_PER_S + true_ns;
    uint64_t seconds = (uint64_t)(unix_ns / NS_PER_S + NTP_EPOCH);
    uint64_t fraction = ((uint64_t)(unix_ns % NS_PER_S) << 32) / NS_PER_S;
    uint32_t words[2] = {htonl((uint32_t)seconds), htonl((uint32_t)fraction)};
    memcpy(to, words, sizeof words);
}

/* A primary server whose clock is true answers at once. */
static void respond(const uint8_t *request, uint8_t *response, int64_t at)
{
    int leap = leap_second(), announced = leap < 0 ? 2 : leap;
    if (leap && at >= leap_at()) {
        at -= leap * NS_PER_S;
        announced = 0;
    }
    memset(response, 0, NTP_LENGTH);
    response[0] = (uint8_t)((request[0] & 0x38) | 4 | announced << 6);
    response[1] = 1;
    response[2] = request[2];
    response[3] = (uint8_t)-30;
    memcpy(response + 12, "TRUE", 4);
    put_timestamp(response + 16, at - NS_PER_S);
    memcpy(response + 24, request + 40, 8);
    put_timestamp(response + 32, at);
    put_timestamp(response + 40, at);
}

static int64_t delay(double jitter_s, enum stream stream, uint32_t address, uint64_t number)
{
    double delay_s = setting("WORLD_DELAY", 1e-3);
    return llround(1e9 * (delay_s + jitter_s * exponential(stream, address, number)));
}

ssize_t send_virtual(int fd, const void *data, size_t length, const struct sockaddr *to)
{
    struct descriptor *descriptor = &descriptors[fd];
    struct sockaddr_in remote = descriptor->remote;
    if (to && to->sa_family == AF_INET)
        memcpy(&remote, to, sizeof remote);
    else if (to || !descriptor->connected) {
        errno = ENETUNREACH;
        return -1;
    }
    give_port(descriptor);
    const uint8_t *request = data;
    bool asks = length >= NTP_LENGTH && (request[0] & 7) == 3;
    if (ntohs(remote.sin_port) != NTP_PORT || !asks || in_flight_count == MOST_IN_FLIGHT)
        return (ssize_t)length;
    count_request();
    uint32_t address = remote.sin_addr.s_addr;
    uint64_t number = (*packets_of(address))++;
    double forth = setting("WORLD_JITTER", 0);
    double back = setting("WORLD_JITTER_BACK", forth);
    int64_t served = true_now() + delay(forth, STREAM_FORTH, address, number);
    struct arrival *arrival = &in_flight[in_flight_count++];
    arrival->fd = fd;
    arrival->address = address;
    arrival->at = served + delay(back, STREAM_BACK, address, number);
    respond(request, arrival->payload, served);
    return (ssize_t)length;
}

int64_t next_arrival(void)
{
    int64_t next = world_end();
    for (size_t i = 0; i < in_flight_count; i++)
        if (in_flight[i].at < next)
            next = in_flight[i].at;
    return next;
}

bool readable(int fd)
{
    for (size_t i = 0; i < in_flight_count; i++)
        if (in_flight[i].fd == fd && in_flight[i].at <= true_now())
            return true;
    return false;
}

static void add_control(struct msghdr *msg, size_t *used, int level, int type, const void *data,
                        size_t length)
{
    if (!msg->msg_control || *used + CMSG_SPACE(length) > msg->msg_controllen)
        return;
    struct cmsghdr *header = (struct cmsghdr *)((char *)msg->msg_control + *used);
    header->cmsg_level = level;
    header->cmsg_type = type;
    header->cmsg_len = CMSG_LEN(length);
    memcpy(CMSG_DATA(header), data, length);
    *used += CMSG_SPACE(length);
}

/* The receive timestamp is that of now: nothing happens while a packet waits. */
static void fill_control(const struct descriptor *descriptor, struct msghdr *msg)
{
    size_t used = 0;
    int64_t raw = raw_now();
    if (descriptor->timestamps == SO_TIMESTAMPNS) {
        struct timespec stamp = {raw / NS_PER_S, raw % NS_PER_S};
        add_control(msg, &used, SOL_SOCKET, SO_TIMESTAMPNS, &stamp, sizeof stamp);
    } else if (descriptor->timestamps == SO_TIMESTAMP) {
        struct timeval stamp = {raw / NS_PER_S, raw % NS_PER_S / 1000};
        add_control(msg, &used, SOL_SOCKET, SO_TIMESTAMP, &stamp, sizeof stamp);
    }
    if (descriptor->destination) {
        struct in_pktinfo info = {.ipi_ifindex = 1};
        info.ipi_spec_dst.s_addr = info.ipi_addr.s_addr = htonl(OWN_ADDRESS);
        add_control(msg, &used, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    }
    msg->msg_controllen = used;
}

static void fill_name(const struct arrival *arrival, struct msghdr *msg)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(NTP_PORT)};
    from.sin_addr.s_addr = arrival->address;
    if (!msg->msg_name)
        return;
    socklen_t most = msg->msg_namelen < sizeof from ? msg->msg_namelen : sizeof from;
    memcpy(msg->msg_name, &from, most);
    msg->msg_namelen = sizeof from;
}

ssize_t receive_virtual(int fd, struct msghdr *msg)
{
    for (size_t i = 0; i < in_flight_count; i++) {
        struct arrival arrival = in_flight[i];
        if (arrival.fd != fd || arrival.at > true_now())
            continue;
        in_flight[i] = in_flight[--in_flight_count];
        size_t copied = 0;
        for (size_t part = 0; part < msg->msg_iovlen && copied < NTP_LENGTH; part++) {
            struct iovec *vector = &msg->msg_iov[part];
            size_t left = NTP_LENGTH - copied;
            size_t some = vector->iov_len < left ? vector->iov_len : left;
            memcpy(vector->iov_base, arrival.payload + copied, some);
            copied += some;
        }
        fill_name(&arrival, msg);
        fill_control(&descriptors[fd], msg);
        msg->msg_flags = 0;
        return (ssize_t)copied;
    }
    errno = EAGAIN;
    return -1;
}
