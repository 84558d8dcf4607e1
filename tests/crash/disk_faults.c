/* Stands between a process and its files: counts the calls that reach watched directories, writes
 * down those that change them, and makes the n-th one fail, wait, or be the last thing that the
 * process did. Loaded with LD_PRELOAD and driven by tests/crash/disk_faults.py, which says what
 * the functions named df_... mean. Python's own calls and SQLite's come through here alike.
 *
 * A call is recorded and made under one lock while the log is on: its order is the real order.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind {
    OPEN_READ, OPEN_WRITE, CREATE, READ, WRITE, TRUNCATE, SYNC, SYNC_DIR,
    UNLINK, RENAME, MKDIR, STAT, LIST, SPACE, MARK
};
enum action { COUNT, FAIL, KILL, DELAY };

#define DRIVES_MAX 16
#define FDS_MAX 65536
#define PATH_BYTES_MAX 1024
#define CHANGES ((1u << CREATE) | (1u << WRITE) | (1u << TRUNCATE) | (1u << SYNC) | \
                 (1u << SYNC_DIR) | (1u << UNLINK) | (1u << RENAME) | (1u << MKDIR))

struct file { int8_t watched; int8_t drive; int8_t directory; uint64_t inode; };

static char roots[DRIVES_MAX][PATH_BYTES_MAX];
static size_t root_lengths[DRIVES_MAX];
static int root_count;
static struct file files[FDS_MAX];

static struct {
    int action, error, forever;
    uint32_t drives, kinds;
    long nth;
    long delay_us, bytes_per_s;
    int each; /* whether every drive has a count of its own */
} plan;
static long counts[DRIVES_MAX + 1]; /* the last one is of all drives */
static long unhung;                 /* raised to let everything go that waits */

static int logging;
static uint8_t *log_bytes;
static size_t log_used, log_room;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* --- the log ------------------------------------------------------------------------------ */

struct entry {
    uint8_t kind, drive;
    uint16_t path_bytes, other_bytes, failed;
    uint32_t data_bytes;
    uint64_t inode, offset;
};

static void append(const void *data, size_t size)
{
    if (log_used + size > log_room) {
        log_room = (log_used + size) * 2 + (1 << 20);
        log_bytes = realloc(log_bytes, log_room);
        if (!log_bytes)
            abort();
    }
    if (size)
        memcpy(log_bytes + log_used, data, size);
    log_used += size;
}

static void record(int kind, int drive, int failed, uint64_t inode, uint64_t offset,
                   const char *path, const char *other, const void *data, size_t size)
{
    if (!logging)
        return;
    struct entry entry = {
        .kind = kind, .drive = drive, .failed = failed, .inode = inode, .offset = offset,
        .path_bytes = path ? strlen(path) : 0, .other_bytes = other ? strlen(other) : 0,
        .data_bytes = size,
    };
    append(&entry, sizeof entry);
    append(path, entry.path_bytes);
    append(other, entry.other_bytes);
    append(data, size);
}

/* --- which drive a call is about ------------------------------------------------------------ */

static int drive_of(const char *path)
{
    for (int i = 0; path && i < root_count; i++)
        if (!strncmp(path, roots[i], root_lengths[i]) &&
            (path[root_lengths[i]] == '/' || !path[root_lengths[i]]))
            return i;
    return -1;
}

static const char *below(const char *path, int drive)
{
    const char *rest = path + root_lengths[drive];
    return *rest == '/' ? rest + 1 : rest;
}

static struct file *file_of(int fd)
{
    return fd >= 0 && fd < FDS_MAX && files[fd].watched ? &files[fd] : NULL;
}

/* --- the plan ------------------------------------------------------------------------------- */

static void rest_us(long us)
{
    struct timespec pause = { us / 1000000, us % 1000000 * 1000 };
    nanosleep(&pause, NULL);
}

