"""Packs files into an archive that is the same, byte by byte, whenever and by whomever it is made.

usage: pack.py ARCHIVE SECONDS FOLDER FILE...; the first file is a program. Writes the SHA-256 beside the archive, as
sha256sum reads it, and prints it.
"""

import gzip
import hashlib
import io
import os
import sys
import tarfile
import time
import zipfile

archive, seconds, folder, *files = sys.argv[1:]
seconds = int(seconds)
members = [
    (f"{folder}/{os.path.basename(path)}", 0o755 if path == files[0] else 0o644, open(path, "rb").read())
    for path in files
]

if archive.endswith(".zip"):
    with zipfile.ZipFile(archive, "w") as pack:
        for name, mode, data in members:
            info = zipfile.ZipInfo(name, date_time=time.gmtime(max(seconds, 315532800))[:6])
            info.create_system = 3
            info.external_attr = (0o100000 | mode) << 16
            pack.writestr(info, data, compress_type=zipfile.ZIP_DEFLATED, compresslevel=9)
else:
    with open(archive, "wb") as out, gzip.GzipFile("", "wb", 9, out, mtime=0) as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as pack:
            for name, mode, data in members:
                info = tarfile.TarInfo(name)
                info.size, info.mode, info.mtime = len(data), mode, seconds
                pack.addfile(info, io.BytesIO(data))

with open(archive, "rb") as packed:
    digest = hashlib.sha256(packed.read()).hexdigest()
with open(archive + ".sha256", "w") as beside:
    beside.write(f"{digest}  {os.path.basename(archive)}\n")
print(digest)
