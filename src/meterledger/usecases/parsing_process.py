"""
Parsing in a process beside this one, so that reading and writing overlap on two cores.

The child runs the same `parsed_chunks`; chunks come back over a pipe, two ahead of what is written.
"""

import contextlib
import gc
import marshal
import os
import pickle
import queue
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import fields
from typing import IO, Any

from meterledger.domain.row_rules import RowRules
from meterledger.domain.usage import Reason, Rejection
from meterledger.domain.usage_columns import Packer, Unpacker
from meterledger.errors import IncompleteInputError, InputError
from meterledger.readers import DELIMITED, InputFile
from meterledger.usecases.parsing import ParsedChunk, RawTexts, parsed_chunks

WORTHWHILE_BYTES = 16 * 1024 * 1024
"""A smaller file is read before a second process has started."""

_PACKED_BYTES_COUNT = 8
"""A byte of a packed file counts as so many: text becomes about so much smaller."""
_WAIT_SECONDS = 0.05
_LENGTH = struct.Struct("<Q")
_CHUNK, _ERROR, _END = range(3)


def chunks_of(file: InputFile, rules: RowRules) -> Iterator[ParsedChunk]:
    """Read, check and cut a file into chunks, beside this process where that pays."""
    size = file.size_bytes * (_PACKED_BYTES_COUNT if file.compression else 1)
    if size < WORTHWHILE_BYTES or (os.cpu_count() or 1) < 2:  # noqa: PLR2004 # two processes
        return parsed_chunks(file, rules)
    return chunks_from_process(file, rules)


def chunks_from_process(file: InputFile, rules: RowRules) -> Iterator[ParsedChunk]:
    """Read, check and cut a file into chunks in another process; raises what `parsed_chunks` raises."""
    descriptor = file.file.fileno()
    about = {field.name: getattr(file, field.name) for field in fields(file) if field.name != "file"}
    job = (descriptor, about, rules)
    process = subprocess.Popen(
        # -P: never run what lies in the folder of the files.
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=(descriptor,),
    )
    if process.stdin is None or process.stdout is None:
        raise AssertionError("unreachable: both are pipes")
    ahead = _Ahead(process.stdout)
    try:
        with process.stdin as orders:
            pickle.dump(job, orders)
        unpacker = Unpacker()
        while (answer := ahead.next())[0] == _CHUNK:
            yield _parsed_chunk(answer, unpacker)
            del answer  # or it would stay while the next one is read
        if answer[0] == _ERROR:
            _, is_incomplete, message, hint = answer
            raise (IncompleteInputError if is_incomplete else InputError)(message, hint=hint)
    finally:
        process.kill()
        ahead.end()
        process.stdout.close()
        process.wait()


def _parsed_chunk(answer: tuple[Any, ...], unpacker: Unpacker) -> ParsedChunk:
    _, usage, rejections, texts, bytes_read = answer
    parts = list(map(unpacker.unpack, usage))
    return ParsedChunk(parts, list(map(_rejection, rejections)), RawTexts(texts), bytes_read)


class _Ahead:
    """What the child sends, taken from the pipe by a thread: so it need not wait while a chunk is written."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._received: queue.Queue[bytes] = queue.Queue(maxsize=1)
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def next(self) -> tuple[Any, ...]:
        """Return the next answer of the child."""
        body = self._received.get()
        if not body:
            raise InputError(
                "the process that read the file has ended early", hint="run the same command again"
            )
        answer: tuple[Any, ...] = marshal.loads(body)  # noqa: S302 # our own child wrote it
        return answer

    def end(self) -> None:
        """Wait for the thread, which ends once the child has; what is left of it is of no use any more."""
        while self._thread.is_alive():
            with contextlib.suppress(queue.Empty):
                self._received.get(timeout=_WAIT_SECONDS)

    def _receive(self) -> None:
        while len(header := self._pipe.read(_LENGTH.size)) == _LENGTH.size:
            (size,) = _LENGTH.unpack(header)
            if len(body := self._pipe.read(size)) < size:
                break
            self._received.put(body)
            del body  # or it would stay while the next one is read
        self._received.put(b"")


def _send(pipe: IO[bytes], *answer: Any) -> None:
    body = marshal.dumps(answer)
    pipe.write(_LENGTH.pack(len(body)))
    pipe.write(body)
    pipe.flush()


def _send_chunk(pipe: IO[bytes], chunk: ParsedChunk, packer: Packer, *, in_order: bool) -> None:
    usage = [packer.pack(part) for part in ([chunk.usage] if in_order else chunk.parts)]
    rejections = list(map(_fields, chunk.rejections))
    _send(pipe, _CHUNK, usage, rejections, chunk.raws.parts, chunk.bytes_read)


def _fields(rejection: Rejection) -> tuple[object, ...]:
    return (
        rejection.line,
        rejection.reason.value,
        rejection.message,
        rejection.raw,
        rejection.request_id,
        rejection.customer_id,
        rejection.feature,
        rejection.event_time,
    )


def _rejection(fields: tuple[Any, ...]) -> Rejection:
    line, reason, message, raw, request_id, customer_id, feature, event_time = fields
    return Rejection(
        line=line,
        reason=Reason(reason),
        message=message,
        raw=raw,
        request_id=request_id,
        customer_id=customer_id,
        feature=feature,
        event_time=event_time,
    )


def _work() -> None:
    """Be the child: read the job, write chunks, and end when nobody reads them any more."""
    # Ctrl-C reaches every process of a terminal; the parent decides, and closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    job = pickle.load(sys.stdin.buffer)  # noqa: S301 # our own parent wrote it
    descriptor, about, rules = job
    pipe = sys.stdout.buffer
    with os.fdopen(descriptor, "rb") as content:
        file = InputFile(file=content, **about)
        try:
            packer = Packer()
            # Reading JSON keeps this process busier than writing does the other one: that one sorts then.
            in_order = file.input_format in DELIMITED
            for chunk in parsed_chunks(file, rules):
                _send_chunk(pipe, chunk, packer, in_order=in_order)
                del chunk  # or it would stay while the next one is made
        except InputError as error:
            _send(pipe, _ERROR, isinstance(error, IncompleteInputError), error.message, error.hint)
        else:
            _send(pipe, _END)


if __name__ == "__main__":
    gc.disable()
    with contextlib.suppress(BrokenPipeError):
        _work()
    os._exit(0)  # what a broken pipe still holds must not be flushed again
