"""The registry of stages, a line each. A new stage is a file here and a line below."""

from curation.stages.balance_entries import balance_entries
from curation.stages.balance_worldwide import balance_worldwide
from curation.stages.band_scores import band_scores
from curation.stages.clean_captions import clean_captions
from curation.stages.cluster_pairs import cluster_pairs
from curation.stages.decontaminate import decontaminate
from curation.stages.dedup_captions import dedup_captions
from curation.stages.dedup_embeddings import dedup_embeddings
from curation.stages.dedup_images import dedup_images
from curation.stages.dedup_pairs import dedup_pairs
from curation.stages.download_images import download_images
from curation.stages.drop_listed import drop_listed
from curation.stages.fit_whitening import fit_whitening
from curation.stages.match_entries import match_entries
from curation.stages.mix_captions import mix_captions
from curation.stages.mix_sources import mix_sources
from curation.stages.normalise_scores import normalise_scores
from curation.stages.prune_frequent_words import prune_frequent_words
from curation.stages.sample_budget import sample_budget
from curation.stages.select_clusters import select_clusters
from curation.stages.select_coverage import select_coverage
from curation.stages.select_subset import select_subset
from curation.stages.weigh_attributes import weigh_attributes
from curation.stages.write_shards import write_shards

STAGES = {
    function.spec.name: function
    for function in (
        clean_captions,
        select_subset,
        dedup_pairs,
        download_images,
        drop_listed,
        match_entries,
        balance_entries,
        balance_worldwide,
        prune_frequent_words,
        dedup_captions,
        dedup_images,
        dedup_embeddings,
        normalise_scores,
        band_scores,
        decontaminate,
        cluster_pairs,
        select_clusters,
        select_coverage,
        fit_whitening,
        weigh_attributes,
        mix_sources,
        mix_captions,
        sample_budget,
        write_shards,
    )
}
