# SPDX-License-Identifier: BSL-1.0
# shellcheck shell=bash disable=SC2034,SC2154,SC2016,SC2164
#
# node: buffers, JSON, compression in its pool of threads, workers.
packages='nodejs'
processes='node'

work() {
  rounds=${quick:+5} node -e '
    const crypto = require("crypto"), zlib = require("zlib"), { Worker } = require("worker_threads");
    const sum = data => crypto.createHash("sha256").update(data).digest("hex");
    const rounds = Number(process.env.rounds || 60);
    (async () => {
      let digest = "";
      for (let round = 0; round < rounds; ++round) {
        const rows = Array.from({ length: 5000 }, (_, i) => ({ i, text: sum(`${round} ${i}`).repeat(i % 5) }));
        const text = Buffer.from(JSON.stringify(JSON.parse(JSON.stringify(rows))));
        const packed = await Promise.all([1, 2, 3, 4].map(() => new Promise((ok, no) =>
          zlib.gzip(text, (e, b) => e ? no(e) : zlib.gunzip(b, (f, c) => f ? no(f) : ok(c))))));
        digest = sum(digest + packed.map(sum).join());
      }
      const from = await Promise.all([1, 2, 3].map(n => new Promise((ok, no) => {
        const w = new Worker(`let s = 0; const all = [];
          for (let i = 0; i < 200000; ++i) { all.push(Buffer.alloc(100 + i % 50, ${n})); s += all[i >> 1][0]; }
          require("worker_threads").parentPort.postMessage(s)`, { eval: true });
        w.on("message", ok); w.on("error", no);
      })));
      console.log(digest, from.join());
    })();'
}
