/*
 * A simulated disk with a write cache, for LD_PRELOAD.
 *
 * kill -9 leaves the page cache alive, so it cannot show a missing fsync. This library keeps a second copy of one
 * directory that holds only what was made durable: the platter. When the process has been killed, the test puts the
 * platter in the directory's place, and everything that nobody fsynced is gone (test/src/power-cut/power.ts).
 *
 *   SEALMESH_POWER_ROOT   the directory that lives on the simulated disk; absolute and free of links, and the program
 *                         must name its files by this path or by relative ones
 *   SEALMESH_POWER_SIDE   holds  tree/  the durable names and, through hard links, the durable contents
 *                                data/  one file for each inode that was ever opened for writing
 *                                loaded.PID  proof that the library was loaded
 *   SEALMESH_POWER_NAMES  `directory` for the second of the two models below
 *
 * Contents, size and mode of a file become durable at fsync or fdatasync of that file (at once with O_SYNC, O_DSYNC).
 * Names (creations, renames, unlinks) become durable as on one of two kinds of file system:
 *  - with one ordered journal (ext4, XFS; the default): every fsync commits all changes of names made before it. So a
 *    rename with no fsync of anything after it is undone, though the file was synced before it was renamed.
 *  - at their least generous (`directory`; nearer to btrfs): fsync of a directory commits its names, fsync of a file
 *    only its own name if it is new, and those of new directories above it.
 * Contents that nobody synced are never saved by a journal: such a file comes back empty, or as it was.
 *
 * How it knows: a file's tail past its durable length is always new, so appending needs no watching, and LevelDB, which
 * writes through stdio whose inner write() cannot be interposed, is served by that. Overwrites and truncations are
 * watched at the calls that make them. Changes of names are only noticed; a sync then compares directory and tree.
 * Shared writable mappings cannot be watched and end the process.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define CLEAN INT64_MAX
#define FDS_MAX 65536
#define BUCKETS 4096

/* One inode below the root. `dirty` is the lowest durable byte that was overwritten since the last sync. */
struct file {
  dev_t dev;
  ino_t ino;
  unsigned long id;
  int64_t dirty;
  struct file *next;
};

enum kind { UNTRACKED = 0, FILE_FD, SYNC_FILE_FD, DIRECTORY_FD };

static char root[PATH_MAX], side[PATH_MAX];
static size_t root_length;
static int active, by_directory;
/* Whether a name below the root may have changed since the names last went to the platter. */
static volatile int names_changed = 1;
static unsigned long last_id;
static struct file *buckets[BUCKETS];
/* Guards the tables and the side directory. Taken before the kernel is asked to create, so that creations are seen. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Read without the lock: a descriptor belongs to whoever opened it. */
static volatile unsigned char kind_of[FDS_MAX];

#define REAL(type, name, ...)                                                                                          \
  static type (*real_##name)(__VA_ARGS__);                                                                             \
  if (!real_##name) real_##name = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static void fail(const char *what) {
  dprintf(2, "power-cut shim: %s: %s\n", what, strerror(errno));
  abort();
}

/* The shim's own calls go past its interposers. */
static int raw_open(const char *path, int flags, mode_t mode) {
  REAL(int, open64, const char *, int, ...);
  return real_open64(path, flags | O_CLOEXEC, mode);
}
static void raw_close(int fd) {
  REAL(int, close, int);
  real_close(fd);
}

__attribute__((constructor)) static void start(void) {
  const char *r = getenv("SEALMESH_POWER_ROOT"), *s = getenv("SEALMESH_POWER_SIDE");
  if (!r || !s) return;
  if (strlen(r) + 512 > PATH_MAX || strlen(s) + 512 > PATH_MAX) fail("path too long");
  strcpy(root, r);
  strcpy(side, s);
  root_length = strlen(root);
  char path[PATH_MAX + 64];
  snprintf(path, sizeof path, "%s/data", side);
  if (mkdir(path, 0700) && errno != EEXIST) fail(path);
  snprintf(path, sizeof path, "%s/loaded.%d", side, (int)getpid());
  int fd = raw_open(path, O_CREAT | O_WRONLY, 0600);
  if (fd < 0) fail(path);
  raw_close(fd);
  const char *names = getenv("SEALMESH_POWER_NAMES");
  by_directory = names && !strcmp(names, "directory");
  active = 1;
}

/* ---- which file -------------------------------------------------------------------------------------------------- */

/* The descriptor's path below the root (empty for the root itself); 0 when it is elsewhere or has no name any more. */
static int path_below_root(int fd, char *below) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  if (n < 0) return 0;
  path[n] = 0;
  if (strncmp(path, root, root_length) || (path[root_length] != '/' && path[root_length])) return 0;
  const char *deleted = " (deleted)";
  size_t d = strlen(deleted);
  if ((size_t)n > d && !strcmp(path + n - d, deleted)) return 0;
  strcpy(below, path[root_length] ? path + root_length + 1 : "");
  return 1;
}

