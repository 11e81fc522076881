"""spark-submit --py-files dist/curation.zip jobs/match_entries.py --pairs POOL|TABLE [settings, see --help]"""

from curation.job import main
from curation.stages import STAGES

main(STAGES["match_entries"])
