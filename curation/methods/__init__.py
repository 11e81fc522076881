"""The pure arithmetic of each published method, on arrays: no Spark, no I/O, no randomness but uniforms given in."""

from curation.methods.balancing import entry_probability, keep_by_draws, keep_probability
from curation.methods.clean import clean_caption, clean_captions
from curation.methods.identifiers import datacomp_uid, laion_hash, metaclip_uid
from curation.methods.matching import Matcher, match
from curation.methods.number_masking import mask_numbers
from curation.methods.selecting import top_share
from curation.methods.uniforms import keyed_uniforms
from curation.methods.words import wfpp_words, word_frequency_scores, word_probabilities, word_scores

__all__ = [
    "Matcher",
    "clean_caption",
    "clean_captions",
    "datacomp_uid",
    "entry_probability",
    "keep_by_draws",
    "keep_probability",
    "keyed_uniforms",
    "laion_hash",
    "mask_numbers",
    "match",
    "metaclip_uid",
    "top_share",
    "wfpp_words",
    "word_frequency_scores",
    "word_probabilities",
    "word_scores",
]