static void tree_path(char *to, const char *below) {
  if (snprintf(to, PATH_MAX, *below ? "%s/tree/%s" : "%s/tree", side, below) >= PATH_MAX) fail("path too long");
}
static void data_path(char *to, const struct file *file) {
  if (snprintf(to, PATH_MAX, "%s/data/%d-%lu", side, (int)getpid(), file->id) >= PATH_MAX) fail("path too long");
}

/* Inodes are reused, so a creation always makes a new file, whatever is known under that number. */
static struct file *file_of(const struct stat *st, const char *below, int created) {
  struct file **at = &buckets[(st->st_ino ^ st->st_dev) % BUCKETS], *file;
  for (file = *at; file; file = file->next)
    if (file->ino == st->st_ino && file->dev == st->st_dev) break;
  if (file && !created) return file;
  if (!file) {
    file = calloc(1, sizeof *file);
    if (!file) fail("calloc");
    file->dev = st->st_dev;
    file->ino = st->st_ino;
    file->next = *at;
    *at = file;
  }
  file->id = ++last_id;
  if (created) names_changed = 1;
  /* Another process may have left bytes that it never synced: the first sync copies all. */
  file->dirty = created ? CLEAN : 0;
  char data[PATH_MAX], tree[PATH_MAX];
  data_path(data, file);
  unlink(data); /* Of an earlier process with this process id: its names in the tree keep the contents. */
  if (!created && below) {
    tree_path(tree, below);
    if (!link(tree, data)) return file;
    if (errno != ENOENT) fail(data);
  }
  int fd = raw_open(data, O_CREAT | O_EXCL | O_WRONLY, 0600);
  if (fd < 0) fail(data);
  raw_close(fd);
  return file;
}

static void overwritten(int fd, int64_t from) {
  struct stat st;
  if (fstat(fd, &st) || !S_ISREG(st.st_mode)) return;
  char below[PATH_MAX];
  pthread_mutex_lock(&lock);
  struct file *file = file_of(&st, path_below_root(fd, below) ? below : NULL, 0);
  if (from < file->dirty) file->dirty = from;
  pthread_mutex_unlock(&lock);
}

/* Called with the lock held, right after the kernel opened `fd`. */
static void opened(int fd, int flags, int created) {
  if (fd < 0 || fd >= FDS_MAX) return;
  kind_of[fd] = UNTRACKED;
  struct stat st;
  char below[PATH_MAX];
  if (fstat(fd, &st) || !path_below_root(fd, below)) return;
  if (S_ISDIR(st.st_mode)) kind_of[fd] = DIRECTORY_FD;
  if (!S_ISREG(st.st_mode) || (flags & O_ACCMODE) == O_RDONLY) return;
  struct file *file = file_of(&st, below, created);
  if (flags & O_TRUNC) file->dirty = 0;
  kind_of[fd] = flags & (O_SYNC | O_DSYNC) ? SYNC_FILE_FD : FILE_FD;
}

/* ---- making durable ---------------------------------------------------------------------------------------------- */

static void make_parents(char *path) {
  for (char *at = path + strlen(side) + 1; (at = strchr(at, '/')); at++) {
    *at = 0;
    if (mkdir(path, 0700) && errno != EEXIST) fail(path);
    *at = '/';
  }
}

