"""spark-submit --py-files dist/curation.zip jobs/fit_whitening.py --pairs TABLE [see --help]"""

from curation.job import main
from curation.stages import STAGES

main(STAGES["fit_whitening"])
