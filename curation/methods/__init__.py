"""The pure arithmetic of each published method, on arrays: no Spark, no I/O, no randomness but uniforms given in."""

from curation.methods.attributes import attribute_weights
from curation.methods.balanced import Balanced, balanced_centres
from curation.methods.balancing import (
    entry_probability,
    keep_by_draws,
    keep_probability,
    language_thresholds,
    tail_share,
    threshold_for_share,
)
from curation.methods.clean import clean_caption, clean_captions
from curation.methods.coverage import coverage_order
from curation.methods.hashes import near_hashes
from curation.methods.heads import head_scores, q16, q16_flags
from curation.methods.identifiers import datacomp_uid, laion_hash, metaclip_uid
from curation.methods.leakage import leak_threshold, nearest_evaluation
from curation.methods.lengths import token_lengths
from curation.methods.linking import link_pooled
from curation.methods.matching import Matcher, match
from curation.methods.mixing import mix_captions, sample_caption, source_counts
from curation.methods.negative_loss import negative_clip_loss
from curation.methods.ngrams import lift, ngram_counts, ngram_tokens, pmi, worldwide_caps
from curation.methods.number_masking import mask_numbers
from curation.methods.parrot import parrot_share
from curation.methods.routing import nearest_centres, route_experts
from curation.methods.scores import clip_score_report, parse_mlm_score
from curation.methods.selecting import top_share
from curation.methods.semdedup import semdedup
from curation.methods.shorter import reduce_tokens
from curation.methods.text_masking import mask_boxes, masked_share
from curation.methods.uniforms import keyed_uniforms
from curation.methods.whitening import conformity, whiten_fit, whiten_loglik
from curation.methods.windows import caption_windows
from curation.methods.wordnet import WordNet, synset_words
from curation.methods.words import wfpp_words, word_frequency_scores, word_probabilities, word_scores

__all__ = [
    "Balanced",
    "Matcher",
    "WordNet",
    "attribute_weights",
    "balanced_centres",
    "caption_windows",
    "clean_caption",
    "clean_captions",
    "clip_score_report",
    "conformity",
    "coverage_order",
    "datacomp_uid",
    "entry_probability",
    "head_scores",
    "keep_by_draws",
    "keep_probability",
    "keyed_uniforms",
    "laion_hash",
    "language_thresholds",
    "leak_threshold",
    "lift",
    "link_pooled",
    "mask_boxes",
    "mask_numbers",
    "masked_share",
    "match",
    "metaclip_uid",
    "mix_captions",
    "near_hashes",
    "nearest_centres",
    "nearest_evaluation",
    "negative_clip_loss",
    "ngram_counts",
    "ngram_tokens",
    "parrot_share",
    "parse_mlm_score",
    "pmi",
    "q16",
    "q16_flags",
    "reduce_tokens",
    "route_experts",
    "sample_caption",
    "semdedup",
    "source_counts",
    "synset_words",
    "tail_share",
    "threshold_for_share",
    "token_lengths",
    "top_share",
    "wfpp_words",
    "whiten_fit",
    "whiten_loglik",
    "word_frequency_scores",
    "word_probabilities",
    "word_scores",
    "worldwide_caps",
]
