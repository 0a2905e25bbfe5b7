/* Copyright (c) 2026, The fleetops.gpustack contributors
 * GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Stand-in for libnvidia-ml.so.1: the GPUs of a file, for the detector of GPUStack 2.0 to 2.2.
 *
 * The file holds lines of index,uuid,name,memory_mib,driver_version. Only what that detector asks about a whole GPU is
 * here; a function that is missing (MIG, GPM, fabric, links, ECC) is "not supported" to it, as on many real GPUs.
 * Layouts and numbers are those of the public NVML interface.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUCCESS 0
#define INVALID_ARGUMENT 2
#define NOT_FOUND 6
#define INSUFFICIENT_SIZE 7
#define DRIVER_NOT_LOADED 9

#define MAX_GPUS 16

struct gpu {
    unsigned int index;
    char uuid[96];
    char name[96];
    unsigned long long memory_mib;
    char driver[80];
};

struct pci_info {
    char bus_id_legacy[16];
    unsigned int domain, bus, device, pci_device_id, pci_subsystem_id;
    char bus_id[32];
};

struct memory_info {
    unsigned long long total, free, used;
};

struct utilization {
    unsigned int gpu, memory;
};

static struct gpu gpus[MAX_GPUS];
static unsigned int gpu_count;

static const char *gpu_file(void)
{
    const char *path = getenv("GPUSTACK_LAB_GPUS");
    return path ? path : "/etc/gpustack-lab/gpus.csv";
}

static void bus_id_of(const struct gpu *gpu, char *text, size_t size, const char *format)
{
    snprintf(text, size, format, 0, gpu->index + 1);
}

static int copy_text(char *target, unsigned int size, const char *source)
{
    if (strlen(source) >= size)
        return INSUFFICIENT_SIZE;
    strcpy(target, source);
    return SUCCESS;
}

int nvmlInitWithFlags(unsigned int flags)
{
    char line[512];
    FILE *file = fopen(gpu_file(), "r");

    (void)flags;
    gpu_count = 0;
    if (!file)
        return DRIVER_NOT_LOADED;
    while (gpu_count < MAX_GPUS && fgets(line, sizeof line, file)) {
        struct gpu *gpu = &gpus[gpu_count];
        if (sscanf(line, "%u,%95[^,],%95[^,],%llu,%79[^,\r\n]", &gpu->index, gpu->uuid, gpu->name, &gpu->memory_mib,
                   gpu->driver) == 5)
            gpu_count++;
    }
    fclose(file);
    return gpu_count ? SUCCESS : DRIVER_NOT_LOADED;
}

int nvmlInit_v2(void)
{
    return nvmlInitWithFlags(0);
}

int nvmlShutdown(void)
{
    return SUCCESS;
}

const char *nvmlErrorString(int result)
{
    switch (result) {
    case SUCCESS: return "The operation was successful";
    case INVALID_ARGUMENT: return "Invalid Argument";
    case NOT_FOUND: return "Not Found";
    case INSUFFICIENT_SIZE: return "Insufficient Size";
    case DRIVER_NOT_LOADED: return "Driver Not Loaded";
    default: return "Unknown Error";
    }
}

int nvmlSystemGetDriverVersion(char *version, unsigned int length)
{
    return copy_text(version, length, gpus[0].driver);
}

/* The newest CUDA release that the branch of the driver supports. */
int nvmlSystemGetCudaDriverVersion(int *version)
{
    int branch = atoi(gpus[0].driver);

    *version = branch >= 580 ? 13000
             : branch >= 570 ? 12080
             : branch >= 565 ? 12070
             : branch >= 560 ? 12060
             : branch >= 555 ? 12050
             : branch >= 550 ? 12040
             : branch >= 535 ? 12020
             : 11080;
    return SUCCESS;
}

int nvmlSystemGetCudaDriverVersion_v2(int *version)
{
    return nvmlSystemGetCudaDriverVersion(version);
}

int nvmlDeviceGetCount_v2(unsigned int *count)
{
    *count = gpu_count;
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, struct gpu **device)
{
    if (index >= gpu_count)
        return INVALID_ARGUMENT;
    *device = &gpus[index];
    return SUCCESS;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, struct gpu **device)
{
    for (unsigned int i = 0; i < gpu_count; i++)
        if (!strcmp(gpus[i].uuid, uuid)) {
            *device = &gpus[i];
            return SUCCESS;
        }
    return NOT_FOUND;
}

int nvmlDeviceGetName(const struct gpu *device, char *name, unsigned int length)
{
    return copy_text(name, length, device->name);
}

int nvmlDeviceGetUUID(const struct gpu *device, char *uuid, unsigned int length)
{
    return copy_text(uuid, length, device->uuid);
}

int nvmlDeviceGetMinorNumber(const struct gpu *device, unsigned int *minor)
{
    *minor = device->index;
    return SUCCESS;
}

int nvmlDeviceGetCudaComputeCapability(const struct gpu *device, int *major, int *minor)
{
    static const struct { const char *part; int major, minor; } known[] = {
        {"B200", 10, 0}, {"RTX 50", 12, 0}, {"H200", 9, 0}, {"H100", 9, 0}, {"L40", 8, 9}, {"L4", 8, 9},
        {"RTX 40", 8, 9}, {"A10", 8, 6}, {"RTX 30", 8, 6}, {"T4", 7, 5}, {"V100", 7, 0},
    };

    *major = 8;
    *minor = 0;
    if (strstr(device->name, "A100"))
        return SUCCESS;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strstr(device->name, known[i].part)) {
            *major = known[i].major;
            *minor = known[i].minor;
            break;
        }
    return SUCCESS;
}

int nvmlDeviceGetPciInfo_v3(const struct gpu *device, struct pci_info *info)
{
    memset(info, 0, sizeof *info);
    bus_id_of(device, info->bus_id_legacy, sizeof info->bus_id_legacy, "%04x:%02x:00.0");
    bus_id_of(device, info->bus_id, sizeof info->bus_id, "%08x:%02x:00.0");
    info->bus = device->index + 1;
    info->pci_device_id = 0x000010de;
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(const struct gpu *device, struct memory_info *memory)
{
    memory->total = device->memory_mib << 20;
    memory->free = memory->total;
    memory->used = 0;
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(const struct gpu *device, struct utilization *rates)
{
    (void)device;
    rates->gpu = 0;
    rates->memory = 0;
    return SUCCESS;
}

int nvmlDeviceGetTemperature(const struct gpu *device, int sensor, unsigned int *celsius)
{
    (void)device;
    (void)sensor;
    *celsius = 35;
    return SUCCESS;
}

int nvmlDeviceGetPowerManagementDefaultLimit(const struct gpu *device, unsigned int *milliwatts)
{
    (void)device;
    *milliwatts = 300000;
    return SUCCESS;
}

int nvmlDeviceGetPowerUsage(const struct gpu *device, unsigned int *milliwatts)
{
    (void)device;
    *milliwatts = 40000;
    return SUCCESS;
}
