/**
 * How well a run was measured, from its results file: start skew of workers, and the spread of forks of the same cell.
 *
 *   npx shootout run --storage sqlite --scenario cached-read --objects 20 \
 *     --concurrency threads:4,processes:4 --forks 6 --out /tmp/skew.jsonl
 *   node bench/harness/figures.mjs /tmp/skew.jsonl
 */

import { median, quantile, robustSigmaOfLog } from '../../dist/analysis/stats/quantiles.js'
import { formatDuration } from '../../dist/core/units.js'
import { readResults } from '../../dist/results/reader.js'
import { cellKey, timePerOperation } from '../../dist/runner/resume.js'

const { forks } = readResults(process.argv[2] ?? '')
const completed = forks.filter((fork) => fork.status === 'completed')

/** @type {Map<string, number[]>} */
const skews = new Map()
for (const { concurrency, batches } of completed) {
  if (concurrency.workers === 1) continue
  const key = `${concurrency.kind}:${concurrency.workers}`
  skews.set(key, [...(skews.get(key) ?? []), ...batches.map(({ skewNs }) => skewNs)])
}
console.log('start skew of the workers of a batch')
for (const [key, values] of skews) {
  const shown = [0.5, 0.95, 1].map((share) => formatDuration(quantile(values, share)))
  console.log(`  ${key}: p50 ${shown[0]}, p95 ${shown[1]}, max ${shown[2]} (${values.length} batches)`)
}

/** @type {Map<string, number[]>} */
const times = new Map()
for (const fork of completed) {
  times.set(cellKey(fork), [...(times.get(cellKey(fork)) ?? []), timePerOperation(fork)])
}
/** @type {Map<string, number[]>} */
const spreads = new Map()
for (const [key, values] of times) {
  if (values.length < 6) continue
  const contender = key.slice(0, key.indexOf('/'))
  spreads.set(contender, [...(spreads.get(contender) ?? []), robustSigmaOfLog(values)])
}
console.log('spread of forks: robust sigma of the log of the time per operation, median over cells')
for (const [contender, values] of spreads) {
  console.log(`  ${contender}: ${median(values).toFixed(3)} (${values.length} cells)`)
}
