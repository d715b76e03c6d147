"""How content is packed in tests."""

import bz2
import gzip
import lzma
from collections.abc import Callable

from backports import zstd

from meterledger.readers.compression import Compression

PACK: dict[Compression, Callable[[bytes], bytes]] = {
    Compression.GZIP: lambda content: gzip.compress(content, mtime=0),
    Compression.BZIP2: bz2.compress,
    Compression.XZ: lzma.compress,
    Compression.ZSTANDARD: zstd.compress,
}