static void hold_up(size_t bytes)
{
    long epoch = __atomic_load_n(&unhung, __ATOMIC_SEQ_CST);
    long left = plan.delay_us;
    if (plan.bytes_per_s)
        left += (long)((double)bytes * 1e6 / plan.bytes_per_s);
    while (left > 0 && __atomic_load_n(&unhung, __ATOMIC_SEQ_CST) == epoch) {
        rest_us(left < 20000 ? left : 20000);
        left -= 20000;
    }
}

/* Count a call; return the error that it has to fail with, 0 for none. */
static int meet(int kind, int drive, size_t bytes)
{
    if (!(plan.drives >> drive & 1) || !(plan.kinds >> kind & 1))
        return 0;
    long *count = &counts[plan.each ? drive : DRIVES_MAX];
    long number = __atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);
    if (number != plan.nth && !(plan.forever && number > plan.nth))
        return 0;
    if (plan.action == KILL)
        kill(getpid(), SIGKILL);
    if (plan.action == DELAY)
        hold_up(bytes);
    return plan.action == FAIL ? plan.error : 0;
}

static int locks(int kind)
{
    return logging && (CHANGES >> kind & 1);
}

/* Make a call that changes something: meet the plan, make it, write it down. */
#define CHANGE(kind, drive, bytes, call, inode, offset, path, other, data, size)                 \
    do {                                                                                         \
        int held_ = locks(kind);                                                                 \
        if (held_)                                                                               \
            pthread_mutex_lock(&lock);                                                           \
        int error_ = meet(kind, drive, bytes);                                                   \
        result = error_ ? -1 : (call);                                                           \
        if (error_)                                                                              \
            errno = error_;                                                                      \
        int kept_ = errno;                                                                       \
        if (held_) {                                                                             \
            record(kind, drive, result < 0 ? kept_ : 0, inode, offset, path, other, data, size); \
            pthread_mutex_unlock(&lock);                                                         \
        }                                                                                        \
        errno = kept_;                                                                           \
    } while (0)

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (!found)
        abort();
    return found;
}

/* --- opening and closing ---------------------------------------------------------------------- */

static int open_at(int directory, const char *path, int flags, mode_t mode)
{
    return syscall(SYS_openat, directory, path, flags | O_LARGEFILE, mode);
}

static int exists(const char *path)
{
    return syscall(SYS_faccessat, AT_FDCWD, path, F_OK) == 0;
}

static void remember(int fd, int drive, int flags, uint64_t *inode)
{
    struct stat status;
    *inode = 0;
    if (fd < 0 || fd >= FDS_MAX || syscall(SYS_newfstatat, fd, "", &status, AT_EMPTY_PATH))
        return;
    int nameless = (flags & O_TMPFILE) == O_TMPFILE;
    *inode = nameless ? 0 : status.st_ino;
    files[fd] = (struct file){ 1, drive, S_ISDIR(status.st_mode), *inode };
}

static int watched_open(int directory, const char *path, int flags, mode_t mode)
{
    int drive = directory == AT_FDCWD || (path && *path == '/') ? drive_of(path) : -1;
    if (drive < 0) {
        int fd = open_at(directory, path, flags, mode);
        if (fd >= 0 && fd < FDS_MAX)
            files[fd].watched = 0;
        return fd;
    }
    int writes = (flags & O_ACCMODE) != O_RDONLY;
    int nameless = (flags & O_TMPFILE) == O_TMPFILE;
    int makes = (flags & O_CREAT) && !nameless && !exists(path);
    int kind = makes ? CREATE : writes ? OPEN_WRITE : OPEN_READ;
    int held = logging;
    if (held)
        pthread_mutex_lock(&lock);
    int error = meet(kind, drive, 0), fd = -1;
    uint64_t inode = 0;
    if (error) {
        errno = error;
    } else if ((fd = open_at(directory, path, flags, mode)) >= 0) {
        remember(fd, drive, flags, &inode);
        if (makes)
            record(CREATE, drive, 0, inode, 0, below(path, drive), NULL, NULL, 0);
        else if (flags & O_TRUNC)
            record(TRUNCATE, drive, 0, inode, 0, NULL, NULL, NULL, 0);
    }
    int kept = errno;
    if (held)
        pthread_mutex_unlock(&lock);
    errno = kept;
    return fd;
}

