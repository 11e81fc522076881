"""Fetching images from the open web: politely, within bounds, and from public addresses only.

    settings.py    every limit and option, with its default and where that comes from
    addresses.py   which URLs and addresses may be asked; the resolver and the sockets that see to it
    transport.py   one answer of one server, bounded in bytes, header and seconds
    memory.py      how many bytes of bodies there may be at a time
    politeness.py  per host: how many at once, how often, when to wait, when to give up
    robots.py      robots.txt, X-Robots-Tag and the other ways of saying no
    visit.py       one image: robots, redirects, retries; bytes or a status
    images.py      bytes -> an image that is really one, as it came or resized
    pages.py       chunks of images on their way into a tar and a part of the table
    task.py        all rows of a task through the above, many hosts at once, memory bounded
    table.py       Spark: which images lack, laid out by host; the table `downloads`
    pool.py        the command `curate download`

The stage `download_images` and the command share all but the last one.
"""
