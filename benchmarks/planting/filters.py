"""The filters: each a recipe of one or two steps with bounds of packaged recipes, and the fault that it is for."""

from importlib.util import find_spec
from typing import NamedTuple

REMOVED, LOST = 0.95, 0.03  # the targets: of a fault at least, of clean pairs at most
CLEAN = '[[stage]]\nrun = "clean_captions"\n'


class Filter(NamedTuple):
    """A recipe on the planted pool. `target` is the fault that it has to remove, if it is that fault's filter.

    `signals`: lines of TOML, further settings of all signals.
    """

    name: str
    recipe: str
    target: str = ""
    signals: str = ""

    def text(self, clip: str) -> str:
        """The recipe as TOML."""
        return f'[signals]\nclip = "{clip}"\n{self.signals}\n{CLEAN}{self.recipe}'


def bounds(keep: dict[str, str]) -> str:
    """A step of bounds, each as TOML writes it."""
    lines = "".join(f"with.keep.{name} = {{ {bound} }}\n" for name, bound in keep.items())
    return f'[[stage]]\nname = "bounds"\nrun = "select_subset"\n{lines}'


def stage(name: str, settings: dict[str, str]) -> str:
    """A step of another kind."""
    return f'[[stage]]\nrun = "{name}"\n' + "".join(f"with.{key} = {value}\n" for key, value in settings.items())


SINGLE = (
    Filter("clean_captions", "", "empty"),
    Filter(
        "caption_chars 6–1000, caption_words 2–77",
        bounds({"caption_chars": "min = 6, max = 1000", "caption_words": "min = 2, max = 77"}),
    ),
    Filter("caption_content_words ≥ 1", bounds({"caption_content_words": "min = 1"}), "placeholder"),
    Filter("caption_language en", bounds({"caption_language": 'in = ["en"]'}), "language"),
    Filter("dedup_pairs", stage("dedup_pairs", {}), "duplicate_exact"),
    Filter(
        "image_min_side_px ≥ 32, image_aspect ≤ 5",
        bounds({"image_min_side_px": "min = 32", "image_aspect": "max = 5.0"}),
    ),
    Filter("image_solid_share ≤ 0.98", bounds({"image_solid_share": "max = 0.98"}), "solid"),
    Filter("any picture that decodes", bounds({"image_solid_share": "max = 1.0"}), "broken"),
    Filter("image_entropy ≥ 0.5", bounds({"image_entropy": "min = 0.5"})),
    Filter("dedup_images by pixels", stage("dedup_images", {"by": '"pixels"'})),
    Filter("dedup_images by phash, 31 bits", stage("dedup_images", {"by": '"phash"', "distance": "31"})),
    Filter("dedup_embeddings 0.995", stage("dedup_embeddings", {"threshold": "0.995"})),
    Filter("dedup_embeddings 0.98", stage("dedup_embeddings", {"threshold": "0.98"}), "duplicate_edited"),
    Filter("dedup_embeddings 0.95", stage("dedup_embeddings", {"threshold": "0.95"})),
    Filter("clip_score top 0.8", bounds({"clip_score": "top_fraction = 0.8"})),
    Filter("number_masked_clip_score top 0.8", bounds({"number_masked_clip_score": "top_fraction = 0.8"})),
    Filter(
        "number_masked_score_drop −0.02 to 0.02",
        bounds({"number_masked_score_drop": "min = -0.02, max = 0.02"}),
        "digits",
    ),
    Filter("flipped_clip_score top 0.8", bounds({"flipped_clip_score": "top_fraction = 0.8"})),
)
OCR = (
    Filter("image_text_area_share = 0", bounds({"image_text_area_share": "max = 0.0"})),
    Filter("image_text_area_share ≤ 0.3", bounds({"image_text_area_share": "max = 0.3"})),
    Filter("parrot_share ≤ 0.5", bounds({"parrot_share": "max = 0.5"})),
    Filter("parrot_share_fuzzy ≤ 0.5", bounds({"parrot_share_fuzzy": "max = 0.5"})),
    # Of a caption of two words one alone may be read, and half of it is not above 0.5.
    Filter("parrot_share_fuzzy ≤ 0.3", bounds({"parrot_share_fuzzy": "max = 0.3"})),
    # Words of up to four letters are one letter from too many others: they have to be the same.
    Filter(
        "parrot_share_fuzzy ≤ 0.3, four letters the same",
        bounds({"parrot_share_fuzzy": "max = 0.3"}),
        "drawn_text",
        "parrot_letters = 4",
    ),
    Filter("text_masked_clip_score top 0.5", bounds({"text_masked_clip_score": "top_fraction = 0.5"})),
)
WHOLE = ("full", "datacomp_basic", "number_masked", "whitened")
WHOLE_OCR = ("tmars", "parrot_free")


def single(lists: dict[str, str], calibrated: str, ocr: bool) -> list[Filter]:
    """The filters on their own that can run here; of the evaluation pictures, `lists` are the files of their hashes and
    `calibrated` is the file of `curate calibrate`.
    """
    files = {kind: f'["{path}"]' for kind, path in lists.items()}
    listed = Filter("drop_listed, hashes of the evaluation pictures", stage("drop_listed", files), "evaluation")
    near = Filter("decontaminate", stage("decontaminate", {}), signals=f'[inputs]\nevaluation = "{calibrated}"')
    return [*SINGLE, listed, near, *(OCR if ocr else ())]


def whole(ocr: bool) -> list[str]:
    """The packaged recipes that are run from end to end."""
    return [*WHOLE, *(WHOLE_OCR if ocr else ())]


def has_ocr() -> bool:
    """Whether the extra `ocr` is installed."""
    return find_spec("rapidocr") is not None