#define MODE(flags)                                                                              \
    mode_t mode = 0;                                                                             \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {                                                     \
        va_list list;                                                                            \
        va_start(list, flags);                                                                   \
        mode = va_arg(list, mode_t);                                                             \
        va_end(list);                                                                            \
    }

int open(const char *path, int flags, ...) { MODE(flags) return watched_open(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return watched_open(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return watched_open(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) return watched_open(at, path, flags, mode); }

int close(int fd)
{
    if (fd >= 0 && fd < FDS_MAX)
        files[fd].watched = 0;
    return syscall(SYS_close, fd);
}

/* --- reading ------------------------------------------------------------------------------------ */

ssize_t read(int fd, void *to, size_t size)
{
    struct file *file = file_of(fd);
    int error = file ? meet(READ, file->drive, size) : 0;
    if (error)
        return errno = error, -1;
    return syscall(SYS_read, fd, to, size);
}

ssize_t pread64(int fd, void *to, size_t size, off64_t offset)
{
    struct file *file = file_of(fd);
    int error = file ? meet(READ, file->drive, size) : 0;
    if (error)
        return errno = error, -1;
    return syscall(SYS_pread64, fd, to, size, offset);
}

ssize_t pread(int fd, void *to, size_t size, off_t offset) { return pread64(fd, to, size, offset); }

static size_t room_of(const struct iovec *vector, int count)
{
    size_t total = 0;
    for (int i = 0; i < count; i++)
        total += vector[i].iov_len;
    return total;
}

ssize_t preadv64v2(int fd, const struct iovec *vector, int count, off64_t offset, int flags)
{
    struct file *file = file_of(fd);
    int error = file ? meet(READ, file->drive, room_of(vector, count)) : 0;
    if (error)
        return errno = error, -1;
    return REAL(preadv64v2)(fd, vector, count, offset, flags);
}

ssize_t preadv64(int fd, const struct iovec *vector, int count, off64_t offset)
{
    return preadv64v2(fd, vector, count, offset, 0);
}

/* --- writing ------------------------------------------------------------------------------------ */

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    struct file *file = file_of(fd);
    ssize_t result;
    if (!file)
        return syscall(SYS_pwrite64, fd, data, size, offset);
    CHANGE(WRITE, file->drive, size, syscall(SYS_pwrite64, fd, data, size, offset), file->inode,
           offset, NULL, NULL, data, result < 0 ? 0 : (size_t)result);
    return result;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return pwrite64(fd, data, size, offset); }

ssize_t write(int fd, const void *data, size_t size)
{
    struct file *file = file_of(fd);
    ssize_t result;
    if (!file)
        return syscall(SYS_write, fd, data, size);
    off_t offset = lseek(fd, 0, SEEK_CUR);
    CHANGE(WRITE, file->drive, size, syscall(SYS_write, fd, data, size), file->inode, offset, NULL,
           NULL, data, result < 0 ? 0 : (size_t)result);
    return result;
}

int ftruncate64(int fd, off64_t size)
{
    struct file *file = file_of(fd);
    int result;
    if (!file)
        return syscall(SYS_ftruncate, fd, size);
    CHANGE(TRUNCATE, file->drive, 0, syscall(SYS_ftruncate, fd, size), file->inode, size, NULL,
           NULL, NULL, 0);
    return result;
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

static int sync_file(int fd, long number)
{
    struct file *file = file_of(fd);
    int result;
    if (!file)
        return syscall(number, fd);
    int kind = file->directory ? SYNC_DIR : SYNC;
    char link[64], path[PATH_BYTES_MAX] = "";
    if (file->directory && logging) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        if (syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1) < 0)
            abort();
    }
    const char *name = *path ? below(path, file->drive) : NULL;
    CHANGE(kind, file->drive, 0, syscall(number, fd), file->inode, 0, name, NULL, NULL, 0);
    return result;
}

