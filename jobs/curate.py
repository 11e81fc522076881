"""spark-submit --py-files dist/curation.zip jobs/curate.py RECIPE POOL OUT [--set STEP.SETTING=VALUE] [--store DIR]"""

from curation.job import main
from curation.run import run

main(run)
