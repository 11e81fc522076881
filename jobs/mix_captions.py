"""spark-submit --py-files dist/curation.zip jobs/mix_captions.py --pairs TABLE [see --help]"""

from curation.job import main
from curation.stages import STAGES

main(STAGES["mix_captions"])
