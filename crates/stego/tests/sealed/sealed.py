"""Reads and writes sealed stego images: a second implementation, from docs/format.md alone.

    sealed.py jobs FILE      does the jobs in a JSON file and prints their results as JSON
    sealed.py vectors        prints the known answers of vectors.json

Needs numpy, cryptography (ChaCha20), PyNaCl (XChaCha20-Poly1305) and argon2-cffi (Argon2id).
"""

import hashlib
import hmac
import json
import struct
import sys
import unicodedata
import zlib

import nacl.bindings as sodium
import numpy as np
from argon2.low_level import Type, core, ffi, lib
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from nacl.exceptions import CryptoError

LABEL = b"stego sealed v1"
PUBLIC_KEY = hashlib.sha256(b"stego sealed v1 public positions").digest()
LEAST_SAMPLES = 45_024
TAG = 16


class Refused(Exception):
    """A finding of section "Reading"."""


# --- section "Key" ---------------------------------------------------------------------------------


def argon2id(passphrase, salt, secret):
    def buffer(data):
        return ffi.new("uint8_t[]", data) if data else ffi.NULL

    output = ffi.new("uint8_t[]", 32)
    kept = [buffer(data) for data in (passphrase, salt, secret, LABEL)]
    context = ffi.new(
        "argon2_context *",
        dict(
            out=output, outlen=32,
            pwd=kept[0], pwdlen=len(passphrase),
            salt=kept[1], saltlen=len(salt),
            secret=kept[2], secretlen=len(secret),
            ad=kept[3], adlen=len(LABEL),
            t_cost=3, m_cost=65536, lanes=4, threads=4,
            version=0x13,
            allocate_cbk=ffi.NULL, free_cbk=ffi.NULL, flags=lib.ARGON2_DEFAULT_FLAGS,
        ),
    )
    assert core(context, Type.ID.value) == lib.ARGON2_OK
    return bytes(ffi.buffer(output))


def prk_of(passphrase, key_file, salt):
    p = unicodedata.normalize("NFC", passphrase).encode() if passphrase is not None else b""
    k = hashlib.blake2b(b"keyfile v1" + key_file, digest_size=32).digest() if key_file is not None else b""
    return argon2id(p, salt, k)


class Keys:
    def __init__(self, prk, salt):
        def expand(name, length):
            # One block of HKDF-Expand is enough: no key is longer than a digest.
            return hmac.new(prk, LABEL + b" " + name + b"\x01", hashlib.sha256).digest()[:length]

        self.salt = salt
        self.positions, self.header, self.body = (expand(n, 32) for n in (b"positions", b"header", b"body"))
        self.commitment = expand(b"commitment", 16)


# --- sections "Header" and "Body" ------------------------------------------------------------------


def padded(length, room):
    unit = 1 << max(length.bit_length() - 1 - 5, 0)
    return min(-(-length // unit) * unit, room)


def plain_body(secret, name, code, mark, deflate, room):
    content = secret
    if deflate:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        deflated = packer.compress(secret) + packer.flush()
        content = min(secret, deflated, key=len)
    layout = (1 if len(content) < len(secret) else 0) | (2 if mark else 0)
    fields = struct.pack(">BBBBII", layout, code, len(name), 0, len(content), len(secret))
    plain = fields + name + mark + content
    assert len(plain) <= room, "no room"
    return plain.ljust(padded(len(plain), room), b"\0")


def seal(keys, plain, count, coding=0):
    header = struct.pack(">BBHI", 1, 0, coding, len(plain)) + keys.commitment
    nonce = keys.salt + b"header\0\0"
    header = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
        header, LABEL + struct.pack(">Q", count), nonce, keys.header
    )
    nonce = keys.salt + b"body\0\0\0\0"
    body = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, keys.salt + header, nonce, keys.body)
    return header, body


def open_header(keys, header, count, room):
    data, nonce = LABEL + struct.pack(">Q", count), keys.salt + b"header\0\0"
    try:
        plain = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(header, data, nonce, keys.header)
    except CryptoError:
        raise Refused("no payload or wrong key") from None
    version, flags, coding, length = struct.unpack(">BBHI", plain[:8])
    is_known = (version, flags) == (1, 0) and (coding == 0 or 7 <= coding >> 12 <= 12)
    if not is_known or plain[8:] != keys.commitment or not 12 <= length <= room:
        raise Refused("no payload or wrong key")
    return length, coding