/* The kernel's fsync has returned: what the file holds now goes to the platter. */
static void file_to_platter(int fd, const struct stat *st) {
  char below[PATH_MAX], data[PATH_MAX], tree[PATH_MAX], source[64], buffer[65536];
  int named = path_below_root(fd, below);
  struct file *file = file_of(st, named ? below : NULL, 0);
  data_path(data, file);
  snprintf(source, sizeof source, "/proc/self/fd/%d", fd);
  int from = raw_open(source, O_RDONLY, 0), to = raw_open(data, O_RDWR, 0);
  if (from < 0 || to < 0) fail(data);
  struct stat durable;
  if (fstat(to, &durable)) fail("fstat");
  off_t at = file->dirty < durable.st_size ? file->dirty : durable.st_size;
  if (at < durable.st_size && ftruncate(to, at)) fail("ftruncate");
  REAL(ssize_t, pwrite64, int, const void *, size_t, off_t);
  for (ssize_t n; (n = pread(from, buffer, sizeof buffer, at)) > 0; at += n)
    if (real_pwrite64(to, buffer, n, at) != n) fail("pwrite");
  if (durable.st_mode != st->st_mode) fchmod(to, st->st_mode & 07777);
  raw_close(from);
  raw_close(to);
  file->dirty = CLEAN;
  if (!named || !by_directory) return;
  tree_path(tree, below);
  if (access(tree, F_OK)) {
    make_parents(tree);
    if (link(data, tree) && errno != EEXIST) fail(tree);
  }
}

static void remove_all(const char *path) {
  DIR *directory = opendir(path);
  if (directory) {
    for (struct dirent *entry; (entry = readdir(directory));) {
      if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
      char child[PATH_MAX];
      if (snprintf(child, sizeof child, "%s/%s", path, entry->d_name) >= PATH_MAX) fail("path too long");
      remove_all(child);
    }
    closedir(directory);
  }
  if (remove(path) && errno != ENOENT) fail(path);
}

/* Makes the tree's names in one directory those that the directory has now; `deep` for all directories in it too. */
static void names_to_platter(const char *below, int deep) {
  char tree[PATH_MAX], name[PATH_MAX], durable[PATH_MAX], data[PATH_MAX], fresh[PATH_MAX];
  tree_path(tree, below);
  make_parents(tree);
  if (mkdir(tree, 0700) && errno != EEXIST) fail(tree);
  const char *slash = *below ? "/" : "";
  struct stat st, old, new;

  if (snprintf(name, sizeof name, "%s%s%s", root, slash, below) >= PATH_MAX) fail("path too long");
  if (!stat(name, &st)) chmod(tree, st.st_mode & 07777);
  DIR *directory = opendir(name);
  if (!directory) fail(name);
  for (struct dirent *entry; (entry = readdir(directory));) {
    if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
    if (snprintf(name, sizeof name, "%s%s%s/%s", root, slash, below, entry->d_name) >= PATH_MAX ||
        snprintf(durable, sizeof durable, "%s/%s", tree, entry->d_name) >= PATH_MAX)
      fail("path too long");
    if (lstat(name, &st)) continue;
    if (S_ISDIR(st.st_mode)) {
      /* A directory that is new here may have been renamed: what is in it comes along. */
      int arrived = !mkdir(durable, st.st_mode & 07777);
      if (!arrived && errno != EEXIST) fail(durable);
      if (deep || arrived) names_to_platter(name + root_length + 1, 1);
    }
    if (!S_ISREG(st.st_mode)) continue;
    /* A file that this process never wrote to is taken as the tree has it. */
    data_path(data, file_of(&st, name + root_length + 1, 0));
    if (stat(data, &new)) fail(data);
    if (!lstat(durable, &old) && old.st_ino == new.st_ino) continue;
    if (snprintf(fresh, sizeof fresh, "%s/fresh", side) >= PATH_MAX) fail("path too long");
    if (link(data, fresh) || rename(fresh, durable)) fail(durable);
  }
  closedir(directory);

  directory = opendir(tree);
  if (!directory) fail(tree);
  for (struct dirent *entry; (entry = readdir(directory));) {
    if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
    if (snprintf(name, sizeof name, "%s%s%s/%s", root, slash, below, entry->d_name) >= PATH_MAX ||
        snprintf(durable, sizeof durable, "%s/%s", tree, entry->d_name) >= PATH_MAX)
      fail("path too long");
    if (lstat(name, &st)) remove_all(durable);
  }
  closedir(directory);
}

