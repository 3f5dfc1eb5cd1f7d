#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sends requests that two readers can understand in two ways, and sound ones cut into all possible pieces.

A refused request must be answered once, with an error, and the connection must end: what stands behind it is never taken for
a next request, because that is what smuggling needs. A sound one must be understood the same however it arrives.
tests/scenario/test_framing.py sends the refused ones to a real server; the sound ones need one that says what it understood:

    tests/http/framing_probe.py build/tests/http/http-echo-server
"""
import random
import re
import socket
import subprocess
import sys

NEXT = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
STATUS = re.compile(rb"HTTP/1\.1 (\d\d\d) ")
LENGTH = re.compile(rb"\r\nContent-Length: (\d+)(?:\r|$)")


def head(*lines, method=b"GET", target=b"/victim", version=b"HTTP/1.1", host=True):
    first = method + b" " + target + b" " + version
    return b"\r\n".join([first, *([b"Host: x"] if host else []), *lines]) + b"\r\n\r\n"


def post(*lines, body=b"", **more):
    return head(*lines, method=b"POST", **more) + body


def bad_lengths():
    for value in (b"", b"-1", b"+3", b"3 3", b"3,3", b"3, 3", b"0x3", b"3.0", b"three", b"3;", b"\x0b3", b"3\x00", b"99999999999999999999999",
                  b"18446744073709551616", b"18446744073709551619", b"1e1", b"\xd9\xa3"):
        yield b"length " + value, post(b"Content-Length: " + value, body=b"abc")
    for first in (b"3", b"4", b"0", b"+3"):
        yield b"two lengths", post(b"Content-Length: 3", b"Content-Length: " + first, body=b"abc")
        yield b"two lengths", post(b"Content-Length: " + first, b"X: y", b"CONTENT-LENGTH: 3", body=b"abc")
    yield b"length with space before the colon", post(b"Content-Length : 3", body=b"abc")
    yield b"length with tab before the colon", post(b"Content-Length\t: 3", body=b"abc")
    yield b"hidden length", post(b"X: y\rContent-Length: 3", body=b"abc")
    yield b"hidden length", post(b"X: y\x00Content-Length: 3", body=b"abc")


def bad_encodings():
    end = b"0\r\n\r\n"
    for value in (b"", b"identity", b"gzip", b"gzip, chunked", b"chunked, chunked", b"chunked, identity", b"chunked;q=1", b"xchunked",
                  b"chunkedx", b"\x0bchunked", b"chunked\x00", b"\"chunked\"", b"chunked,", b",chunked", b"chun ked", b"\xc3\xa4chunked"):
        yield b"encoding " + value, post(b"Transfer-Encoding: " + value, body=end)
    for name in (b"Transfer-Encoding", b"transfer-encoding", b"TRANSFER-ENCODING"):
        yield b"length beside encoding", post(b"Content-Length: 5", name + b": chunked", body=end)
        yield b"encoding beside length", post(name + b": chunked", b"Content-Length: 5", body=end)
        yield b"two encodings", post(name + b": chunked", b"Transfer-Encoding: chunked", body=end)
        yield b"two encodings", post(name + b": identity", b"Transfer-Encoding: chunked", body=end)
    for line in (b"Transfer-Encoding : chunked", b" Transfer-Encoding: chunked", b"Transfer-Encoding:\r\n chunked",
                 b"Transfer-Encoding:\r\n\tchunked", b"X: y\r\n Transfer-Encoding: chunked", b"Transfer\x00-Encoding: chunked",
                 b"Transfer-Encoding\x00: chunked", b"Transfer-Encoding: chunked\r\n \r\nX: y", b"Transfer Encoding: chunked"):
        yield b"encoding written oddly", post(line, body=end)
        yield b"encoding written oddly, with a length", post(b"Content-Length: 5", line, body=end)
        yield b"encoding written oddly, before a length", post(line, b"Content-Length: 5", body=end)
    yield b"encoding in HTTP/1.0", post(b"Transfer-Encoding: chunked", body=end, version=b"HTTP/1.0")


def bad_headers():
    for pad in range(0, 40):
        name = b"X" * (1 + pad)
        for fold in (b"\r\n ", b"\r\n\t", b"\r\n   "):
            yield b"folded", head(name + b": a" + fold + b"b")
            yield b"folded", head(name + b":" + fold + b"b", b"Y: z")
            yield b"folded to nothing", head(name + b": a" + fold)
    for size in range(3900, 4200, 7):  # about where the parser's buffer grows
        yield b"folded, long", head(b"X: " + b"a" * size + b"\r\n b")
        yield b"folded, long", head(b"X: " + b"a" * size, b"Y: b\r\n c")
    for count in (101, 200, 2000):
        yield b"too many headers", head(*[b"X: y"] * count)
    yield b"headers too large", head(b"X: " + b"a" * 100000)
    yield b"cookies that do not fit", head(b"Cookie: " + b"; ".join(b"a%d=b" % i for i in range(800)))
    yield b"folded first", head(b" X: y", host=False)
    yield b"folded first", head(b" X: y")
    for byte in list(range(0, 9)) + list(range(10, 32)) + [127]:
        if byte not in (10, 13):
            yield b"control byte in a value", head(b"X: a" + bytes([byte]) + b"b")
            yield b"control byte at the end of a value", head(b"X: a" + bytes([byte]))
            yield b"control byte at the end of the last value", head(b"X: a", b"Y: b" + bytes([byte]))
        if byte != 10:
            yield b"control byte in a name", head(b"X" + bytes([byte]) + b"Y: b")
            yield b"control byte before a name", head(bytes([byte]) + b"Y: b")
    for byte in b" \t\"(),/;<=>?@[\\]{}\x80\xff":
        yield b"byte in a name", head(b"X" + bytes([byte]) + b"Y: b")
    yield b"no name", head(b": b")
    yield b"no colon", head(b"Nothing")
    yield b"bare CR", head(b"X: a\rY: b")
    yield b"bare LF", head(b"X: a\nY: b")
    yield b"bare LF after the request line", b"GET /victim HTTP/1.1\nHost: x\r\n\r\n"
    yield b"bare LF at the end", b"GET /victim HTTP/1.1\r\nHost: x\r\n\n"
    yield b"bare LF everywhere", b"GET /victim HTTP/1.1\nHost: x\n\n"
    yield b"CR CR LF", head(b"X: a\r")
    yield b"no host", head(host=False)
    yield b"two hosts", head(b"Host: x")
    yield b"two hosts", head(b"hOST: y")


def bad_lines():
    for target in (b"victim", b"*", b"", b"http://x/victim", b"HTTP://x", b"https://x:443/victim", b"//x\x00", b"/a b", b"/a\tb", b"/a\x00b", b"/\x7f", b"/a\rb", b"/#f", b"/%", b"/%4", b"/%zz",
                   b"/%00", b"/?%00", b"/?a=%", b"/%ff", b"/%c0%af", b"/%ed%a0%80", b"/%f5%80%80%80", b"/\xff", b"/?\xc3", b"/?a=%c3&b=%a4",
                   b"x:80", b"?a", b"\\victim"):
        yield b"target " + target, head(target=target)
    for version in (b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/3.0", b"http/1.1", b"HTTP/1.1 ", b"HTTP/1.10", b"HTTP/1,1", b"HTTP/11", b"", b"HTTPS/1.1",
                    b"HTTP/1.1\x00", b"HTTP/1.1x"):
        yield b"version " + version, head(version=version)
    for method in (b"", b"GE T", b"G\x00T", b"GET\t", b"G\xc3\xa4T", b"GET:", b"(GET)", b"GET "):
        yield b"method " + method, head(method=method)


def bad_chunks():
    def chunked(body):
        return post(b"Transfer-Encoding: chunked", body=body)

    for size in (b"-1", b"+3", b"0x3", b" 3", b"3 ", b"g", b"", b";x", b"3\t", b"3\x00", b"ffffffffffffffffff", b"10000000000000003", b"3.0", b"_3"):
        yield b"chunk size " + size, chunked(size + b"\r\nabc\r\n0\r\n\r\n")
    yield b"chunk size of many digits", chunked(b"0" * 20000 + b"3\r\nabc\r\n0\r\n\r\n")
    yield b"chunk longer than its size", chunked(b"3\r\nabcd\r\n0\r\n\r\n")
    yield b"chunk without its end", chunked(b"3\r\nabc0\r\n\r\n")
    yield b"chunk ended by CR", chunked(b"3\r\nabc\r0\r\n\r\n")


REFUSED = [bad_lengths, bad_encodings, bad_headers, bad_lines, bad_chunks]

# Taken, but the connection must end after them: libmicrohttpd reads chunks leniently.
LENIENT = [
    post(b"Transfer-Encoding: chunked", body=b"3\nabc\r\n0\r\n\r\n"),
    post(b"Transfer-Encoding: chunked", body=b"3\r\nabc\n0\r\n\r\n"),
    post(b"Transfer-Encoding: chunked", body=b"3;\nxx\r\nabc\r\n0\r\n\r\n"),
    post(b"Transfer-Encoding: chunked", body=b"3;a=\"\r\nabc\r\n0\r\n\r\n"),
    post(b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\nContent-Length: 30\r\n\r\n"),
    post(b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\x00\r\n\r\n"),
    post(b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\nX: y\r\n z\r\n\r\n"),
    post(b"tRANSFER-eNCODING: CHUNKED", body=b"3\r\nabc\r\n000\r\n\r\n"),
]

SOUND = [
    (head(target=b"/p%20q?a=%26&b=1+2"), b"method GET\npath /p q\nargument a = &\nargument b = 1 2\nbody \n"),
    (post(b"Content-Length: 5", b"X:", b"Y: \t z \t", body=b"hello"), b"method POST\npath /victim\nbody hello\n"),
    (head(b"Connection: keep-alive", version=b"HTTP/1.0", host=False), b"method GET\npath /victim\nbody \n"),
    (post(b"Content-Length: 0000000003", body=b"a\r\n"), b"method POST\npath /victim\nbody a\r\n\n"),
]


def is_one_answer(got):
    """One head that says that this is the end, and just as much body as it promises."""
    answer, _, body = got.partition(b"\r\n\r\n")
    length = LENGTH.search(answer)
    return b"\r\nConnection: close" in answer and length and int(length[1]) == len(body)


class Probe:
    def __init__(self, address, behind=NEXT, sign=b"/smuggled"):
        """`sign` stands in the answer to `behind`, the request that is hidden behind each."""
        host, port = address.rsplit(":", 1)
        self.address, self.behind, self.sign = (host, int(port)), behind, sign
        self.faults, self.count = [], 0

    def fault(self, what, sent, got):
        self.faults.append(f"{what}\n  sent {repr(sent)[:2000]}\n  got  {repr(got)[:2000]}")

    def talk(self, pieces, close=False):
        """Everything the server says to these pieces until it closes; None when it does not close."""
        got = b""
        with socket.create_connection(self.address, timeout=5) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                for piece in pieces:
                    s.sendall(piece)
                if close:
                    s.shutdown(socket.SHUT_WR)
                while True:
                    more = s.recv(65536)
                    if not more:
                        return got
                    got += more
            except TimeoutError:
                return None
            except OSError:  # reset
                return got

    def refused(self, name, request):
        """The end of the client's bytes is shown to the server, so that one that waits for more of a request ends too."""
        self.count += 1
        name, got = name.decode(errors="replace"), self.talk([request + self.behind], close=True)
        statuses = STATUS.findall(got or b"")
        if got is None or self.sign in got or any(not status.startswith((b"4", b"5")) for status in statuses):
            self.fault(f"{name}: not refused", request, got)
        elif len(statuses) > 1:
            self.fault(f"{name}: two answers", request, got)
        elif got and not is_one_answer(got):
            self.fault(f"{name}: no sound answer", request, got)

    def lenient(self, request):
        self.count += 1
        got = self.talk([request + self.behind], close=True)
        if got is None or self.sign in got or len(STATUS.findall(got)) > 1:
            self.fault("the connection goes on after a chunked request", request, got)

    def unclear(self):
        for group in REFUSED:
            for name, request in group():
                self.refused(name, request)
        for request in LENIENT:
            self.lenient(request)

    def sound(self, request, body, pieces):
        self.count += 1
        got = self.talk([*pieces, head(b"Connection: close", target=b"/last")])
        if got is None or body not in got or b"path /last" not in got or STATUS.findall(got) != [b"200", b"200"]:
            self.fault("a sound request is not understood", pieces, got)

    def clear(self):
        chance = random.Random(1)
        for request, body in SOUND:
            self.sound(request, body, [request])
            for i in range(1, len(request)):
                self.sound(request, body, [request[:i], request[i:]])
            for _ in range(50):
                cuts = sorted(chance.sample(range(1, len(request)), 5))
                self.sound(request, body, [request[a:b] for a, b in zip([0, *cuts], [*cuts, len(request)])])
        self.sound(SOUND[0][0], SOUND[0][1], [b"\r\n" + SOUND[0][0]])  # one empty line before a request is harmless


def main():
    process = subprocess.Popen([sys.argv[1]], stdout=subprocess.PIPE)
    try:
        probe = Probe(process.stdout.readline().decode().strip())
        probe.unclear()
        probe.clear()
    finally:
        process.terminate()
        code = process.wait()
    if code != 0:
        probe.faults.append(f"the server ended with {code}")
    print("\n".join([*probe.faults, f"{probe.count} requests, {len(probe.faults)} faults"]))
    sys.exit(bool(probe.faults))


if __name__ == "__main__":
    main()