def open_body(keys, header, body):
    try:
        plain = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
            body, keys.salt + header, keys.salt + b"body\0\0\0\0", keys.body
        )
    except CryptoError:
        raise Refused("damaged") from None
    layout, code, name_len, zero, content_len, secret_len = struct.unpack(">BBBBII", plain[:12])
    assert layout & ~3 == 0 and zero == 0
    mark_len = 16 if layout & 2 else 0
    name, rest = plain[12 : 12 + name_len], plain[12 + name_len :]
    mark, rest = rest[:mark_len], rest[mark_len:]
    content, padding = rest[:content_len], rest[content_len:]
    assert len(content) == content_len and not any(padding)
    assert (content_len < secret_len) if layout & 1 else (content_len == secret_len)
    secret = zlib.decompress(content, -15) if layout & 1 else content
    assert len(secret) == secret_len
    return dict(secret=secret.hex(), name=name.decode(), code=code, mark=mark.hex())


# --- section "Carrier `scattered`" -----------------------------------------------------------------


def stream(key, name):
    """The key stream, some bytes at a time."""
    encryptor = Cipher(algorithms.ChaCha20(key, bytes(4) + name.ljust(12, b"\0")), mode=None).encryptor()
    while True:
        yield encryptor.update(bytes(65536))


def words(key, name):
    for window in stream(key, name):
        yield from struct.unpack("<16384I", window)


class Drawing:
    def __init__(self, count):
        self.count, self.given = count, np.zeros(count, bool)

    def draw(self, key, name, wanted):
        positions, unfair = [], 2**32 % self.count
        source = words(key, name)
        while len(positions) < wanted:
            product = next(source) * self.count
            position = product >> 32
            if product % 2**32 >= unfair and not self.given[position]:
                self.given[position] = True
                positions.append(position)
        return np.array(positions, dtype=np.int64)


