"""Rendered scenes with captions, a pool of them with faults, arms that train on it, and what the models can do then."""

import sys
from pathlib import Path

SAMPLE = Path(__file__).resolve().parents[2] / "sample"
sys.path.append(str(SAMPLE))  # its modules are programs and no package
