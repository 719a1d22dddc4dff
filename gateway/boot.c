/* The kernel's boot id, folded to 32 bits.
 * Any thread; reads one small file in /proc, once, and owns the number. Where the file is missing
 * the start of the daemon counts as a boot: then times of two starts are simply not compared.
 * Never fails. */
#include "gateway/boot.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>
#include <zlib.h>

#include "drivers/clock.h"

static uint32_t remembered;

static uint32_t read_id(void)
{
    char text[64];
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (fd >= 0)
        close(fd);
    uint32_t id = length > 0 ? (uint32_t)crc32(0, (const Bytef *)text, (uInt)length)
                             : (uint32_t)(clock_wall().ms ^ clock_mono().ns);
    return id ? id : 1;
}

static void remember(void)
{
    remembered = read_id();
}

uint32_t boot_id(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, remember);
    return remembered;
}
