/* What a process has used, and lists of durations. */
#ifndef SLUICE_BENCH_SAMPLE_H
#define SLUICE_BENCH_SAMPLE_H

#include "bench.h"

enum { SAMPLE_THREADS = 64 };

/* CPU time in microseconds, user and system, to the nanosecond that the scheduler keeps. Threads stand in the order of their
 * making: the first is the main one. */
struct cpu {
	double total;
	double thread[SAMPLE_THREADS];
	int threads;
};

struct cpu cpu_of(int pid);
double cpu_of_self(void);

/* Prints "name":{"us":TOTAL,"threads":[…]} of what was used between two samples. */
void cpu_print(const char *name, const struct cpu *before, const struct cpu *after);

struct durations {
	int64_t *us;
	size_t count, capacity;
};

void durations_add(struct durations *d, int64_t us);
/* Prints "name":{"count":…,"p50":…,"p90":…,"p99":…,"p999":…,"max":…} in microseconds; sorts. */
void durations_print(const char *name, struct durations *d);

#endif
