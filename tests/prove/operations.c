/* Preloaded into a run: counts the operations that change files below one folder, logs them, and acts at one of them.
 *
 * The shim does nothing until operations_arm() is called. The processes that an armed process forks share its counter.
 * A line of the log has: number, kind, inode, offset, size, path, other path, with tabs between them. An operation is
 * logged before it is made, except create, open and cut, whose inode is known only then, and fsync, which counts only
 * if it has ended. What a power cut would bring back is kept in the graveyard: a replaced or deleted file as a hard
 * link, a file that is emptied as a copy, both named after the operation's number. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WATCH, KILL, KILL_HALFWAY, FULL, ERROR, GO_ON = 0, HALF = -1 };

static int armed, action, log_file = -1;
static long point;
static atomic_long *count;
static char watched[PATH_MAX], graveyard[PATH_MAX];

void operations_arm(const char *folder, int what, long number, const char *log, const char *graves) {
    snprintf(watched, sizeof watched, "%s/", folder);
    snprintf(graveyard, sizeof graveyard, "%s", graves);
    action = what;
    point = number;
    log_file = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    count = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    armed = 1;
}

struct place {
    char path[PATH_MAX * 2];
    struct stat is;
    int exists;
};

static void join(char *path, size_t size, const char *folder, const char *name) {
    snprintf(path, size, "%s/%s", folder, name);
}

static int path_of(int file, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, size - 1);
    path[length < 0 ? 0 : length] = 0;
    return length > 0;
}

static int is_watched(const char *path) {
    size_t length = strlen(watched);
    /* the folder itself counts too: what is synced there */
    return !strncmp(path, watched, length) || (strlen(path) == length - 1 && !strncmp(path, watched, length - 1));
}

static int find(struct place *at, int folder, const char *path) {
    char from[PATH_MAX];
    if (!armed) return 0;
    if (path[0] == '/') {
        snprintf(at->path, sizeof at->path, "%s", path);
    } else {
        if (folder == AT_FDCWD ? !getcwd(from, sizeof from) : !path_of(folder, from, sizeof from)) return 0;
        join(at->path, sizeof at->path, from, path);
    }
    at->exists = !lstat(at->path, &at->is);
    return is_watched(at->path);
}

static int find_open(struct place *at, int file) {
    if (!armed || !path_of(file, at->path, sizeof at->path) || !is_watched(at->path)) return 0;
    at->exists = !fstat(file, &at->is);
    return 1;
}

static void note(long number, const char *kind, const struct place *at, long offset, const char *other) {
    char line[PATH_MAX * 4 + 128];
    int length = snprintf(line, sizeof line, "%ld\t%s\t%lu\t%ld\t%ld\t%s\t%s\n", number, kind,
                          at->exists ? (unsigned long)at->is.st_ino : 0UL, offset,
                          at->exists ? (long)at->is.st_size : -1L, at->path, other);
    if (syscall(SYS_write, log_file, line, (size_t)length) != length) raise(SIGABRT);
}

static void keep(long number, const char *path, int as_copy) {
    char grave[PATH_MAX * 2], block[65536], name[32];
    if (!graveyard[0]) return;
    snprintf(name, sizeof name, "%ld", number);
    join(grave, sizeof grave, graveyard, name);
    if (!as_copy) {
        syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, grave, 0);
        return;
    }
    int from = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY), to;
    to = (int)syscall(SYS_openat, AT_FDCWD, grave, O_WRONLY | O_CREAT, 0600);
    for (ssize_t got; (got = read(from, block, sizeof block)) > 0;)
        if (syscall(SYS_write, to, block, (size_t)got) != got) raise(SIGABRT);
    syscall(SYS_close, from);
    syscall(SYS_close, to);
}

static void die(void) {
    kill(0, SIGKILL);
    for (;;) pause();
}

