"""spark-submit --py-files dist/curation.zip jobs/balance_worldwide.py --pairs TABLE --entry-counts TABLE [--t N ...]"""

from curation.job import main
from curation.stages import STAGES

main(STAGES["balance_worldwide"])
