"""spark-submit --py-files dist/curation.zip jobs/decontaminate.py --pairs TABLE [see --help]"""

from curation.job import main
from curation.stages import STAGES

main(STAGES["decontaminate"])
