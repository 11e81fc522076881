"""spark-submit --py-files dist/curation.zip jobs/select_subset.py --pairs POOL|TABLE [settings, see --help]"""

from curation.job import main
from curation.stages import STAGES

main(STAGES["select_subset"])
