"""Train the packaged model `sample-clip` again, from the drawings to the checkpoint.

    python sample/train_clip.py --work DIR [--scenes N] [--install]

Composed scenes (scenes.py), clip art with titles and the English manual pages go through a pool and the recipe
sample_clip.toml; the trainer trains the scale `sample` on the shards and reports held-out retrieval. --install copies
the checkpoint into the package. The same machine type, threads and versions give the same weights.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import build
import fetch

from curation.ingest import ingest
from curation.run import run
from curation.trainer.train import train

HERE = Path(__file__).parent
INPUTS = ["gimp-help", "openclipart"]
SEED = 0


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, metavar="DIR")
    parser.add_argument("--scenes", type=int, default=40_000, metavar="N", help="composed scenes (default 40,000)")
    parser.add_argument("--install", action="store_true", help="copy the checkpoint into the package")
    flags = parser.parse_args()
    work = flags.work.absolute()
    fetch.fetch(list(dict.fromkeys(p for name in INPUTS for p in build.NEEDS[name])), work)
    (work / "inputs").mkdir(exist_ok=True)
    for name in INPUTS:
        build.build(name, work, None, ["en-US"])
    scenes = ["--work", str(work), "--count", str(flags.scenes), "--seed", str(SEED)]
    subprocess.run([sys.executable, HERE / "scenes.py", *scenes], check=True, stdout=sys.stderr)
    pool, release, out = (str(work / name) for name in ("clip-pool", "clip-release", "clip-run"))
    ingest([str(work / "scenes")], out=pool, name="scenes")
    ingest([str(work / "inputs" / f"{name}.warc.gz") for name in INPUTS[:1]], out=pool, name="manuals")
    ingest([str(work / "inputs" / "openclipart.tsv")], out=pool, name="openclipart")
    run(str(HERE / "sample_clip.toml"), pool, release)
    result = train(release, scale="sample", out=out, seed=SEED)
    if flags.install:
        target = HERE.parent / "curation" / "data" / "sample-clip.safetensors"
        shutil.copyfile(Path(out) / "model.safetensors", target)
    print(json.dumps(result, sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
