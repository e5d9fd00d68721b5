/* A libnvidia-ml.so.1 of our own: it tells what the script named by FAKE_NVML_SCRIPT says.
 *
 * The script is read again whenever it has changed (a stat per call), so that a test changes the
 * world in mid-run. Its lines, as tests/collectors/fake_nvml.py writes them:
 *
 *   driver 580.65.06           the version of the driver
 *   device 0                   what follows is about this GPU
 *   slice 0 1                  what follows is about this MIG slice of it
 *   name ... / uuid ...        its names
 *   lost                       it fell off the bus; handles of it stay lost until the next init
 *   value power 250000         the answer to a query, in NVML's own units (memory: total used reserved)
 *   process compute 4242 1000  pid and bytes; a negative number of bytes is "not available"
 *   error power 3              the query fails with this nvmlReturn_t
 *   delay pcie 20000           the query takes so many microseconds
 *
 * Compiled with -DOLD it is a driver of some years ago, without the newer names of its functions.
 * A query without a value is "not supported". `error` and `delay` before the first `device` are
 * about the library itself: init, driver, count, handle. Layouts and numbers: NVIDIA's nvml.h.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { OK = 0, UNINITIALIZED = 1, INVALID = 2, UNSUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7,
       NO_DRIVER = 9, LOST = 15, VERSION = 25 };
enum { GPUS = 16, SLICES = 8, PROCESSES = 64, TEXT = 96 };

#define QUERIES(X) X(init) X(driver) X(count) X(handle) X(name) X(uuid) X(pci) X(memory) \
    X(utilization) X(temperature) X(power) X(power_limit) X(clock) X(memory_clock) X(fan) \
    X(throttle) X(pcie) X(compute) X(graphics) X(mig) X(energy)
#define AS_ENUM(name) Q_##name,
#define AS_TEXT(name) #name,
enum { QUERIES(AS_ENUM) QUERY_COUNT };
static const char *const query_names[] = { QUERIES(AS_TEXT) };

typedef struct { unsigned pid; unsigned long long bytes; unsigned gpu_instance, compute_instance; } Process;
typedef struct {
    int there, lost, error[QUERY_COUNT], has[QUERY_COUNT], process_count[2];
    long delay_us[QUERY_COUNT];
    unsigned long long value[QUERY_COUNT][3];
    char name[TEXT], uuid[TEXT];
    Process process[2][PROCESSES];
} Device;

/* Slot 0 of a row is the GPU, the others are its slices. A handle is the address of a slot. */
static Device world[GPUS][SLICES + 1], library;
static char driver[TEXT];
static int initialised, present[GPUS], present_count, stays_lost[GPUS];
static unsigned long long calls[QUERY_COUNT];
static struct stat seen;
static char seen_path[4096];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int query_of(const char *name) {
    for (int each = 0; each < QUERY_COUNT; each++)
        if (!strcmp(query_names[each], name)) return each;
    fprintf(stderr, "fake NVML: no query is called %s\n", name);
    abort();
}

static void take_process(Device *device, const char *line) {
    char kind[TEXT];
    unsigned pid;
    long long bytes;
    if (sscanf(line, "process %95s %u %lld", kind, &pid, &bytes) != 3) return;
    int query = query_of(kind), graphics = query == Q_graphics;
    int *count = &device->process_count[graphics];
    if (*count >= PROCESSES) return;
    unsigned long long taken = bytes < 0 ? ~0ULL : (unsigned long long)bytes;
    device->process[graphics][(*count)++] = (Process){ pid, taken, ~0u, ~0u };
}

static void copy(char *out, const char *said) {
    size_t length = strnlen(said, TEXT - 1);
    memcpy(out, said, length);
    out[length] = 0;
}

