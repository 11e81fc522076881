"""The identifiers of other people's data sets, to join their tables and subset lists with ours.

None of them is ours: DataComp's is md5 without a separator ("ab" + "c" is "a" + "bc"), LAION's has 64 bits that are
easily forged, MetaCLIP's ignores the text.
"""

import hashlib
import struct

LOW64 = (1 << 64) - 1
C1, C2 = 0x87C37B91114253D5, 0x4CF5AD432745937F  # MurmurHash3_x64_128 (Appleby, public domain)
FMIX1, FMIX2 = 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53  # the same, final mix


def datacomp_uid(url: str, text: str) -> str:
    """Key of a pair in DataComp and cc2dataset: 32 hex, md5 of the text followed by the url (arXiv:2304.14108).

    >>> datacomp_uid("http://example.com/a.jpg", "a dog")
    'f045eb8d68faadddaf654fd4cb252d5c'
    """
    return hashlib.md5((text + url).encode(), usedforsecurity=False).hexdigest()


def laion_hash(url: str, text: str) -> int:
    """Key of a pair in the LAION-5B tables: signed 64 bit, first word of MurmurHash3 x64-128 of the url, then the text.

    Seed 0 (arXiv:2210.08402; rom1504/laion-prepro).

    >>> laion_hash("http://example.com/a.jpg", "a dog")
    -3486169130619475791
    """
    return struct.unpack("<q", struct.pack("<Q", _murmur((url + text).encode())))[0]


def metaclip_uid(url: str, version: int = 1) -> str:
    """Key of an image in MetaCLIP: first 24 hex of sha224 of the url; version 2 first takes out tabs and spaces.

    >>> metaclip_uid("http://example.com/a.jpg")
    'c6ddbb1e0af2f6ed67d2641d'
    """
    if version == 2:
        url = url.replace("\t", "").replace(" ", "")
    return hashlib.sha224(url.encode()).hexdigest()[:24]


def _murmur(data: bytes) -> int:
    """First 64-bit word of MurmurHash3_x64_128 with seed 0."""
    h1 = h2 = 0
    whole = len(data) // 16 * 16
    for k1, k2 in struct.iter_unpack("<QQ", data[:whole]):
        h1 = (_rotate(h1 ^ _first(k1), 27) + h2) * 5 + 0x52DCE729 & LOW64
        h2 = (_rotate(h2 ^ _second(k2), 31) + h1) * 5 + 0x38495AB5 & LOW64
    k1, k2 = struct.unpack("<QQ", data[whole:].ljust(16, b"\0"))
    h1 ^= _first(k1) ^ len(data)  # a tail of zeros mixes to zero, so an absent tail changes nothing
    h2 ^= _second(k2) ^ len(data)
    h1 = h1 + h2 & LOW64
    h2 = h2 + h1 & LOW64
    return _final(h1) + _final(h2) & LOW64


def _first(k: int) -> int:
    return _rotate(k * C1 & LOW64, 31) * C2 & LOW64


def _second(k: int) -> int:
    return _rotate(k * C2 & LOW64, 33) * C1 & LOW64


def _final(h: int) -> int:
    h = (h ^ h >> 33) * FMIX1 & LOW64
    h = (h ^ h >> 33) * FMIX2 & LOW64
    return h ^ h >> 33


def _rotate(value: int, by: int) -> int:
    return (value << by | value >> 64 - by) & LOW64
