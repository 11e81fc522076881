"""Archives made for tests, honest and hostile."""

import io
import os
import struct
import tarfile
import zipfile


def tar(files: dict[str, bytes], mode: str = "w", kinds: dict[str, bytes] | None = None) -> bytes:
    """A tar of these files, and of members of other kinds, which lead to /etc/passwd."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, kind in (kinds or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    return file.getvalue()


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of these files."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def many_in_tar(count: int, kind: bytes) -> bytes:
    """A tar of empty members with six digits for names, made by hand: tarfile takes ten seconds."""
    start = bytearray(tarfile.TarInfo("000000").tobuf(tarfile.USTAR_FORMAT))
    start[156:157] = kind
    start[148:156] = b" " * 8
    base, blocks = sum(start), []
    for n in range(count):
        name = b"%06d" % n
        total = b"%06o\0 " % (base - 6 * ord("0") + sum(name))
        blocks.append(name + bytes(start[6:148]) + total + bytes(start[156:]))
    return b"".join(blocks) + bytes(1024)


def many_in_zip(count: int) -> bytes:
    """A zip of empty members with six digits for names."""
    members = [struct.pack("<4s5H3I2H6s", b"PK\3\4", 10, 0, 0, 0, 33, 0, 0, 0, 6, 0, b"%06d" % n) for n in range(count)]
    place = struct.Struct("<4s6H3I5H2I6s")
    entries = [
        place.pack(b"PK\1\2", 10, 10, 0, 0, 0, 33, 0, 0, 0, 6, 0, 0, 0, 0, 0, 36 * n, b"%06d" % n) for n in range(count)
    ]
    sizes = len(entries) * place.size, len(members) * 36
    return b"".join(members + entries) + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, *sizes, 0)


def overlapping(count: int) -> bytes:
    """A zip whose entries all begin in other entries, as the bombs of Fifield (WOOT 2019) do."""
    data = bytearray(zipped({f"{n}": os.urandom(100) for n in range(count)}, zipfile.ZIP_STORED))
    start = data.index(b"PK\x01\x02")
    for _ in range(count):
        data[start + 42 : start + 46] = struct.pack("<I", 0)
        start = data.find(b"PK\x01\x02", start + 4)
    return bytes(data)