static void synced(int fd) {
  if (!active) return;
  int error = errno;
  struct stat st;
  char below[PATH_MAX];
  if (!fstat(fd, &st) && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))) {
    pthread_mutex_lock(&lock);
    int known = fd < FDS_MAX && (kind_of[fd] == FILE_FD || kind_of[fd] == SYNC_FILE_FD);
    if (known || path_below_root(fd, below)) {
      if (S_ISREG(st.st_mode)) file_to_platter(fd, &st);
      if (!by_directory && names_changed) {
        names_changed = 0;
        names_to_platter("", 1);
      }
      if (by_directory && S_ISDIR(st.st_mode)) names_to_platter(below, 0);
    }
    pthread_mutex_unlock(&lock);
  }
  errno = error;
}

/* ---- interposed calls -------------------------------------------------------------------------------------------- */

#define TRACKED(fd) (active && (fd) >= 0 && (fd) < FDS_MAX && (kind_of[fd] == FILE_FD || kind_of[fd] == SYNC_FILE_FD))

int fsync(int fd) {
  REAL(int, fsync, int);
  int result = real_fsync(fd);
  if (!result) synced(fd);
  return result;
}

int fdatasync(int fd) {
  REAL(int, fdatasync, int);
  int result = real_fdatasync(fd);
  if (!result) synced(fd);
  return result;
}

/* Spares everybody else the lock; a forked child that opens /dev/null must never wait for it. */
static int elsewhere(const char *path) { return !active || (*path == '/' && strncmp(path, root, root_length)); }

static int open_at(int at, const char *path, int flags, mode_t mode) {
  REAL(int, openat64, int, const char *, int, ...);
  if (elsewhere(path)) return real_openat64(at, path, flags, mode);
  pthread_mutex_lock(&lock);
  struct stat st;
  int created = (flags & O_CREAT) && fstatat(at, path, &st, 0);
  int fd = real_openat64(at, path, flags, mode), error = errno;
  opened(fd, flags, created);
  pthread_mutex_unlock(&lock);
  errno = error;
  return fd;
}

static mode_t mode_of(int flags, va_list more) { return flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; }