def division(count):
    share = [max(min(count // 16, 65536), 100 * bits) for bits in (8 * 16, 8 * 40)]
    rest = count - sum(share)
    return share[0], share[1], rest, rest // 8 - TAG


def shares(keys, count):
    """Positions of salt and header, and the drawing after them."""
    salt_len, header_len, _, _ = division(count)
    drawing = Drawing(count)
    salt = drawing.draw(PUBLIC_KEY, b"salt", salt_len)
    return salt, (drawing.draw(keys.positions, b"header", header_len) if keys else None), drawing


def carrying(keys, drawing, count, bits):
    taken, rest = drawing.given.copy(), division(count)[2]
    if bits <= rest - bits:
        drawing.draw(keys.positions, b"body", bits)
        return np.flatnonzero(drawing.given & ~taken)
    drawing.draw(keys.positions, b"body", rest - bits)
    return np.flatnonzero(~drawing.given)


def blocks(samples, bits):
    """For each sample the row of its block and its column."""
    for row in range(bits):
        for j in range((row + 1) * samples // bits - row * samples // bits):
            yield row, (2 * (j % 64) + 1) & ((1 << min(7, bits - row)) - 1)


def to_bits(data):
    return np.unpackbits(np.frombuffer(data, np.uint8))


def to_bytes(bits):
    return np.packbits(bits).tobytes()


def syndrome(low, bits):
    rows = [0] * (bits + 7)
    for bit, (row, column) in zip(low, blocks(len(low), bits)):
        if bit:
            for k in range(7):
                rows[row + k] ^= column >> k & 1
    return to_bytes(np.array(rows[:bits], np.uint8))


def least_changes(low, message):
    """The Viterbi algorithm, with random costs near 1."""
    bits = 8 * len(message)
    wanted = to_bits(message) ^ to_bits(syndrome(low, bits))
    random = np.random.default_rng(list(message))
    states = np.arange(128)
    cost = np.where(states == 0, 0.0, np.inf)
    path, last = [], 0

    def end_row(row):
        nonlocal cost
        path.append(None)
        cost = np.concatenate([cost[wanted[row] :: 2], np.full(64, np.inf)])

    for sample, (row, column) in enumerate(blocks(len(low), bits)):
        if row != last:
            end_row(last)
            last = row
        changed = cost[states ^ column] + 1 + random.random() / 64
        is_less = changed < cost
        path.append((sample, column, is_less))
        cost = np.where(is_less, changed, cost)
    end_row(last)
    state, changes, row = 0, [], bits
    for step in reversed(path):
        if step is None:
            row -= 1
            state = (state << 1 | wanted[row]) & 127
        elif step[2][state]:
            changes.append(step[0])
            state ^= step[1]
    return changes


# --- section "Carrier `adaptive`" ------------------------------------------------------------------

PHI = np.uint64(0x9E3779B97F4A7C15)


def mix(x):
    y = (x + np.uint64(1)) * PHI
    y = (y ^ y >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    y = (y ^ y >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return y ^ y >> np.uint64(31)


class Segments:
    """The places of each segment as indices of carrying samples, and the columns of places."""

    def __init__(self, keys, bits, left, coding):
        self.height, z = coding >> 12, coding & 4095
        self.samples = min(128 * bits, left)
        self.count = max(-(-self.samples // 65536), -(-bits // 4096))
        self.groups = -(-self.samples // self.count)
        self.second = bits * z // 4096
        self.first = bits - self.second
        source = words(keys.positions, b"rotation")
        rotations = [next(source) * self.count >> 32 for _ in range(self.groups - 1)] + [0]
        source = words(keys.positions, b"order")
        order = list(range(self.groups))
        for i in range(self.groups - 1, 0, -1):
            j = next(source) * (i + 1) >> 32
            order[i], order[j] = order[j], order[i]
        order, rotations = np.array(order), np.array(rotations)
        self.places = []
        for segment in range(self.count):
            places = order * self.count + (segment - rotations[order]) % self.count
            self.places.append(places[places < self.samples])
        k = np.arange(self.groups, dtype=np.uint64)
        inner = (k * PHI) >> np.uint64(66 - self.height)
        self.columns = (1 << self.height - 1) + 2 * inner.astype(np.int64) + 1
        self.signs = [int(a) << 64 | int(b) for a, b in zip(mix(2 * k), mix(2 * k + np.uint64(1)))]

    def messages(self, data):
        """The bits of the two messages of each segment."""
        def parts(message):
            per, more = divmod(len(message), self.count)
            ends = [s * per + min(s, more) for s in range(self.count + 1)]
            return [message[a:b] for a, b in zip(ends, ends[1:])]

        return list(zip(parts(data[: self.first]), parts(data[self.first :])))

    def matrices(self, segment, first, second):
        """For each place of a segment the columns in both layers, as numbers whose bit r is row r."""
        count = len(self.places[segment])
        low = [int(c) << k * first // count for k, c in enumerate(self.columns[:count])]
        signs = [c << max(k * second // count - 64, 0) for k, c in enumerate(self.signs[:count])] if second else [0] * count
        return [c & (1 << first) - 1 for c in low], [c & (1 << second) - 1 for c in signs]


def combined(columns, bits):
    total = 0
    for column, bit in zip(columns, bits):
        if bit:
            total ^= column
    return total


def read_adaptive(low, second, segments):
    layers = [], []
    for s, (first, signs) in enumerate(segments.messages(np.zeros(segments.first + segments.second, np.uint8))):
        places = segments.places[s]
        matrices = segments.matrices(s, len(first), len(signs))
        for layer, bits, columns, m in zip(layers, (low[places], second[places]), matrices, (first, signs)):
            total = combined(columns, bits)
            layer.extend(total >> r & 1 for r in range(len(m)))
    return to_bytes(np.array(layers[0] + layers[1], np.uint8))


def solution(columns, target):
    """Columns that sum to the target: Gaussian elimination, with the columns used as a second number."""
    pivots = {}
    for i, column in enumerate(columns):
        used = 1 << i
        while column:
            row = column.bit_length()
            if row not in pivots:
                pivots[row] = column, used
                break
            column, used = column ^ pivots[row][0], used ^ pivots[row][1]
    chosen = 0
    while target:
        column, used = pivots[target.bit_length()]
        target, chosen = target ^ column, chosen ^ used
    return [i for i in range(len(columns)) if chosen >> i & 1]


def write_adaptive(values, largest, segments, body):
    """Changes of the carrying samples: at any cost, the first place of each row. 1 up, -1 down, 0 none."""
    low, second = values & 1, values >> 1 & 1
    change = np.zeros(len(values), np.int64)
    for s, messages in enumerate(segments.messages(to_bits(body))):
        places = segments.places[s]
        first, signs = (sum(int(bit) << r for r, bit in enumerate(message)) for message in messages)
        columns, sign_columns = segments.matrices(s, *map(len, messages))
        first ^= combined(columns, low[places])
        changed, row = [], 0
        for k, column in enumerate(columns):
            if k * len(messages[0]) // len(places) == row:
                if first >> row & 1:
                    first ^= column
                    changed.append(k)
                row += 1
        signs ^= combined(sign_columns, second[places])
        free = [k for k in changed if 0 < values[places[k]] < largest]
        flips = [free[i] for i in solution([sign_columns[k] for k in free], signs)]
        up = low[places] == 0
        up[flips] = ~up[flips]
        change[places[changed]] = np.where(up, 1, -1)[changed]
    return change


# --- samples and PNG -------------------------------------------------------------------------------


class Image:
    """The samples of a PNG of 8 or 16 bits that is not interlaced, as an array of rows, columns, channels."""

    COLOUR = {1: 0, 2: 4, 3: 2, 4: 6}

    def __init__(self, path):
        file = open(path, "rb").read()
        assert file[:8] == b"\x89PNG\r\n\x1a\n"
        at, pixels = 8, b""
        while at < len(file):
            length, kind = struct.unpack(">I4s", file[at : at + 8])
            data = file[at + 8 : at + 8 + length]
            if kind == b"IHDR":
                self.width, self.height, self.depth, colour = struct.unpack(">IIBB", data[:10])
                assert self.depth in (8, 16) and data[10:] == b"\0\0\0"
                self.channels = {code: n for n, code in self.COLOUR.items()}[colour]
            pixels += data if kind == b"IDAT" else b""
            at += length + 12
        rows = self.unfiltered(zlib.decompress(pixels))
        kind = ">u2" if self.depth == 16 else "u1"
        values = np.frombuffer(rows, kind).reshape(self.height, self.width, self.channels)
        self.values = values.astype(np.int64)

    def unfiltered(self, data):
        step = self.channels * self.depth // 8
        length = self.width * step
        above, rows = bytearray(length), bytearray()
        for y in range(self.height):
            kind, *row = data[y * (length + 1) : (y + 1) * (length + 1)]
            for x in range(length if kind else 0):
                left = row[x - step] if x >= step else 0
                up, corner = above[x], above[x - step] if x >= step else 0
                if kind == 4:
                    p = left + up - corner
                    near = min((abs(p - left), 0, left), (abs(p - up), 1, up), (abs(p - corner), 2, corner))[2]
                else:
                    near = (0, left, up, (left + up) // 2)[kind]
                row[x] = (row[x] + near) & 255
            above = row
            rows += bytes(row)
        return bytes(rows)

    def to_png(self):
        rows = self.values.astype(">u2" if self.depth == 16 else "u1").reshape(self.height, -1)
        pixels = b"".join(b"\0" + row.tobytes() for row in rows)
        header = struct.pack(">IIBBBBB", self.width, self.height, self.depth, self.COLOUR[self.channels], 0, 0, 0)
        file = b"\x89PNG\r\n\x1a\n"
        for kind, data in (b"IHDR", header), (b"IDAT", zlib.compress(pixels, 9)), (b"IEND", b""):
            file += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        return file

    def eligible(self):
        """Indices of the eligible samples in the flat array, and how many equal samples each stands for."""
        colours = self.channels - (self.channels in (2, 4))
        index = np.arange(self.values.size).reshape(-1, self.channels)
        pixels = self.values.reshape(-1, self.channels)
        if colours < self.channels:
            index, pixels = index[pixels[:, -1] != 0], pixels[pixels[:, -1] != 0]
        if colours == 3 and (pixels[:, :3] == pixels[:, :1]).all():
            return index[:, 0], 3
        return index[:, :colours].reshape(-1), 1


def read(image, passphrase, key_file):
    index, _ = image.eligible()
    count = len(index)
    if count < LEAST_SAMPLES:
        raise Refused("too small")
    low = (image.values.reshape(-1)[index] & 1).astype(np.uint8)
    salt_share, _, _ = shares(None, count)
    salt = syndrome(low[salt_share], 8 * 16)
    keys = Keys(prk_of(passphrase, key_file, salt), salt)
    _, header_share, drawing = shares(keys, count)
    header = syndrome(low[header_share], 8 * 40)
    length, coding = open_header(keys, header, count, division(count)[3])
    if coding == 0:
        body = to_bytes(low[carrying(keys, drawing, count, 8 * (length + TAG))])
    else:
        segments = Segments(keys, 8 * (length + TAG), division(count)[2], coding)
        places = carrying(keys, drawing, count, segments.samples)
        second = (image.values.reshape(-1)[index] >> 1 & 1).astype(np.uint8)
        body = read_adaptive(low[places], second[places], segments)
    return open_body(keys, header, body)


def write(image, keys, plain, coding=0):
    index, copies = image.eligible()
    count = len(index)
    header, body = seal(keys, plain, count, coding)
    values = image.values.reshape(-1)
    low = (values[index] & 1).astype(np.uint8)
    salt_share, header_share, drawing = shares(keys, count)
    change, chosen = np.zeros(count, bool), np.zeros(count, np.int64)
    if coding == 0:
        places = carrying(keys, drawing, count, 8 * len(body))
        change[places] = low[places] != to_bits(body)
    else:
        segments = Segments(keys, 8 * len(body), division(count)[2], coding)
        places = carrying(keys, drawing, count, segments.samples)
        chosen[places] = write_adaptive(values[index[places]], 2**image.depth - 1, segments, body)
        change = chosen != 0
    change[header_share[least_changes(low[header_share], header)]] = True
    random = np.random.default_rng(list(keys.positions)).random(len(salt_share))
    change[salt_share] = random < np.count_nonzero(change) / (count - len(salt_share))
    change[salt_share[least_changes(low[salt_share] ^ change[salt_share], keys.salt)]] ^= True
    bits = np.unpackbits(np.frombuffer(take(stream(keys.positions, b"direction"), count // 8 + 1), np.uint8), bitorder="little")
    largest = 2**image.depth - 1
    for i in np.flatnonzero(change):
        value = values[index[i]]
        up = value == 0 or ((chosen[i] or bits[i]) == 1 and value != largest)
        values[index[i] : index[i] + copies] += 1 if up else -1


def take(source, count):
    data = b""
    while len(data) < count:
        data += next(source)
    return data[:count]


# --- jobs and known answers ------------------------------------------------------------------------


def do(job):
    image = Image(job["image"])
    key_file = bytes.fromhex(job["key_file"]) if job.get("key_file") is not None else None
    try:
        if job["do"] == "read":
            return read(image, job.get("passphrase"), key_file)
        salt = bytes.fromhex(job["salt"])
        keys = Keys(prk_of(job.get("passphrase"), key_file, salt), salt)
        room = division(len(image.eligible()[0]))[3]
        secret, mark = bytes.fromhex(job["secret"]), bytes.fromhex(job["mark"])
        plain = plain_body(secret, job["name"].encode(), job["code"], mark, job["deflate"], room)
        write(image, keys, plain, job["coding"])
        open(job["out"], "wb").write(image.to_png())
        return {}
    except Refused as refused:
        return dict(refused=str(refused))


def digest(positions):
    return hashlib.sha256(np.asarray(positions).astype(">u4").tobytes()).hexdigest()


def vectors():
    salt = bytes(range(16))
    file = bytes(range(256)) * 2
    given = [
        ("caf\u00e9 au lait", None), ("cafe\u0301 au lait", None), (" trailing space ", None),
        (None, file), ("caf\u00e9 au lait", file), (None, bytes(32)),
    ]
    answers = dict(keys=[], drawings=[], bodies=[], streams=[], images=[])
    for passphrase, key_file in given:
        prk = prk_of(passphrase, key_file, salt)
        keys = Keys(prk, salt)
        answers["keys"].append(dict(
            passphrase=passphrase, key_file=None if key_file is None else key_file.hex(), salt=salt.hex(),
            prk=prk.hex(), positions=keys.positions.hex(), header=keys.header.hex(), body=keys.body.hex(),
            commitment=keys.commitment.hex(),
        ))
    for count, length in (LEAST_SAMPLES, 12), (227_397, 400), (227_397, 19_000), (2_000_003, 100_000):
        prk = hashlib.sha256(b"%d %d" % (count, length)).digest()
        keys = Keys(prk, salt)
        salt_share, header_share, drawing = shares(keys, count)
        places = carrying(keys, drawing, count, 8 * (length + TAG))
        random = np.frombuffer(take(stream(prk, b"low bits"), count), np.uint8) & 1
        answers["drawings"].append(dict(
            eligible=count, padded_len=length, salt=salt.hex(), prk=prk.hex(), room=division(count)[3],
            salt_share=salt_share[:4].tolist(), salt_share_digest=digest(salt_share),
            header_share=header_share[:4].tolist(), header_share_digest=digest(header_share),
            body=places[:4].tolist(), body_digest=digest(places),
            salt_syndrome=syndrome(random[salt_share], 128).hex(),
            header_syndrome=syndrome(random[header_share], 320).hex(),
        ))
    for count, length, coding in (
        (LEAST_SAMPLES, 12, 0x7000), (227_397, 400, 0xA1CC), (227_397, 15_000, 0xC2FF), (400_003, 3_000, 0x9000),
    ):
        prk = hashlib.sha256(b"%d %d %d" % (count, length, coding)).digest()
        keys = Keys(prk, salt)
        _, _, drawing = shares(keys, count)
        segments = Segments(keys, 8 * (length + TAG), division(count)[2], coding)
        places = carrying(keys, drawing, count, segments.samples)
        random = np.frombuffer(take(stream(prk, b"two bits"), count), np.uint8)[places]
        body = read_adaptive(random & 1, random >> 1 & 1, segments)
        answers["bodies"].append(dict(
            eligible=count, padded_len=length, coding=coding, salt=salt.hex(), prk=prk.hex(),
            segments=segments.count, groups=segments.groups, carrying=len(places), carrying_digest=digest(places),
            places=segments.places[-1][:4].tolist(), body=body[:16].hex(), body_digest=hashlib.sha256(body).hexdigest(),
        ))
    for secret, name, code, mark in (
        (b"", b"", 0, b""), (b"meet me at noon", b"note.txt", 9, bytes(range(16, 32))), (b"secret " * 40, b"", 1, b""),
    ):
        prk = hashlib.sha256(secret).digest()
        keys = Keys(prk, salt)
        plain = plain_body(secret, name, code, mark, False, 2_000)
        header, body = seal(keys, plain, 60_000)
        answers["streams"].append(dict(
            secret=secret.hex(), name=name.decode(), code=code, mark=mark.hex(), salt=salt.hex(), prk=prk.hex(),
            eligible=60_000, room=2_000, plain=plain.hex(), header=header.hex(), body=body.hex(),
        ))
    for channels, depth, passphrase, key_file, coding in (
        (1, 8, "cafe\u0301", None, 0), (3, 16, None, file, 0), (4, 8, "both", file, 0),
        (1, 8, "cafe\u0301", None, 0x7200), (3, 16, None, file, 0xA100), (4, 8, "both", file, 0xC000),
    ):
        image = Image.__new__(Image)
        image.width, image.height, image.depth, image.channels = 240, 200, depth, channels
        values = np.arange(240 * 200 * channels).reshape(200, 240, channels)
        image.values = (values % 7 + 100) << (depth - 8)
        secret = b"known answer"
        keys = Keys(prk_of(passphrase, key_file, salt), salt)
        room = division(len(image.eligible()[0]))[3]
        write(image, keys, plain_body(secret, b"a.txt", 9, b"", False, room), coding)
        answers["images"].append(dict(
            passphrase=passphrase, key_file=None if key_file is None else key_file.hex(), salt=salt.hex(),
            secret=secret.hex(), name="a.txt", png=image.to_png().hex(),
        ))
    return answers


if __name__ == "__main__":
    if sys.argv[1] == "jobs":
        print(json.dumps([do(job) for job in json.load(open(sys.argv[2]))]))
    else:
        print(json.dumps(vectors(), indent=1))
