"""spark-submit --py-files dist/curation.zip jobs/select_coverage.py --pairs TABLE [see --help]"""

from curation.job import main
from curation.stages import STAGES

main(STAGES["select_coverage"])
