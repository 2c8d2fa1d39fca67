"""What the machine has: its GPU, NVIDIA's libraries and tools."""

import os
import shutil
import site
import subprocess
import sys
from pathlib import Path

QUERY = ("name", "compute_cap", "driver_version", "memory.total", "clocks.max.sm", "power.limit")


def gpu():
    """What nvidia-smi says of the first GPU, by the names of QUERY; None if there is none."""
    try:
        done = subprocess.run(["nvidia-smi", f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader", "-i", "0"],
                              capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    values = [value.strip() for value in done.stdout.split(",")]
    return dict(zip(QUERY, values)) if done.returncode == 0 and len(values) == len(QUERY) else None


def toolkits():
    """Folders where a CUDA toolkit may be."""
    named = [os.environ[name] for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    nvcc = shutil.which("nvcc")
    found = [Path(nvcc).resolve().parent.parent] if nvcc else []
    others = sorted(Path("/usr/local").glob("cuda-*"), reverse=True)
    return [*map(Path, named), *found, Path("/usr/local/cuda"), *others]


def library_folder(names):
    """The folder that has all these libraries: Python's, so that PyTorch and cria multiply by the same, or a toolkit's.
    None if there is none."""
    packages = [Path(folder) for folder in [*sys.path, *site.getsitepackages(), site.getusersitepackages()] if folder]
    folders = [folder for package in packages for folder in sorted(package.glob("nvidia/*/lib"), reverse=True)]
    folders += [toolkit / part for toolkit in toolkits() for part in ("lib64", "lib", "targets/x86_64-linux/lib")]
    folders.append(Path("/usr/lib/x86_64-linux-gnu"))
    return next((folder for folder in folders if all((folder / name).exists() for name in names)), None)


def tool(name):
    """Where a program of the toolkit is, or None."""
    folders = [str(toolkit / "bin") for toolkit in toolkits()]
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(folders))
