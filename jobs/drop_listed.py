"""spark-submit --py-files dist/curation.zip jobs/drop_listed.py --pairs POOL|TABLE [settings, see --help]"""

from curation.job import main
from curation.stages import STAGES

main(STAGES["drop_listed"])
