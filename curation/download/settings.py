"""Every limit and option of a download, with its default and where that comes from."""

from typing import Any, Literal, NamedTuple, get_args

from curation import __version__
from curation.errors import RecipeError, unknown
from curation.headers import LIMITS
from curation.schema import hex_id

ResizeMode = Literal["no", "keep_ratio", "keep_ratio_largest", "center_crop", "border"]
EncodeFormat = Literal["original", "jpg", "png", "webp"]

CONNECT_S = 5.0  # name, connection and TLS; the limits up to REDIRECTS are those of the threat list (docs/download.md)
RATE_GRACE_S = 5.0  # a body may start slowly for so long
HEADER_BYTES = 64 << 10  # all header lines of one answer
REDIRECTS = 5  # RFC 9309 asks for at least as many for robots.txt; browsers follow 20
ROBOTS_BYTES = 500 << 10  # RFC 9309, 2.5: at least 500 KiB must be parsed; the rest is ignored
MAX_WAIT_S = 60.0  # longest pause that a host may ask for and still get more requests in the same run
URL_CHARS = 8192  # as common servers; a longer one is refused unread
MAX_TURN_S = 3600.0  # longest that an image waits for its host to be free: so a slow host does not hold up the job
HOST_FAILURES = 8  # failures in a row, with no answer between, after which a host is left alone for this run
PORTS = (80, 443)


class Settings(NamedTuple):
    """Options of a download. The first five say what is stored, the others how it is fetched."""

    resize: str = "no"  # img2dataset's resize_mode, with the same modes
    max_side: int = 256  # its image_size, with the same default
    resize_only_if_bigger: bool = False  # its name and default
    format: str = "original"  # its encode_format
    encode_quality: int = 95  # its name and default
    max_bytes: int = LIMITS.bytes
    timeout: float = 20.0  # seconds for one image, redirects and tries included, waiting for our own turn not
    min_rate: int = 1024  # bytes a second that a body must keep up, once RATE_GRACE_S are over
    retries: int = 2  # further tries in the same run where the server asks for it or the connection broke
    per_host: int = 4  # requests to one host at a time; browsers make 6
    delay: float = 0.0  # seconds between two requests to one host; robots.txt may ask for more
    connections: int = 256  # requests of one task at a time; img2dataset's thread_count
    user_agent_token: str = "curation"
    contact: str = ""
    allow_host: tuple[str, ...] = ()
    retry: tuple[str, ...] = ()

    @property
    def form(self) -> dict[str, Any]:
        """The options that decide which bytes are stored; those without effect left out."""
        chosen = {"resize": self.resize, "format": self.format}
        if self.resize != "no":
            chosen |= {"max_side": self.max_side, "resize_only_if_bigger": self.resize_only_if_bigger}
        if self.format != "original":
            chosen |= {"encode_quality": self.encode_quality}
        return chosen

    @property
    def form_key(self) -> str:
        """32 hex: equal for settings that store equal bytes."""
        return hex_id("form", *(f"{name}={value}" for name, value in sorted(self.form.items())))

    @property
    def user_agent(self) -> str:
        """What servers are told: who asks, and where to complain."""
        version = f"{self.user_agent_token}/{__version__}"
        return f"{version} (+{self.contact})" if self.contact else version


def checked(given: dict[str, Any], where: str) -> Settings:
    """The settings among `given`; RecipeError, naming `where`, for a value that means nothing. Null is the default."""
    values = {k: v for k, v in given.items() if k in Settings._fields and v is not None}
    values |= {k: tuple(values[k]) for k in ("allow_host", "retry") if k in values}
    settings = Settings(**values)
    if settings.resize == "no" and "max_side" in values:  # a bound alone: what is larger is made smaller
        settings = settings._replace(resize="keep_ratio_largest", resize_only_if_bigger=True)
    if settings.resize != "no" and settings.format == "original":
        settings = settings._replace(format="jpg")  # what is resized has to be encoded; img2dataset's default
    for name, allowed in (("resize", ResizeMode), ("format", EncodeFormat)):
        value = settings._asdict()[name]
        if value not in get_args(allowed):
            raise unknown(name, [value], get_args(allowed), where)
    highest = 9 if settings.format == "png" else 100
    bounds = {
        "max_side": (1, LIMITS.side),
        "encode_quality": (0, highest),
        "max_bytes": (1, LIMITS.bytes),  # nothing larger is read by any later step
        "timeout": (0.1, 3600),
        "min_rate": (0, 1 << 30),
        "retries": (0, 10),
        "per_host": (1, 1000),
        "delay": (0, MAX_WAIT_S),
        "connections": (1, 10_000),
    }
    for name, (least, most) in bounds.items():
        value = settings._asdict()[name]
        if not least <= value <= most:
            raise RecipeError(f"{where}: {name} = {value}: wanted {least} to {most}")
    for name in ("user_agent_token", "contact"):
        text = settings._asdict()[name]
        if not text.isascii() or not text.isprintable() or (name == "user_agent_token" and not _is_token(text)):
            raise RecipeError(
                f"{where}: {name} = {text!r}: wanted printable ASCII, a token of letters, digits, - and _"
            )
    return settings


def _is_token(text: str) -> bool:
    return bool(text) and all(c.isalnum() or c in "-_" for c in text)