/* What to do at an operation: GO_ON, HALF (of a write) or the error to answer with. */
static int turn(long number, int needs_room, int is_write) {
    if (action == KILL && number == point) die();
    if (action == KILL_HALFWAY && number == point) {
        if (is_write) return HALF;
        die();
    }
    if (action == ERROR && number == point) return EIO;
    if (action == FULL && number >= point && needs_room) return number == point && is_write ? HALF : ENOSPC;
    return GO_ON;
}

/* Whether the operation is answered with an error, which is in errno. */
static int refused(long number, int needs_room) {
    int error = turn(number, needs_room, 0);
    if (error) errno = error;
    return error;
}

static long next(void) { return atomic_fetch_add(count, 1) + 1; }

static int begun(const char *kind, struct place *at, const char *other, int needs_room) {
    long number = next();
    if (refused(number, needs_room)) return 0;
    if (at->exists && !S_ISDIR(at->is.st_mode) && !strcmp(kind, "unlink")) keep(number, at->path, 0);
    if (other[0]) {
        struct stat replaced;
        if (!lstat(other, &replaced) && !S_ISDIR(replaced.st_mode)) keep(number, other, 0);
    }
    note(number, kind, at, 0, other);
    return 1;
}

/* ---- opening for writing ---- */

static int opened(int folder, const char *path, int flags, mode_t mode) {
    struct place at;
    int writes = (flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC);
    if (!writes || !find(&at, folder, path)) return (int)syscall(SYS_openat, folder, path, flags, mode);
    long number = next();
    int existed = at.exists;
    if (refused(number, !existed)) return -1;
    int empties = existed && flags & O_TRUNC && at.is.st_size;
    if (empties) keep(number, at.path, 1);
    int file = (int)syscall(SYS_openat, folder, path, flags, mode);
    if (file < 0) return file;
    at.exists = !fstat(file, &at.is);
    note(number, existed ? empties ? "cut" : "open" : "create", &at, 0, "");
    return file;
}

#define MODE(flags)                                                                                                    \
    mode_t mode = 0;                                                                                                   \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                             \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode = va_arg(rest, mode_t);                                                                                   \
        va_end(rest);                                                                                                  \
    }
