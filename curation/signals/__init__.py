"""The registry of signals, a line each. A new signal is a file here and a line below."""

from curation.signals.caption_chars import caption_chars
from curation.signals.caption_content_words import caption_content_words
from curation.signals.caption_fasttext_tokens import caption_fasttext_tokens
from curation.signals.caption_language import caption_language
from curation.signals.caption_language_score import caption_language_score
from curation.signals.caption_synsets import caption_synsets
from curation.signals.caption_tokens import caption_tokens
from curation.signals.caption_words import caption_words
from curation.signals.captions_clip_score import captions_clip_score
from curation.signals.clip_s import clip_s, prefixed_caption_embedding, refclip_s
from curation.signals.clip_score import clip_score, number_masked_clip_score
from curation.signals.embedding import caption_embedding, flipped_image_embedding, image_embedding
from curation.signals.evaluation import evaluation_ngrams, nearest_evaluation
from curation.signals.faces import face_area_share, face_boxes, face_count
from curation.signals.features import caption_features, image_features
from curation.signals.flipped_clip_score import flipped_clip_score
from curation.signals.image_digest import image_bytes, image_pixels_sha256, image_sha256
from curation.signals.image_format import image_format
from curation.signals.image_phash import image_pdq, image_phash
from curation.signals.image_quality import (
    image_blur,
    image_bright_share,
    image_dark_share,
    image_entropy,
    image_solid_share,
)
from curation.signals.image_size import image_aspect, image_height_px, image_min_side_px, image_width_px
from curation.signals.language_prediction import language_prediction
from curation.signals.mean_clip_score import mean_clip_score
from curation.signals.mlm import mlm_column_score, mlm_score
from curation.signals.number_masked_caption import number_masked_caption
from curation.signals.number_masked_score_drop import number_masked_score_drop
from curation.signals.other_uids import datacomp_uid, laion_hash
from curation.signals.parrot_share import parrot_share, parrot_share_fuzzy
from curation.signals.pooled_embedding import pooled_embedding
from curation.signals.prompts import prompt_class, prompt_similarity
from curation.signals.safety import aesthetic_score, caption_toxicity, nsfw_score, q16_score, watermark_score
from curation.signals.text_in_images import (
    image_text,
    image_text_area_share,
    text_boxes,
    text_readings,
    text_regions,
)
from curation.signals.text_masked import text_masked_clip_score, text_masked_embedding, text_masked_pixels

SIGNALS = {
    function.spec.name: function
    for function in (
        caption_chars,
        caption_words,
        caption_content_words,
        caption_tokens,
        caption_fasttext_tokens,
        caption_synsets,
        language_prediction,
        caption_language,
        caption_language_score,
        number_masked_caption,
        image_width_px,
        image_height_px,
        image_min_side_px,
        image_aspect,
        image_bytes,
        image_format,
        image_sha256,
        image_pixels_sha256,
        image_phash,
        image_pdq,
        image_blur,
        image_entropy,
        image_solid_share,
        image_dark_share,
        image_bright_share,
        image_embedding,
        flipped_image_embedding,
        caption_embedding,
        pooled_embedding,
        clip_score,
        flipped_clip_score,
        mean_clip_score,
        number_masked_clip_score,
        number_masked_score_drop,
        captions_clip_score,
        text_regions,
        text_readings,
        text_boxes,
        image_text,
        image_text_area_share,
        text_masked_pixels,
        text_masked_embedding,
        text_masked_clip_score,
        parrot_share,
        parrot_share_fuzzy,
        prompt_class,
        prompt_similarity,
        prefixed_caption_embedding,
        clip_s,
        refclip_s,
        image_features,
        caption_features,
        mlm_score,
        mlm_column_score,
        datacomp_uid,
        laion_hash,
        nsfw_score,
        q16_score,
        watermark_score,
        aesthetic_score,
        caption_toxicity,
        nearest_evaluation,
        evaluation_ngrams,
        face_boxes,
        face_count,
        face_area_share,
    )
}
