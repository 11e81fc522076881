"""spark-submit --py-files dist/curation.zip jobs/metadata.py --out DIR [--dump LANG=FILE ...] [see --help]"""

from curation.job import main
from curation.metadata.build import metadata

main(metadata)
