#include "sample.h"

#include <dirent.h>

static double run_us(int pid, int thread) {
	char name[64], line[128];
	double us = 0;
	snprintf(name, sizeof name, "/proc/%d/task/%d/schedstat", pid, thread);
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return 0;
	}
	ssize_t got = read(fd, line, sizeof line - 1);
	if (got > 0) {
		line[got] = '\0';
		us = strtod(line, NULL) / 1000;
	}
	close(fd);
	return us;
}

struct cpu cpu_of(int pid) {
	struct cpu cpu = {0};
	char name[64];
	snprintf(name, sizeof name, "/proc/%d/task", pid);
	DIR *tasks = opendir(name);
	for (struct dirent *task = tasks ? readdir(tasks) : NULL; task; task = readdir(tasks)) {
		int thread = atoi(task->d_name);
		if (thread > 0) {
			double us = run_us(pid, thread);
			cpu.total += us;
			if (cpu.threads < SAMPLE_THREADS) {
				cpu.thread[cpu.threads++] = us;
			}
		}
	}
	if (tasks) {
		closedir(tasks);
	}
	return cpu;
}

double cpu_of_self(void) {
	return cpu_of(getpid()).total;
}

void cpu_print(const char *name, const struct cpu *before, const struct cpu *after) {
	printf("\"%s\":{\"us\":%.0f,\"threads\":[", name, after->total - before->total);
	for (int i = 0; i < after->threads; i++) {
		printf("%s%.0f", i ? "," : "", after->thread[i] - (i < before->threads ? before->thread[i] : 0));
	}
	printf("]}");
}

void durations_add(struct durations *d, int64_t us) {
	if (d->count == d->capacity) {
		d->capacity = d->capacity ? 2 * d->capacity : 1024;
		d->us = need(realloc(d->us, d->capacity * sizeof *d->us));
	}
	d->us[d->count++] = us;
}

static int compare(const void *a, const void *b) {
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

static long long part(const struct durations *d, double share) {
	return d->count ? (long long)d->us[(size_t)((double)(d->count - 1) * share)] : -1;
}

void durations_print(const char *name, struct durations *d) {
	if (d->count) {
		qsort(d->us, d->count, sizeof *d->us, compare);
	}
	printf("\"%s\":{\"count\":%zu,\"p50\":%lld,\"p90\":%lld,\"p99\":%lld,\"p999\":%lld,\"max\":%lld}", name,
	       d->count, part(d, 0.5), part(d, 0.9), part(d, 0.99), part(d, 0.999), part(d, 1));
}
