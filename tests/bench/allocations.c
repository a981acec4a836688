/* Counts what a process asks of malloc: preloaded (LD_PRELOAD) into it. The counts stand in the file that
 * BENCH_ALLOCATIONS names, 64-bit each: allocations, reallocations, frees, bytes asked for. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* The allocator's own names in glibc. To find them by dlsym would allocate. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *memory);

enum { ALLOCATIONS, REALLOCATIONS, FREES, BYTES, COUNTS };

static _Atomic uint64_t before_the_file[COUNTS];
static _Atomic uint64_t *counts = before_the_file;

__attribute__((constructor)) static void open_file(void) {
	const char *name = getenv("BENCH_ALLOCATIONS");
	int fd = name ? open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	if (fd < 0) {
		return;
	}
	if (ftruncate(fd, sizeof before_the_file) == 0) {
		void *memory = mmap(NULL, sizeof before_the_file, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		counts = memory == MAP_FAILED ? counts : memory;
	}
	close(fd);
}

static void count(int what, size_t bytes) {
	atomic_fetch_add_explicit(&counts[what], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&counts[BYTES], bytes, memory_order_relaxed);
}

void *malloc(size_t size) {
	count(ALLOCATIONS, size);
	return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
	count(ALLOCATIONS, number * size);
	return __libc_calloc(number, size);
}

void *realloc(void *memory, size_t size) {
	count(REALLOCATIONS, size);
	return __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
	count(ALLOCATIONS, size);
	return __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
	count(ALLOCATIONS, size);
	*memory = __libc_memalign(alignment, size);
	return *memory ? 0 : 12; /* ENOMEM */
}

void free(void *memory) {
	if (memory) {
		count(FREES, 0);
	}
	__libc_free(memory);
}