int fsync(int fd) { return sync_file(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_file(fd, SYS_fdatasync); }

/* --- names -------------------------------------------------------------------------------------- */

int unlink(const char *path)
{
    int drive = drive_of(path), result;
    if (drive < 0)
        return syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    CHANGE(UNLINK, drive, 0, syscall(SYS_unlinkat, AT_FDCWD, path, 0), 0, 0, below(path, drive),
           NULL, NULL, 0);
    return result;
}

int rename(const char *from, const char *to)
{
    int drive = drive_of(from), result;
    if (drive < 0)
        return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    const char *target = drive_of(to) == drive ? below(to, drive) : NULL;
    CHANGE(RENAME, drive, 0, syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0), 0, 0,
           below(from, drive), target, NULL, 0);
    return result;
}

int mkdir(const char *path, mode_t mode)
{
    int drive = drive_of(path), result;
    if (drive < 0)
        return syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    CHANGE(MKDIR, drive, 0, syscall(SYS_mkdirat, AT_FDCWD, path, mode), 0, 0, below(path, drive),
           NULL, NULL, 0);
    return result;
}

int stat64(const char *path, struct stat64 *to)
{
    int drive = drive_of(path), error = drive < 0 ? 0 : meet(STAT, drive, 0);
    if (error)
        return errno = error, -1;
    return REAL(stat64)(path, to);
}

int stat(const char *path, struct stat *to) { return stat64(path, (struct stat64 *)to); }

int statvfs64(const char *path, struct statvfs64 *to)
{
    int drive = drive_of(path), error = drive < 0 ? 0 : meet(SPACE, drive, 0);
    if (error)
        return errno = error, -1;
    return REAL(statvfs64)(path, to);
}

DIR *opendir(const char *path)
{
    int drive = drive_of(path), error = drive < 0 ? 0 : meet(LIST, drive, 0);
    if (error)
        return errno = error, NULL;
    return REAL(opendir)(path);
}

/* --- for the tests ------------------------------------------------------------------------------ */

void df_watch(int drive, const char *root)
{
    snprintf(roots[drive], PATH_BYTES_MAX, "%s", root);
    root_lengths[drive] = strlen(root);
    if (drive >= root_count)
        root_count = drive + 1;
}

void df_plan(int action, int error, int forever, uint32_t drives, uint32_t kinds, long nth,
             long delay_us, long bytes_per_s, int each)
{
    plan.drives = 0; /* nothing meets a plan that is half changed */
    __atomic_add_fetch(&unhung, 1, __ATOMIC_SEQ_CST);
    memset(counts, 0, sizeof counts);
    plan.action = action;
    plan.error = error;
    plan.forever = forever;
    plan.kinds = kinds;
    plan.nth = nth;
    plan.delay_us = delay_us;
    plan.bytes_per_s = bytes_per_s;
    plan.each = each;
    __atomic_store_n(&plan.drives, drives, __ATOMIC_SEQ_CST);
}

long df_count(void)
{
    long most = counts[DRIVES_MAX];
    for (int i = 0; i < DRIVES_MAX; i++)
        most = counts[i] > most ? counts[i] : most;
    return most;
}

void df_log(int on)
{
    pthread_mutex_lock(&lock);
    logging = on;
    log_used = 0;
    pthread_mutex_unlock(&lock);
}

void df_mark(const char *what)
{
    pthread_mutex_lock(&lock);
    record(MARK, 0, 0, 0, 0, what, NULL, NULL, 0);
    pthread_mutex_unlock(&lock);
}

/* The log so far; valid until the next call that is recorded. */
const uint8_t *df_log_bytes(size_t *used)
{
    *used = log_used;
    return log_bytes;
}
