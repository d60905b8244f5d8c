/*
 * Preloaded into a daemon: all its random bits are ones, so that chance decides nothing. (A leak of
 * rate limiting needs bits that are all zero.)
 */
#include <string.h>
#include <sys/types.h>

ssize_t getrandom(void *buffer, size_t length, unsigned int flags)
{
	(void)flags;
	memset(buffer, 0xff, length);
	return (ssize_t)length;
}
