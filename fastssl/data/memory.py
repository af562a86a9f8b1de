"""Free memory of the device a dataset would live on."""

import torch

from fastssl.telemetry.environment import free_memory_bytes


def free_bytes(device: torch.device | str = "cpu") -> int:
    """Bytes that can still be allocated on the device; a container's limit counts on the host."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = free_memory_bytes()
    if free is None:
        raise RuntimeError("/proc/meminfo has no MemAvailable line: Linux 3.14 or newer is needed")
    return free
