// A driver for tests on machines without a GPU: its memory is the host's, and kernels do next to nothing. It aborts
// where it is used against its rules: without a current context, with closed handles, or with memory that is not its own.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RULE(condition)                                                                                                \
    if (!(condition)) {                                                                                                \
        fprintf(stderr, "fake driver: %s: %s\n", __func__, #condition);                                                \
        abort();                                                                                                       \
    }

typedef unsigned long long u64;
typedef struct {
    int kind; // 'c'ontext, 's'tream, 'e'vent, 'm'odule or 'f'unction
    int shared, carveout;
    double time;
    char name[64];
} Object;

enum { MEMORY = 1 << 20, BLOCKS = 64, ILLEGAL_ADDRESS = 700, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500 };

static struct {
    u64 address;
    size_t bytes;
} blocks[BLOCKS];
static size_t used;
static int live, unsynchronised, broken;
static double now;
static Object context = {'c', 0, 0, 0, ""};
static _Thread_local Object* current;

// Handles that were not closed, and blocks that were not freed.
int fake_live(void) { return live; }

static Object* make(int kind) {
    RULE(current);
    Object* object = calloc(1, sizeof(Object));
    object->kind = kind;
    live++;
    return object;
}
static int destroy(Object* object, int kind) {
    RULE(current && object->kind == kind);
    object->kind = 0; // kept, so that a second time shows
    live--;
    return 0;
}
static int inside(u64 address, size_t bytes) {
    for (int i = 0; i < BLOCKS; i++) {
        if (blocks[i].address && address >= blocks[i].address && address + bytes <= blocks[i].address + blocks[i].bytes) return 1;
    }
    return 0;
}

int cuInit(unsigned flags) { return flags; }
int cuDeviceGetUuid(unsigned char* uuid, int device) {
    for (int i = 0; i < 16; i++) uuid[i] = (unsigned char)(16 * device + i);
    return 0;
}
int cuDriverGetVersion(int* version) { return *version = 12040, 0; }
int cuGetErrorName(unsigned error, const char** name) {
    *name = error == ILLEGAL_ADDRESS ? "CUDA_ERROR_ILLEGAL_ADDRESS" : error < 1000 ? "CUDA_ERROR_OTHER" : 0;
    return *name ? 0 : INVALID_VALUE;
}
int cuGetErrorString(unsigned error, const char** text) {
    *text = error == ILLEGAL_ADDRESS ? "an illegal memory access was encountered" : 0;
    return *text ? 0 : INVALID_VALUE;
}
int cuDeviceGetCount(int* count) { return *count = 1, 0; }
int cuDeviceGet(int* device, int number) { return *device = 40 + number, number != 0; }
int cuDeviceGetName(char* name, int bytes, int device) {
    RULE(device == 40);
    return snprintf(name, bytes, "Fake"), 0;
}
int cuDeviceTotalMem_v2(size_t* bytes, int device) { return *bytes = MEMORY, device != 40; }
int cuDeviceGetAttribute(int* value, unsigned attribute, int device) {
    RULE(device == 40);
    // Numbers of cuda.h: capability, multiprocessors, and shared memory of a block and of a multiprocessor.
    *value = attribute == 75 ? 9 : attribute == 76 ? 0 : attribute == 16 ? 132 : attribute == 97 ? 227 << 10 : attribute == 81 ? 228 << 10 : -1;
    return *value < 0;
}
int cuDevicePrimaryCtxRetain(void** out, int device) { return live++, *out = &context, device != 40; }
int cuDevicePrimaryCtxRelease_v2(int device) { return live--, device != 40; }
int cuCtxSetCurrent(void* handle) {
    RULE(handle == &context);
    return current = handle, 0;
}
int cuMemGetInfo_v2(size_t* available, size_t* total) {
    RULE(current);
    return *available = MEMORY - used, *total = MEMORY, 0;
}
int cuMemAlloc_v2(u64* address, size_t bytes) {
    RULE(current && bytes > 0);
    if (broken) return broken;
    if (used + bytes > MEMORY) return OUT_OF_MEMORY;
    for (int i = 0; i < BLOCKS; i++) {
        if (blocks[i].address) continue;
        void* memory = aligned_alloc(256, (bytes + 255) / 256 * 256);
        memset(memory, 0xAB, bytes);
        *address = blocks[i].address = (u64)memory;
        blocks[i].bytes = bytes;
        used += bytes;
        live++;
        return 0;
    }
    return OUT_OF_MEMORY;
}
int cuMemFree_v2(u64 address) {
    RULE(current && unsynchronised == 0);
    for (int i = 0; i < BLOCKS; i++) {
        if (blocks[i].address != address) continue;
        free((void*)address);
        used -= blocks[i].bytes;
        blocks[i].address = 0;
        live--;
        return 0;
    }
    RULE(!"a block of this driver");
    return 0;
}
static int start(Object* stream) {
    RULE(current && stream->kind == 's');
    if (broken && !unsynchronised) return broken;
    unsynchronised++;
    return 0;
}
int cuMemcpyHtoDAsync_v2(u64 address, const void* host, size_t bytes, void* stream) {
    RULE(inside(address, bytes));
    int status = start(stream);
    return status ? status : (memcpy((void*)address, host, bytes), 0);
}
int cuMemcpyDtoHAsync_v2(void* host, u64 address, size_t bytes, void* stream) {
    RULE(inside(address, bytes));
    int status = start(stream);
    return status ? status : (memcpy(host, (void*)address, bytes), 0);
}
int cuMemsetD8Async(u64 address, unsigned char value, size_t bytes, void* stream) {
    RULE(inside(address, bytes));
    int status = start(stream);
    return status ? status : (memset((void*)address, value, bytes), 0);
}
int cuStreamCreate(void** stream, unsigned flags) { return *stream = make('s'), flags != 1; }
int cuStreamSynchronize(void* stream) {
    RULE(current && ((Object*)stream)->kind == 's');
    return unsynchronised = 0, broken;
}
int cuStreamDestroy_v2(void* stream) { return destroy(stream, 's'); }
int cuEventCreate(void** event, unsigned flags) { return *event = make('e'), flags; }
int cuEventRecord(void* event, void* stream) {
    RULE(current && ((Object*)event)->kind == 'e' && ((Object*)stream)->kind == 's');
    return ((Object*)event)->time = now += 250, 0;
}
int cuEventSynchronize(void* event) {
    RULE(current && ((Object*)event)->kind == 'e');
    return broken;
}
int cuEventElapsedTime(float* milliseconds, void* start, void* end) {
    RULE(((Object*)start)->kind == 'e' && ((Object*)end)->kind == 'e');
    return *milliseconds = ((Object*)end)->time - ((Object*)start)->time, 0;
}
int cuEventDestroy_v2(void* event) { return destroy(event, 'e'); }
int cuModuleLoadDataEx(void** module, const void* image, unsigned count, unsigned* options, void** values) {
    char* log = 0;
    size_t log_bytes = 0;
    Object* made = make('m');
    for (unsigned i = 0; i < count; i++) {
        if (options[i] == 0) made->shared = (int)(size_t)values[i]; // registers; read back as a test's result
        if (options[i] == 5) log = values[i];
        if (options[i] == 6) log_bytes = (size_t)values[i];
    }
    if (strncmp(image, "bad", 3) == 0) {
        snprintf(log, log_bytes, "ptxas fatal : registers %d\n", made->shared);
        return destroy(made, 'm'), INVALID_VALUE;
    }
    return *module = made, 0;
}
int cuModuleGetFunction(void** function, void* module, const char* name) {
    RULE(current && ((Object*)module)->kind == 'm');
    if (strcmp(name, "missing") == 0) return NOT_FOUND;
    Object* made = make('f');
    live--; // goes with its module
    snprintf(made->name, sizeof made->name, "%s", name);
    return *function = made, 0;
}
int cuModuleUnload(void* module) {
    RULE(unsynchronised == 0);
    return destroy(module, 'm');
}
int cuFuncSetAttribute(void* function, unsigned attribute, int value) {
    RULE(current && (attribute == 8 || attribute == 9) && ((Object*)function)->kind == 'f');
    if (attribute == 9) {
        RULE(value >= 0 && value <= 100);
        return ((Object*)function)->carveout = value, 0;
    }
    RULE(value > ((Object*)function)->shared); // only ever raised
    return ((Object*)function)->shared = value, 0;
}
// add: x[i] += y for the threads of all blocks. fail: an error that shows later. spill: no room for registers of more than four
// blocks. halves: wants half of a multiprocessor as shared memory.
int cuLaunchKernel(void* handle, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                   void* stream, void** args, void** extra) {
    Object* function = handle;
    RULE(function->kind == 'f' && !extra && gx && gy && gz);
    if (bx * by * bz > 1024) return INVALID_VALUE;
    if (shared > 48 << 10 && (int)shared > function->shared) return INVALID_VALUE;
    int status = start(stream);
    if (status) return status;
    if (strcmp(function->name, "spill") == 0 && gx > 4) return OUT_OF_MEMORY;
    if (strcmp(function->name, "halves") == 0 && function->carveout != 50) return INVALID_VALUE;
    if (strcmp(function->name, "fail") == 0) broken = ILLEGAL_ADDRESS;
    if (strcmp(function->name, "add") == 0) {
        float *x = *(float**)args[0], y = *(float*)args[1];
        RULE(inside((u64)x, 4 * gx * bx));
        for (unsigned i = 0; i < gx * bx; i++) x[i] += y;
    }
    return 0;
}
