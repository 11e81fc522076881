"""A web server of drawn photographs: 0.8 megapixels, 135 kB on average, a fifth of them progressive.

python benchmarks/corpora/photographs.py SECONDS    # prints its port, then answers each request after SECONDS
"""

import asyncio
import io
import sys

import numpy as np
from PIL import Image

PHOTOS = 60
SIZES = ((1024, 768), (800, 1200), (1280, 720), (640, 480), (1000, 1000), (1600, 1067), (720, 1280), (500, 375))
# Detail of a photograph: noise of so many cells across and so strong; a JPEG of quality 85 has 1.35 bit a pixel then.
DETAIL = ((4, 60), (16, 30), (64, 16), (256, 8))
GRAIN = 2.0


def photograph(seed: int) -> bytes:
    """A JPEG with the spectrum of a photograph."""
    draw = np.random.default_rng(seed)
    width, height = SIZES[seed % len(SIZES)]
    pixels = draw.normal(0, GRAIN, (height, width, 1)).repeat(3, 2).astype(np.float32) + 128
    for cells, strength in DETAIL:
        noise = draw.normal(0, strength, (2 + height * cells // 1024, 2 + width * cells // 1024, 3)).astype(np.float32)
        for band in range(3):
            layer = Image.fromarray(noise[..., band]).resize((width, height), Image.Resampling.BICUBIC)
            pixels[..., band] += np.asarray(layer)
    file = io.BytesIO()
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    image.save(file, "JPEG", quality=85, progressive=seed % 5 == 0)
    return file.getvalue()


async def serve(latency: float) -> None:
    """Answer every request after `latency` seconds, on a free port of all loopback addresses, which is printed."""
    answers = []
    for seed in range(PHOTOS):
        body = photograph(seed)
        answers.append(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    none = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.readline():
            close = False
            while (line := await reader.readline()) not in (b"\r\n", b""):
                close |= line.lower().startswith(b"connection: close")
            await asyncio.sleep(latency)
            name = request.split()[1].strip(b"/").removesuffix(b".jpg")
            writer.write(answers[int(name) % PHOTOS] if name.isdigit() else none)
            await writer.drain()
            if close:
                break
        writer.close()

    server = await asyncio.start_server(talk, "0.0.0.0", 0, backlog=2000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
