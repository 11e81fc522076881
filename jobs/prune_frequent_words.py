"""spark-submit --py-files dist/curation.zip jobs/prune_frequent_words.py --pairs POOL|TABLE [settings, see --help]"""

from curation.job import main
from curation.stages import STAGES

main(STAGES["prune_frequent_words"])
