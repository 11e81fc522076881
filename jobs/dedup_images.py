"""spark-submit --py-files dist/curation.zip jobs/dedup_images.py --pairs POOL|TABLE [settings, see --help]"""

from curation.job import main
from curation.stages import STAGES

main(STAGES["dedup_images"])
