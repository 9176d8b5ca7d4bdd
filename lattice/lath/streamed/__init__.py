"""Values that travel as streams of bytes: what stands behind some handles (`signature` says which)."""

from lath.streamed.calling import StreamedCalls, StreamedFunction
from lath.streamed.friendly import call_here, converse
from lath.streamed.pace import Pace, patient
from lath.streamed.signature import Streaming, streaming_of
from lath.streamed.strings import PackedStrings, StringStream
from lath.streamed.values import ByteStream

__all__ = [
    "ByteStream",
    "Pace",
    "PackedStrings",
    "StreamedCalls",
    "StreamedFunction",
    "Streaming",
    "StringStream",
    "call_here",
    "converse",
    "patient",
    "streaming_of",
]
