// Heavy JSON, large buffers, compression and hashing on the worker pool.
const zlib = require('zlib');
const crypto = require('crypto');
let state = 7;
const dice = (n) => (state = (state * 48271) % 2147483647) % n;
const make = (depth) => depth === 0
    ? { id: dice(1e6), text: 'é'.repeat(dice(60)) + dice(1e9) }
    : { list: Array.from({ length: 2 + dice(4) }, () => make(depth - 1)), name: 'n' + dice(1e6) };
let sum = 0;
for (let round = 0; round < 60; round++) {
    const text = JSON.stringify(Array.from({ length: 20 }, () => make(4)));
    const again = JSON.stringify(JSON.parse(text));
    if (again !== text) throw new Error('JSON changed in round ' + round);
    sum += text.length;
    const block = Buffer.alloc(300000 + dice(3000000), round);
    sum += block[dice(block.length)] + Buffer.from(text).toString('base64').length;
}
console.log('bytes', sum);
const jobs = Array.from({ length: 24 }, (_, n) => {
    const body = Buffer.from(JSON.stringify(make(6)).repeat(1 + (n % 3)));
    return new Promise((done, fail) => zlib.deflate(body, (error, packed) => {
        if (error) return fail(error);
        zlib.inflate(packed, (bad, plain) => bad ? fail(bad)
            : done(crypto.createHash('sha256').update(plain).digest('hex') + ' ' + plain.equals(body)));
    }));
});
const keys = Array.from({ length: 8 }, (_, n) => new Promise((done, fail) =>
    crypto.pbkdf2('secret' + n, 'salt', 2000, 64, 'sha512', (e, k) => e ? fail(e) : done(k.toString('hex')))));
Promise.all([...jobs, ...keys]).then((lines) => { console.log(lines.join('\n')); process.exitCode = 11; });
