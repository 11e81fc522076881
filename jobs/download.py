"""spark-submit --py-files dist/curation.zip jobs/download.py POOL --out POOL2 [--subset OUT] [--contact URL]"""

from curation.download.pool import download
from curation.job import main

main(download)