int open(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE(flags) return opened(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE(flags) return opened(folder, path, flags, mode); }
int creat(const char *path, mode_t mode) { return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

/* ---- writing ---- */

/* The body of a call of which MADE(n) is the system call for n bytes (of writev: n parts). */
#define WRITING(file, size, offset_or_now, MADE)                                                                       \
    struct place at;                                                                                                   \
    if (!find_open(&at, file)) return MADE(size);                                                                      \
    long number = next(), offset = offset_or_now;                                                                      \
    if (offset < 0) offset = fcntl(file, F_GETFL) & O_APPEND ? at.is.st_size : lseek(file, 0, SEEK_CUR);               \
    int error = turn(number, 1, 1);                                                                                    \
    if (error > 0 || (error == HALF && (size) < 2 && action == FULL)) {                                                \
        errno = error > 0 ? error : ENOSPC;                                                                            \
        return -1;                                                                                                     \
    }                                                                                                                  \
    note(number, "write", &at, offset, "");                                                                            \
    if (error != HALF) return MADE(size);                                                                              \
    ssize_t done = MADE((size) / 2);                                                                                   \
    if (action == KILL_HALFWAY) die();                                                                                 \
    return done;

#define MADE(n) syscall(SYS_write, file, data, n)
ssize_t write(int file, const void *data, size_t size) { WRITING(file, size, -1, MADE) }
#undef MADE

#define MADE(n) syscall(SYS_pwrite64, file, data, n, where)
ssize_t pwrite64(int file, const void *data, size_t size, off64_t where) { WRITING(file, size, where, MADE) }
ssize_t pwrite(int file, const void *data, size_t size, off_t where) { WRITING(file, size, where, MADE) }
#undef MADE

#define MADE(n) syscall(SYS_writev, file, part, n)
ssize_t writev(int file, const struct iovec *part, int parts) { WRITING(file, (size_t)parts, -1, MADE) }
#undef MADE

#define MADE(n) syscall(SYS_sendfile, file, from, where, n)
ssize_t sendfile64(int file, int from, off64_t *where, size_t size) { WRITING(file, size, -1, MADE) }
ssize_t sendfile(int file, int from, off_t *where, size_t size) { WRITING(file, size, -1, MADE) }
#undef MADE

#define MADE(n) syscall(SYS_copy_file_range, from, where, file, to, n, flags)
ssize_t copy_file_range(int from, off64_t *where, int file, off64_t *to, size_t size, unsigned flags) {
    WRITING(file, size, to ? *to : -1, MADE)
}
#undef MADE

int ftruncate64(int file, off64_t size) {
    struct place at;
    if (!find_open(&at, file)) return (int)syscall(SYS_ftruncate, file, size);
    long number = next();
    if (refused(number, size > at.is.st_size)) return -1;
    note(number, "truncate", &at, size, "");
    return (int)syscall(SYS_ftruncate, file, size);
}
int ftruncate(int file, off_t size) { return ftruncate64(file, size); }

/* ---- names ---- */

int truncate64(const char *path, off64_t size) {
    struct place at;
    if (find(&at, AT_FDCWD, path) && at.exists) {
        long number = next();
        if (refused(number, size > at.is.st_size)) return -1;
        note(number, "truncate", &at, size, "");
    }
    return (int)syscall(SYS_truncate, path, size);
}
int truncate(const char *path, off_t size) { return truncate64(path, size); }

int renameat2(int folder, const char *old, int to, const char *new, unsigned flags) {
    struct place from, at;
    if (find(&at, to, new) | find(&from, folder, old) && !begun("rename", &from, at.path, 1)) return -1;
    return (int)syscall(SYS_renameat2, folder, old, to, new, flags);
}
int renameat(int folder, const char *old, int to, const char *new) { return renameat2(folder, old, to, new, 0); }
int rename(const char *old, const char *new) { return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0); }

int linkat(int folder, const char *old, int to, const char *new, int flags) {
    struct place at;
    if (find(&at, to, new) && !begun("link", &at, "", 1)) return -1;
    return (int)syscall(SYS_linkat, folder, old, to, new, flags);
}
int link(const char *old, const char *new) { return linkat(AT_FDCWD, old, AT_FDCWD, new, 0); }

int symlinkat(const char *target, int folder, const char *path) {
    struct place at;
    if (find(&at, folder, path) && !begun("link", &at, "", 1)) return -1;
    return (int)syscall(SYS_symlinkat, target, folder, path);
}
int symlink(const char *target, const char *path) { return symlinkat(target, AT_FDCWD, path); }

int unlinkat(int folder, const char *path, int flags) {
    struct place at;
    const char *kind = flags & AT_REMOVEDIR ? "rmdir" : "unlink";
    /* what is not there is not removed, and many look for files to remove */
    if (find(&at, folder, path) && at.exists && !begun(kind, &at, "", 0)) return -1;
    return (int)syscall(SYS_unlinkat, folder, path, flags);
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char *path) {
    struct stat is;
    return !lstat(path, &is) && S_ISDIR(is.st_mode) ? rmdir(path) : unlink(path);
}

int mkdirat(int folder, const char *path, mode_t mode) {
    struct place at;
    if (find(&at, folder, path) && !at.exists && !begun("mkdir", &at, "", 1)) return -1;
    return (int)syscall(SYS_mkdirat, folder, path, mode);
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

/* ---- making durable ---- */

static int synced(int file, long call) {
    struct place at;
    if (!find_open(&at, file)) return (int)syscall(call, file);
    long number = next();
    if (refused(number, 1)) return -1;
    int answer = (int)syscall(call, file);
    if (!answer) note(number, "fsync", &at, 0, "");
    return answer;
}
int fsync(int file) { return synced(file, SYS_fsync); }
int fdatasync(int file) { return synced(file, SYS_fdatasync); }
