#!/usr/bin/env python3
"""Makes array.npy, arrays.npz and arrays_stored.npz beside this script: arrays as NumPy writes them.

Usage: pip install numpy; python make_array_goldens.py

Made with Python 3.11, numpy 2.4.6.
"""

import io
import pathlib
import zipfile

import numpy as np

folder = pathlib.Path(__file__).parent

numbers = np.array([[0, 1, 2], [100, -3, 4]])
arrays = {code: numbers.astype(code) for code in ["f2", "f4", "f8", "i1", "i2", "i4", "i8"]}
arrays |= {code: np.abs(numbers).astype(code) for code in ["u1", "u2", "u4", "u8"]}
arrays |= {code: numbers.astype(code) for code in [">f4", ">i2", ">i8"]}
arrays["b1"] = numbers > 0
arrays["scalar"] = np.float32(2.5)
arrays["empty"] = np.zeros((0, 3), "f4")

np.save(folder / "array.npy", arrays["f4"])
np.savez(folder / "arrays_stored.npz", **{name: arrays[name] for name in ["f4", "i8"]})
with zipfile.ZipFile(folder / "arrays.npz", "w", zipfile.ZIP_DEFLATED) as archive:

    def write(name, array, version=None):
        file = io.BytesIO()
        np.lib.format.write_array(file, np.asanyarray(array), version=version)
        archive.writestr(zipfile.ZipInfo(f"{name}.npy"), file.getvalue(), zipfile.ZIP_DEFLATED)

    for name, array in arrays.items():
        write(name, array)
    write("version_2", arrays["f4"], (2, 0))
    write("version_3", arrays["f4"], (3, 0))
    archive.writestr(zipfile.ZipInfo("readme.txt"), "no array")
