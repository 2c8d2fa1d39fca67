#!/usr/bin/env python3
"""Prints the 88 functions of PyTorch that most files use, for the list in tests/from_pytorch_test.cpp.

pip download --no-deps transformers==5.24.0 diffusers==0.42.1 timm==1.0.31; most_used_of_pytorch.py *.whl

They are torch.x(...), F.x(...) and methods of tensors; those in place count as the others. What is about types, devices,
recording, conversions and initialisation is left out, and so are methods that Python's own types and others have by the
same name.
"""

import collections
import re
import sys
import zipfile

import torch

SAME = {"concat": "cat", "concatenate": "cat", "clip": "clamp", "clamp_min": "clamp", "clamp_max": "clamp",
        "view_as": "view", "reshape_as": "reshape", "expand_as": "expand"}
LEFT_OUT = set("""to type type_as float double half long int bool cpu cuda device get_device numpy from_numpy as_tensor item
    tolist size numel dim element_size contiguous clone detach copy fill zero normal uniform new_zeros new_ones new_full
    new_empty no_grad enable_grad inference_mode is_grad_enabled requires_grad backward register_hook manual_seed finfo
    is_tensor is_floating_point is_complex get_default_dtype compile save load autocast""".split())
OF_OTHERS = {name for kind in (str, list, dict, set, re.Pattern) for name in dir(kind)}
OF_OTHERS |= {"mode", "resize", "equal", "greater", "put", "new", "t", "trace", "flip"}
METHODS = {name for name in dir(torch.Tensor) if name[0] != "_"} - OF_OTHERS


def functions(text):
    found = set(re.findall(r"(?<![\w.])torch\.([a-z]\w*)\(|(?:\bF|functional)\.([a-z]\w*)\(", text))
    found = {name for pair in found for name in pair if name}
    found |= METHODS & set(re.findall(r"(?<!\btorch)(?<!\bF)(?<!functional)(?<!\bnp)\.([a-z]\w*)\(", text))
    return {SAME.get(name.rstrip("_"), name.rstrip("_")) for name in found} - LEFT_OUT


count = collections.Counter()
for path in sys.argv[1:]:
    archive = zipfile.ZipFile(path)
    for name in archive.namelist():
        text = archive.read(name).decode(errors="ignore") if name.endswith(".py") else ""
        if re.search(r"^\s*(import|from) torch", text, re.MULTILINE):
            count.update(functions(text))
print(" ".join(name for name, _ in count.most_common(88)))
