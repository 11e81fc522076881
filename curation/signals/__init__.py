"""The registry of signals, a line each. A new signal is a file here and a line below."""

from curation.signals.caption_chars import caption_chars
from curation.signals.caption_language import caption_language
from curation.signals.caption_language_score import caption_language_score
from curation.signals.caption_synsets import caption_synsets
from curation.signals.caption_tokens import caption_tokens
from curation.signals.caption_words import caption_words
from curation.signals.captions_clip_score import captions_clip_score
from curation.signals.clip_score import clip_score, number_masked_clip_score
from curation.signals.embedding import caption_embedding, image_embedding
from curation.signals.faces import face_area_share, face_boxes, face_count
from curation.signals.image_digest import image_bytes, image_sha256
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
from curation.signals.number_masked_caption import number_masked_caption
from curation.signals.safety import aesthetic_score, caption_toxicity, nsfw_score, q16_score, watermark_score

SIGNALS = {
    function.spec.name: function
    for function in (
        caption_chars,
        caption_words,
        caption_tokens,
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
        image_sha256,
        image_phash,
        image_pdq,
        image_blur,
        image_entropy,
        image_solid_share,
        image_dark_share,
        image_bright_share,
        image_embedding,
        caption_embedding,
        clip_score,
        number_masked_clip_score,
        captions_clip_score,
        nsfw_score,
        q16_score,
        watermark_score,
        aesthetic_score,
        caption_toxicity,
        face_boxes,
        face_count,
        face_area_share,
    )
}
