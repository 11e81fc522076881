"""spark-submit --py-files dist/curation.zip jobs/write_shards.py --pairs POOL|TABLE [settings, see --help]"""

from curation.job import main
from curation.stages import STAGES

main(STAGES["write_shards"])