static void take_line(Device **device, char *line) {
    char word[TEXT];
    unsigned gpu, slice;
    long number;
    unsigned long long *values;
    line[strcspn(line, "\n")] = 0;
    if (sscanf(line, "device %u", &gpu) == 1 && gpu < GPUS) {
        *device = &world[gpu][0];
        (*device)->there = 1;
    } else if (sscanf(line, "slice %u %u", &gpu, &slice) == 2 && gpu < GPUS && slice < SLICES) {
        *device = &world[gpu][slice + 1];
        (*device)->there = 1;
    } else if (!strncmp(line, "driver ", 7)) copy(driver, line + 7);
    else if (!strncmp(line, "name ", 5)) copy((*device)->name, line + 5);
    else if (!strncmp(line, "uuid ", 5)) copy((*device)->uuid, line + 5);
    else if (!strcmp(line, "lost")) (*device)->lost = 1;
    else if (!strncmp(line, "process ", 8)) take_process(*device, line);
    else if (sscanf(line, "error %95s %ld", word, &number) == 2)
        (*device)->error[query_of(word)] = (int)number;
    else if (sscanf(line, "delay %95s %ld", word, &number) == 2)
        (*device)->delay_us[query_of(word)] = number;
    else if (sscanf(line, "value %95s", word) == 1) {
        values = (*device)->value[query_of(word)];
        (*device)->has[query_of(word)] = 1;
        sscanf(line, "value %*s %llu %llu %llu", &values[0], &values[1], &values[2]);
    }
}

/* The world as the script tells it now; without one, a machine whose driver is not loaded. */
static void look(void) {
    const char *path = getenv("FAKE_NVML_SCRIPT");
    struct stat found;
    if (!path || stat(path, &found)) {
        memset(&library, 0, sizeof library);
        library.error[Q_init] = NO_DRIVER;
        seen_path[0] = 0;
        return;
    }
    if (!strcmp(path, seen_path) && found.st_ino == seen.st_ino && found.st_size == seen.st_size &&
        found.st_mtim.tv_sec == seen.st_mtim.tv_sec && found.st_mtim.tv_nsec == seen.st_mtim.tv_nsec)
        return;
    FILE *script = fopen(path, "r");
    if (!script) return;
    char line[512];
    Device *device = &library;
    memset(world, 0, sizeof world);
    memset(&library, 0, sizeof library);
    while (fgets(line, sizeof line, script)) take_line(&device, line);
    fclose(script);
    seen = found;
    snprintf(seen_path, sizeof seen_path, "%s", path);
    for (int gpu = 0; gpu < GPUS; gpu++) stays_lost[gpu] |= world[gpu][0].lost;
}

/* Counts the call, takes its time, and gives the device it is about with the lock held. */
static int begin(int query, Device *device) {
    pthread_mutex_lock(&lock);
    look();
    calls[query]++;
    long wait_us = device->delay_us[query];
    if (wait_us) {
        struct timespec pause = { wait_us / 1000000, wait_us % 1000000 * 1000 };
        pthread_mutex_unlock(&lock);
        nanosleep(&pause, NULL);
        pthread_mutex_lock(&lock);
        look();
    }
    if (query != Q_init && !initialised) return UNINITIALIZED;
    if (device == &library) return library.error[query];
    long slot = device - &world[0][0];
    if (slot < 0 || slot >= GPUS * (SLICES + 1)) return INVALID;
    if (stays_lost[slot / (SLICES + 1)]) return LOST;
    if (!device->there) return INVALID;
    return device->error[query];
}

static int end(int result) {
    pthread_mutex_unlock(&lock);
    return result;
}

static int number(int query, Device *device, int which, void *out, size_t size) {
    int result = begin(query, device);
    if (!result && !device->has[query]) result = UNSUPPORTED;
    if (!result) memcpy(out, &device->value[query][which], size);
    return end(result);
}

static int text(int query, Device *device, const char *said, char *out, unsigned size) {
    int result = begin(query, device);
    if (!result && strlen(said) >= size) result = TOO_SMALL;
    if (!result) strcpy(out, said);
    return end(result);
}

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    int result = begin(Q_init, &library);
    if (result || initialised++) return end(result);
    memset(stays_lost, 0, sizeof stays_lost);
    present_count = 0;
    for (int gpu = 0; gpu < GPUS; gpu++) {
        stays_lost[gpu] = world[gpu][0].lost;
        if (world[gpu][0].there) present[present_count++] = gpu;
    }
    return end(OK);
}
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlInit(void) { return nvmlInitWithFlags(0); }

