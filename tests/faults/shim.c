/* What a hub is made to believe: another time of day, and a disk with no room left.
 *
 * Loaded with LD_PRELOAD. It reads a small shared file, so that a test changes what is true
 * from one moment to the next. Only the time of day moves; monotonic clocks stay. A full disk
 * takes a part of one write, as real ones do, and refuses the next. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct control {
  volatile long long offset_s;
  volatile long long full;
};

static struct control none;
static struct control *control = &none;
static const char *folder = "";
static size_t folder_length;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("FAULT_CONTROL"), *below = getenv("FAULT_FOLDER");
  if (!path || !below) return;
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  void *shared = mmap(NULL, sizeof none, PROT_READ, MAP_SHARED, file, 0);
  close(file);
  if (shared == MAP_FAILED) return;
  folder = strdup(below);
  folder_length = strlen(folder);
  control = shared;
}

/* The time of day */

int clock_gettime(clockid_t clock, struct timespec *now) {
  long failed = syscall(SYS_clock_gettime, clock, now);
  if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    now->tv_sec += control->offset_s;
  return (int)failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  long failed = syscall(SYS_gettimeofday, now, zone);
  if (!failed) now->tv_sec += control->offset_s;
  return (int)failed;
}

time_t time(time_t *kept) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (kept) *kept = now.tv_sec;
  return now.tv_sec;
}

/* The disk */

static int below_folder(const char *path) {
  return folder_length && strncmp(path, folder, folder_length) == 0;
}

static int refused(int file) {
  struct stat about;
  char link[64], path[4096];
  if (!control->full || fstat(file, &about) || !S_ISREG(about.st_mode)) return 0;
  char *end = link + sizeof link - 1, digits[16];
  int count = 0;
  unsigned left = (unsigned)file;
  do digits[count++] = (char)('0' + left % 10); while ((left /= 10) && count < 15);
  char *place = stpcpy(link, "/proc/self/fd/");
  while (count && place < end) *place++ = digits[--count];
  *place = 0;
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return below_folder(path);
}

static __thread int torn;

/* How much of a write fits: half of it the first time, nothing the next. */
static size_t room(size_t wanted) {
  torn = !torn;
  return torn ? wanted / 2 : 0;
}

static int full(void) {
  errno = ENOSPC;
  return -1;
}

ssize_t write(int file, const void *bytes, size_t count) {
  if (refused(file) && !(count = room(count))) return full();
  return syscall(SYS_write, file, bytes, count);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t at) {
  if (refused(file) && !(count = room(count))) return full();
  return syscall(SYS_pwrite64, file, bytes, count, at);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off_t at) {
  return pwrite(file, bytes, count, at);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
  return refused(file) ? full() : syscall(SYS_writev, file, parts, count);
}

int fallocate(int file, int mode, off_t at, off_t length) {
  return refused(file) ? full() : (int)syscall(SYS_fallocate, file, mode, at, length);
}

int posix_fallocate(int file, off_t at, off_t length) {
  if (refused(file)) return ENOSPC;
  return syscall(SYS_fallocate, file, 0, at, length) ? errno : 0;
}

typedef int look(const char *, struct statvfs *);

int statvfs(const char *path, struct statvfs *about) {
  static look *real;
  if (!real) real = (look *)dlsym(RTLD_NEXT, "statvfs");
  int failed = real(path, about);
  if (!failed && control->full && below_folder(path)) about->f_bavail = about->f_bfree = 0;
  return failed;
}

int statvfs64(const char *path, struct statvfs64 *about) {
  return statvfs(path, (struct statvfs *)about);
}
