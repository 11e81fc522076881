"""spark-submit --py-files dist/curation.zip jobs/balance_entries.py --pairs POOL|TABLE --entry-counts TABLE [settings, see --help]"""

from curation.job import main
from curation.stages import STAGES

main(STAGES["balance_entries"])
