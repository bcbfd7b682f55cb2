"""Large inputs for real programs, made from a seed: the same bytes in every run.

Pure: it returns text, it writes nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator


def c_source(functions: int, seed: int = 1) -> str:
    """A C file that keeps an optimiser busy: loops, switches, structs and calls."""
    dice = random.Random(seed)
    lines = ["typedef struct { long a[8]; double w; const char *name; } item;"]
    for n in range(functions):
        callee = f"f{dice.randrange(n)}(p, k - 1)" if n else "k"
        cases = "\n".join(
            f"    case {c}: s += p->a[{dice.randrange(8)}] * {dice.randrange(1, 99)}L; break;"
            for c in range(dice.randrange(4, 10))
        )
        lines.append(
            f"long f{n}(item *p, long k)\n{{\n    long s = {n};\n"
            f"    for (long i = 0; i < k; i++) {{\n"
            f"        p->a[i & 7] ^= s >> {dice.randrange(1, 20)};\n"
            f"        p->w += (double)s / {dice.randrange(2, 50)};\n    }}\n"
            f"    switch (k % {dice.randrange(5, 12)}) {{\n{cases}\n"
            f'    default: p->name = "text {n} {dice.random()}"; }}\n'
            f"    return k > 0 ? s + {callee} : s;\n}}"
        )
    return "\n".join(lines) + "\n"


def git_history(commits: int, files: int = 12, seed: int = 2) -> bytes:
    """A stream for `git fast-import`: every commit changes a few lines of some files."""
    dice = random.Random(seed)
    tree = {f"dir{n % 3}/file{n}.txt": _words(dice, 120) for n in range(files)}
    stream = []
    for number in range(commits):
        changed = list(tree) if number == 0 else dice.sample(sorted(tree), 3)
        message = f"Change {number}\n\n" + " ".join(_words(dice, 5))
        stream.append(
            "commit refs/heads/main\n"
            f"committer A Name <name@example.org> {10**9 + number * 60} +0000\n"
            f"data {len(message)}\n{message}\n"
        )
        for path in changed:
            for _ in range(5):
                tree[path][dice.randrange(len(tree[path]))] = " ".join(_words(dice, 6))
            text = "\n".join(tree[path]) + "\n"
            stream.append(f"M 100644 inline {path}\ndata {len(text)}\n{text}\n")
    return "".join(stream).encode()


def sql_script(rows: int) -> bytes:
    """A million rows are written, indexed, joined, updated, deleted and read again."""
    return f"""
PRAGMA page_size=4096; PRAGMA cache_size=-64000;
CREATE TABLE t(id INTEGER PRIMARY KEY, k INT, v TEXT, b BLOB);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
INSERT INTO t SELECT i, (i * 7919) % 10007,
  printf('%d-%s', i, substr('abcdefghijklmnopqrstuvwxyz', 1 + i % 20)), zeroblob(i % 50) FROM n;
CREATE INDEX tk ON t(k, v);
SELECT count(*), sum(k), max(v), sum(length(b)) FROM t;
SELECT k, count(*), group_concat(id) FROM t WHERE k < 40 GROUP BY k ORDER BY k;
CREATE TABLE u AS SELECT k, count(*) AS c, min(v) AS v FROM t GROUP BY k;
SELECT sum(t.k * u.c), count(DISTINCT u.v) FROM t JOIN u USING (k) WHERE t.id % 11 = 0;
UPDATE t SET v = v || '!' WHERE id % 17 = 0;
DELETE FROM t WHERE id % 3 = 0;
SELECT v FROM t ORDER BY v DESC, id LIMIT 50;
PRAGMA integrity_check;
""".encode()


def redis_commands(count: int, seed: int = 3) -> bytes:
    """Writes of many sizes on a few hundred keys of every type, one command a line."""
    return "".join(f"{line}\n" for line in _redis_lines(random.Random(seed), count)).encode()


def redis_questions() -> bytes:
    """Reads whose answers depend on the data alone, not on a hash seed or a clock."""
    lines = ["DBSIZE"]
    for n in range(40):
        lines += [
            f"GET string:{n}",
            f"LRANGE list:{n} 0 -1",
            f"SORT set:{n} ALPHA",
            f"ZRANGE zset:{n} 0 -1 WITHSCORES",
            f"SORT set:{n} BY nosort GET # LIMIT 0 0",
            f"HGET hash:{n} f7",
            f"HLEN hash:{n}",
        ]
    return "".join(f"{line}\n" for line in lines).encode()


def _redis_lines(dice: random.Random, count: int) -> Iterator[str]:
    for _ in range(count):
        n, m = dice.randrange(40), dice.randrange(300)
        text = "x" * int(dice.paretovariate(0.7) % 30000) + str(m)
        yield dice.choice(
            [
                f"SET string:{n} {text}",
                f"APPEND string:{n} {text[:200]}",
                f"SETRANGE string:{n} {m * 7} {m}",
                f"DEL string:{n}",
                f"LPUSH list:{n} {text[:3000]} {m}",
                f"RPOPLPUSH list:{n} list:{(n + 1) % 40}",
                f"LTRIM list:{n} 0 60",
                f"SADD set:{n} {m} m{m} {text[:60]}",
                f"SREM set:{n} {m}",
                f"ZADD zset:{n} {m} {text[:100]}",
                f"ZREMRANGEBYRANK zset:{n} 50 -1",
                f"HSET hash:{n} f{m} {text[:500]} f7 {m}",
                f"EVAL \"local t = {{}} for i = 1, {m} do t[i] = i .. 'v' end "
                f"return redis.call('SET', KEYS[1], table.concat(t))\" 1 string:{n}",
            ]
        )


def _words(dice: random.Random, count: int) -> list[str]:
    return ["".join(dice.choices("abcdefghij", k=dice.randrange(2, 12))) for _ in range(count)]
