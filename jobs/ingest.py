"""spark-submit --py-files dist/curation.zip jobs/ingest.py SOURCE... --out POOL [--kind KIND] [--name NAME]"""

from curation.ingest import ingest
from curation.job import main

main(ingest)
