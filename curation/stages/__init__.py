"""The registry of stages, a line each. A new stage is a file here and a line below."""

from curation.stages.balance_entries import balance_entries
from curation.stages.clean_captions import clean_captions
from curation.stages.dedup_embeddings import dedup_embeddings
from curation.stages.dedup_pairs import dedup_pairs
from curation.stages.download_images import download_images
from curation.stages.match_entries import match_entries
from curation.stages.prune_frequent_words import prune_frequent_words
from curation.stages.select_subset import select_subset
from curation.stages.write_shards import write_shards

STAGES = {
    function.spec.name: function
    for function in (
        clean_captions,
        select_subset,
        dedup_pairs,
        download_images,
        match_entries,
        balance_entries,
        prune_frequent_words,
        dedup_embeddings,
        write_shards,
    )
}
