"""spark-submit --py-files dist/curation.zip jobs/weigh_attributes.py --pairs TABLE [see --help]"""

from curation.job import main
from curation.stages import STAGES

main(STAGES["weigh_attributes"])
