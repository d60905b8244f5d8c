/* libc's functions for sockets. Internet datagrams live in the world; everything else (Unix
 * sockets, pipes, files) is passed on. */

#define _GNU_SOURCE
#include "world.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))real_function(#name))

int socket(int domain, int type, int protocol)
{
    int kind = type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK);
    if ((domain == AF_INET || domain == AF_INET6) && kind == SOCK_DGRAM)
        return open_virtual(domain, type);
    return REAL(socket)(domain, type, protocol);
}

int close(int fd)
{
    if (is_virtual(fd))
        close_virtual(fd);
    return REAL(close)(fd);
}

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    if (!is_virtual(fd))
        return REAL(bind)(fd, address, length);
    bind_virtual(fd, address, length);
    return 0;
}

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    if (!is_virtual(fd))
        return REAL(connect)(fd, address, length);
    return connect_virtual(fd, address, length);
}

int getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
    if (!is_virtual(fd))
        return REAL(getsockname)(fd, address, length);
    return name_virtual(fd, address, length);
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
    if (!is_virtual(fd))
        return REAL(setsockopt)(fd, level, option, value, length);
    bool wanted = length >= sizeof(int) && *(const int *)value != 0;
    if (level == SOL_SOCKET && option == SO_TIMESTAMPING) {
        errno = ENOPROTOOPT;
        return -1;
    }
    if (level == SOL_SOCKET && (option == SO_TIMESTAMPNS || option == SO_TIMESTAMP)) {
        if (plain()) {
            errno = ENOPROTOOPT;
            return -1;
        }
        want_timestamps(fd, option, wanted);
    }
    if (level == IPPROTO_IP && option == IP_PKTINFO)
        want_destination(fd, wanted);
    return 0;
}

int getsockopt(int fd, int level, int option, void *value, socklen_t *length)
{
    if (!is_virtual(fd))
        return REAL(getsockopt)(fd, level, option, value, length);
    memset(value, 0, *length);
    return 0;
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
    if (!is_virtual(fd))
        return REAL(sendmsg)(fd, msg, flags);
    uint8_t data[2048];
    size_t length = 0;
    for (size_t part = 0; part < msg->msg_iovlen; part++) {
        const struct iovec *vector = &msg->msg_iov[part];
        if (length + vector->iov_len > sizeof data) {
            errno = EMSGSIZE;
            return -1;
        }
        memcpy(data + length, vector->iov_base, vector->iov_len);
        length += vector->iov_len;
    }
    return send_virtual(fd, data, length, msg->msg_namelen ? msg->msg_name : NULL);
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    if (!is_virtual(fd))
        return REAL(sendmmsg)(fd, messages, count, flags);
    if (plain()) {
        errno = ENOSYS;
        return -1;
    }
    for (unsigned i = 0; i < count; i++) {
        ssize_t sent = sendmsg(fd, &messages[i].msg_hdr, flags);
        if (sent < 0)
            return i ? (int)i : -1;
        messages[i].msg_len = (unsigned)sent;
    }
    return (int)count;
}

ssize_t sendto(int fd, const void *data, size_t length, int flags, const struct sockaddr *to,
               socklen_t to_length)
{
    if (!is_virtual(fd))
        return REAL(sendto)(fd, data, length, flags, to, to_length);
    return send_virtual(fd, data, length, to);
}

ssize_t send(int fd, const void *data, size_t length, int flags)
{
    if (!is_virtual(fd))
        return REAL(send)(fd, data, length, flags);
    return send_virtual(fd, data, length, NULL);
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
    if (!is_virtual(fd))
        return REAL(recvmsg)(fd, msg, flags);
    if (flags & MSG_ERRQUEUE) {
        errno = EAGAIN;
        return -1;
    }
    return receive_virtual(fd, msg);
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
    if (!is_virtual(fd))
        return REAL(recvmmsg)(fd, messages, count, flags, timeout);
    if (plain()) {
        errno = ENOSYS;
        return -1;
    }
    for (unsigned i = 0; i < count; i++) {
        ssize_t received = recvmsg(fd, &messages[i].msg_hdr, flags);
        if (received < 0)
            return i ? (int)i : -1;
        messages[i].msg_len = (unsigned)received;
    }
    return (int)count;
}

ssize_t recvfrom(int fd, void *data, size_t length, int flags, struct sockaddr *from,
                 socklen_t *from_length)
{
    if (!is_virtual(fd))
        return REAL(recvfrom)(fd, data, length, flags, from, from_length);
    struct iovec vector = {data, length};
    struct msghdr msg = {.msg_iov = &vector, .msg_iovlen = 1, .msg_name = from};
    msg.msg_namelen = from_length ? *from_length : 0;
    ssize_t received = recvmsg(fd, &msg, flags);
    if (from_length)
        *from_length = msg.msg_namelen;
    return received;
}

ssize_t recv(int fd, void *data, size_t length, int flags)
{
    return recvfrom(fd, data, length, flags, NULL, NULL);
}
