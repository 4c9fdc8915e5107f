/**
 * How fast the simulator is, per policy, over a Zipf-like trace of a million requests.
 *
 *     node bench/cache/simulator.mjs [--rounds 5]
 */

const dist = process.env['SHOOTOUT_DIST'] ?? new URL('../../dist/', import.meta.url).href
const { simulate } = await import(`${dist}storages/cache/simulate.js`)
const { TraceBuilder } = await import(`${dist}storages/cache/trace.js`)
const { policyNamed, policyNames } = await import(`${dist}storages/cache/policies/index.js`)

const rounds = process.argv.includes('--rounds')
  ? Number(process.argv[process.argv.indexOf('--rounds') + 1])
  : 5
const requests = 1_000_000
const builder = new TraceBuilder()
let state = 1
for (let request = 0; request < requests; request++) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  // Popularity falls like a power of the rank.
  builder.add('load', Math.floor(100_000 ** (state / 2 ** 32)), 0, 100)
}
const trace = builder.build()
console.log('policy     M requests/s (best)   miss ratio, 10 000 entries')
for (const name of policyNames) {
  let best = 0
  let missRatio = 0
  for (let round = 0; round < rounds; round++) {
    const start = performance.now()
    missRatio = simulate(trace, policyNamed(name), 10_000, { unit: 'entries' }).missRatio
    best = Math.max(best, requests / (performance.now() - start) / 1000)
  }
  console.log(`${name.padEnd(10)}${best.toFixed(1).padStart(20)}${missRatio.toFixed(4).padStart(13)}`)
}
