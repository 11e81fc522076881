"""spark-submit --py-files dist/curation.zip jobs/cluster_pairs.py --pairs TABLE [see --help]"""

from curation.job import main
from curation.stages import STAGES

main(STAGES["cluster_pairs"])