#define OPEN(name)                                                                                                     \
  int name(const char *path, int flags, ...) {                                                                         \
    va_list more;                                                                                                      \
    va_start(more, flags);                                                                                             \
    mode_t mode = mode_of(flags, more);                                                                                \
    va_end(more);                                                                                                      \
    return open_at(AT_FDCWD, path, flags, mode);                                                                       \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                                                   \
  int name(int at, const char *path, int flags, ...) {                                                                 \
    va_list more;                                                                                                      \
    va_start(more, flags);                                                                                             \
    mode_t mode = mode_of(flags, more);                                                                                \
    va_end(more);                                                                                                      \
    return open_at(at, path, flags, mode);                                                                             \
  }
OPENAT(openat)
OPENAT(openat64)

int creat(const char *path, mode_t mode) { return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

static FILE *open_stream(const char *path, const char *mode) {
  REAL(FILE *, fopen64, const char *, const char *);
  if (elsewhere(path) || (*mode == 'r' && !strchr(mode, '+'))) return real_fopen64(path, mode);
  pthread_mutex_lock(&lock);
  struct stat st;
  int created = *mode != 'r' && stat(path, &st);
  FILE *stream = real_fopen64(path, mode);
  int error = errno;
  /* A stream that can seek is taken to have overwritten everything. */
  if (stream) opened(fileno(stream), O_RDWR | (*mode == 'w' || *mode == 'r' ? O_TRUNC : 0), created);
  pthread_mutex_unlock(&lock);
  errno = error;
  return stream;
}
FILE *fopen(const char *path, const char *mode) { return open_stream(path, mode); }
FILE *fopen64(const char *path, const char *mode) { return open_stream(path, mode); }

int close(int fd) {
  REAL(int, close, int);
  if (fd >= 0 && fd < FDS_MAX) kind_of[fd] = UNTRACKED;
  return real_close(fd);
}

int fclose(FILE *stream) {
  REAL(int, fclose, FILE *);
  int fd = stream ? fileno(stream) : -1;
  if (fd >= 0 && fd < FDS_MAX) kind_of[fd] = UNTRACKED;
  return real_fclose(stream);
}

/* `at` is where the bytes went, or -1 when the descriptor's own position tells. */
static ssize_t wrote(int fd, ssize_t n, off_t at) {
  if (n <= 0 || !TRACKED(fd)) return n;
  int error = errno;
  if (at < 0) {
    off_t end = lseek(fd, 0, SEEK_CUR);
    at = end < n ? 0 : end - n;
  }
  overwritten(fd, at);
  if (kind_of[fd] == SYNC_FILE_FD) synced(fd);
  errno = error;
  return n;
}

ssize_t write(int fd, const void *bytes, size_t length) {
  REAL(ssize_t, write, int, const void *, size_t);
  return wrote(fd, real_write(fd, bytes, length), -1);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
  REAL(ssize_t, writev, int, const struct iovec *, int);
  return wrote(fd, real_writev(fd, parts, count), -1);
}
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
  REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
  return wrote(fd, real_pwrite(fd, bytes, length, at), at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t at) {
  REAL(ssize_t, pwrite64, int, const void *, size_t, off_t);
  return wrote(fd, real_pwrite64(fd, bytes, length, at), at);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
  REAL(ssize_t, pwritev, int, const struct iovec *, int, off_t);
  return wrote(fd, real_pwritev(fd, parts, count, at), at);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t at) {
  REAL(ssize_t, pwritev64, int, const struct iovec *, int, off_t);
  return wrote(fd, real_pwritev64(fd, parts, count, at), at);
}

static int cut_to(int fd, int result, off_t length) {
  if (!result && TRACKED(fd)) overwritten(fd, length);
  return result;
}
int ftruncate(int fd, off_t length) {
  REAL(int, ftruncate, int, off_t);
  return cut_to(fd, real_ftruncate(fd, length), length);
}
int ftruncate64(int fd, off_t length) {
  REAL(int, ftruncate64, int, off_t);
  return cut_to(fd, real_ftruncate64(fd, length), length);
}

static int cut_path(const char *path, int result, off_t length) {
  if (result || elsewhere(path)) return result;
  int fd = raw_open(path, O_RDONLY, 0);
  char below[PATH_MAX];
  if (fd >= 0 && path_below_root(fd, below)) overwritten(fd, length);
  if (fd >= 0) raw_close(fd);
  return result;
}
int truncate(const char *path, off_t length) {
  REAL(int, truncate, const char *, off_t);
  return cut_path(path, real_truncate(path, length), length);
}
int truncate64(const char *path, off_t length) {
  REAL(int, truncate64, const char *, off_t);
  return cut_path(path, real_truncate64(path, length), length);
}

/* Calls that change names are only noticed. */
static int renamed(const char *path, int result) {
  if (!result && !elsewhere(path)) names_changed = 1;
  return result;
}
int rename(const char *from, const char *to) {
  REAL(int, rename, const char *, const char *);
  return renamed(to, real_rename(from, to));
}
int renameat(int from_at, const char *from, int to_at, const char *to) {
  REAL(int, renameat, int, const char *, int, const char *);
  return renamed(to, real_renameat(from_at, from, to_at, to));
}
int link(const char *from, const char *to) {
  REAL(int, link, const char *, const char *);
  return renamed(to, real_link(from, to));
}
int unlink(const char *path) {
  REAL(int, unlink, const char *);
  return renamed(path, real_unlink(path));
}
int unlinkat(int at, const char *path, int flags) {
  REAL(int, unlinkat, int, const char *, int);
  return renamed(path, real_unlinkat(at, path, flags));
}
int remove(const char *path) {
  REAL(int, remove, const char *);
  return renamed(path, real_remove(path));
}
int mkdir(const char *path, mode_t mode) {
  REAL(int, mkdir, const char *, mode_t);
  return renamed(path, real_mkdir(path, mode));
}
int rmdir(const char *path) {
  REAL(int, rmdir, const char *);
  return renamed(path, real_rmdir(path));
}

static void refuse_shared_writes(int protection, int flags, int fd) {
  if ((protection & PROT_WRITE) && (flags & MAP_SHARED) && TRACKED(fd)) {
    errno = ENOTSUP;
    fail("a shared writable mapping cannot be watched");
  }
}
void *mmap(void *where, size_t length, int protection, int flags, int fd, off_t at) {
  REAL(void *, mmap, void *, size_t, int, int, int, off_t);
  refuse_shared_writes(protection, flags, fd);
  return real_mmap(where, length, protection, flags, fd, at);
}
void *mmap64(void *where, size_t length, int protection, int flags, int fd, off_t at) {
  REAL(void *, mmap64, void *, size_t, int, int, int, off_t);
  refuse_shared_writes(protection, flags, fd);
  return real_mmap64(where, length, protection, flags, fd, at);
}
