"""Writes images.npy and labels.npy beside this file, from scikit-learn's copy of the handwritten digits.

pip install scikit-learn; python make_digits.py
"""

from pathlib import Path

import numpy
from sklearn.datasets import load_digits

digits = load_digits()
folder = Path(__file__).parent
numpy.save(folder / "images.npy", digits.images.astype(numpy.uint8))  # [1797, 8, 8], 0 to 16
numpy.save(folder / "labels.npy", digits.target.astype(numpy.uint8))  # [1797], 0 to 9
