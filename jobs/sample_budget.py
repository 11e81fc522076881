"""spark-submit --py-files dist/curation.zip jobs/sample_budget.py --pairs TABLE [see --help]"""

from curation.job import main
from curation.stages import STAGES

main(STAGES["sample_budget"])