int nvmlShutdown(void) {
    pthread_mutex_lock(&lock);
    return end(initialised ? (initialised--, OK) : UNINITIALIZED);
}

const char *nvmlErrorString(int result) {
    return result == 999 ? "Unknown Error" : "an error of the fake NVML";
}

int nvmlSystemGetDriverVersion(char *out, unsigned size) {
    return text(Q_driver, &library, driver, out, size);
}

int nvmlDeviceGetCount_v2(unsigned *out) {
    int result = begin(Q_count, &library);
    *out = (unsigned)present_count;
    return end(result);
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device **out) {
    int result = begin(Q_handle, &library);
    if (!result && index >= (unsigned)present_count) result = INVALID;
    if (result) return end(result);
    Device *found = &world[present[index]][0];
    *out = found;
    if (stays_lost[present[index]]) result = LOST;
    else result = found->there ? found->error[Q_handle] : INVALID;
    return end(result);
}

int nvmlDeviceGetHandleByUUID(const char *uuid, Device **out) {
    int result = begin(Q_handle, &library), found = NOT_FOUND;
    for (int slot = 0; !result && slot < GPUS * (SLICES + 1); slot++) {
        Device *each = &world[0][0] + slot;
        if (each->there && !strcmp(each->uuid, uuid)) { *out = each; found = OK; }
    }
    return end(result ? result : found);
}

int nvmlDeviceGetName(Device *device, char *out, unsigned size) {
    return text(Q_name, device, device->name, out, size);
}
int nvmlDeviceGetUUID(Device *device, char *out, unsigned size) {
    return text(Q_uuid, device, device->uuid, out, size);
}

int nvmlDeviceGetIndex(Device *device, unsigned *out) {
    int result = begin(Q_handle, device);
    for (int index = 0; index < present_count; index++)
        if (device == &world[present[index]][0]) *out = (unsigned)index;
    return end(result);
}

typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } Pci;
int nvmlDeviceGetPciInfo_v3(Device *device, Pci *out) {
    int result = begin(Q_pci, device);
    memset(out, 0, sizeof *out);
    out->bus = 1 + (unsigned)((device - &world[0][0]) / (SLICES + 1));
    snprintf(out->legacy, sizeof out->legacy, "0000:%02X:00.0", out->bus & 255);
    snprintf(out->bus_id, sizeof out->bus_id, "00000000:%02X:00.0", out->bus & 255);
    return end(result);
}

typedef struct { unsigned long long total, free, used; } Memory;
int nvmlDeviceGetMemoryInfo(Device *device, Memory *out) {
    int result = begin(Q_memory, device);
    unsigned long long *said = device->value[Q_memory];
    if (!result && !device->has[Q_memory]) result = UNSUPPORTED;
    /* The first version counts what the driver reserves for itself as used. */
    if (!result) *out = (Memory){ said[0], said[0] - said[1] - said[2], said[1] + said[2] };
    return end(result);
}

#ifndef OLD
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } Memory2;
int nvmlDeviceGetMemoryInfo_v2(Device *device, Memory2 *out) {
    int result = begin(Q_memory, device);
    unsigned long long *said = device->value[Q_memory];
    if (!result && out->version != 0x02000028u) result = VERSION;
    if (!result && !device->has[Q_memory]) result = UNSUPPORTED;
    if (!result)
        *out = (Memory2){ out->version, said[0], said[2], said[0] - said[1] - said[2], said[1] };
    return end(result);
}
#endif

int nvmlDeviceGetUtilizationRates(Device *device, unsigned out[2]) {
    int result = number(Q_utilization, device, 0, &out[0], sizeof(unsigned));
    if (!result) out[1] = (unsigned)device->value[Q_utilization][1];
    return result;
}
int nvmlDeviceGetTemperature(Device *device, unsigned sensor, unsigned *out) {
    return sensor ? INVALID : number(Q_temperature, device, 0, out, sizeof *out);
}
#ifndef OLD
int nvmlDeviceGetTemperatureV(Device *device, unsigned out[3]) {
    return number(Q_temperature, device, 0, &out[2], sizeof(unsigned));
}
#endif
int nvmlDeviceGetPowerUsage(Device *device, unsigned *out) {
    return number(Q_power, device, 0, out, sizeof *out);
}
int nvmlDeviceGetEnforcedPowerLimit(Device *device, unsigned *out) {
    return number(Q_power_limit, device, 0, out, sizeof *out);
}
int nvmlDeviceGetTotalEnergyConsumption(Device *device, unsigned long long *out) {
    return number(Q_energy, device, 0, out, sizeof *out);
}
int nvmlDeviceGetClockInfo(Device *device, unsigned kind, unsigned *out) {
    return number(kind == 2 ? Q_memory_clock : Q_clock, device, 0, out, sizeof *out);
}
int nvmlDeviceGetFanSpeed(Device *device, unsigned *out) {
    return number(Q_fan, device, 0, out, sizeof *out);
}
int nvmlDeviceGetCurrentClocksThrottleReasons(Device *device, unsigned long long *out) {
    return number(Q_throttle, device, 0, out, sizeof *out);
}
#ifndef OLD
int nvmlDeviceGetCurrentClocksEventReasons(Device *device, unsigned long long *out) {
    return number(Q_throttle, device, 0, out, sizeof *out);
}
#endif
int nvmlDeviceGetPcieThroughput(Device *device, unsigned counter, unsigned *out) {
    return number(Q_pcie, device, counter == 0 ? 1 : 0, out, sizeof *out);
}

static int processes(int query, Device *device, unsigned *count, Process *out) {
    int result = begin(query, device), graphics = query == Q_graphics;
    unsigned there = (unsigned)device->process_count[graphics], room = *count;
    if (result) return end(result);
    *count = there;
    if (there > room) return end(TOO_SMALL);
    if (there) memcpy(out, device->process[graphics], there * sizeof *out);
    return end(OK);
}
int nvmlDeviceGetComputeRunningProcesses_v2(Device *device, unsigned *count, Process *out) {
    return processes(Q_compute, device, count, out);
}
#ifndef OLD
int nvmlDeviceGetComputeRunningProcesses_v3(Device *device, unsigned *count, Process *out) {
    return processes(Q_compute, device, count, out);
}
#endif
int nvmlDeviceGetGraphicsRunningProcesses_v2(Device *device, unsigned *count, Process *out) {
    return processes(Q_graphics, device, count, out);
}
#ifndef OLD
int nvmlDeviceGetGraphicsRunningProcesses_v3(Device *device, unsigned *count, Process *out) {
    return processes(Q_graphics, device, count, out);
}
#endif

int nvmlDeviceGetMigMode(Device *device, unsigned *current, unsigned *pending) {
    int result = number(Q_mig, device, 0, current, sizeof *current);
    *pending = *current;
    return result;
}
int nvmlDeviceGetMaxMigDeviceCount(Device *device, unsigned *out) {
    int result = begin(Q_mig, device);
    *out = SLICES;
    return end(result);
}
int nvmlDeviceGetMigDeviceHandleByIndex(Device *device, unsigned index, Device **out) {
    int result = begin(Q_mig, device);
    if (!result && (index >= SLICES || !device[index + 1].there)) result = NOT_FOUND;
    if (!result) *out = device + index + 1;
    return end(result);
}
int nvmlDeviceIsMigDeviceHandle(Device *device, unsigned *out) {
    *out = (device - &world[0][0]) % (SLICES + 1) != 0;
    return OK;
}

/* For tests alone: how often a query was made, and a clean slate between two tests. */
unsigned long long fake_calls(const char *query) { return calls[query_of(query)]; }
void fake_reset(void) {
    pthread_mutex_lock(&lock);
    initialised = 0;
    seen_path[0] = 0;
    memset(calls, 0, sizeof calls);
    memset(stays_lost, 0, sizeof stays_lost);
    pthread_mutex_unlock(&lock);
}
