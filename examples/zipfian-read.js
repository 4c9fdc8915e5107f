/**
 * A scenario in one file: reading with a skew, as most applications do. Run it with
 *
 *   npx shootout run --scenario ./examples/zipfian-read.js
 *
 * Each operation is one transaction that reads N objects, chosen by Zipf's law: the second most wanted object is read
 * half as often as the first, the tenth a tenth as often. The connection's object cache holds a tenth of the objects, so
 * what is measured is how well caches, the connection's and the storage's, catch the rest.
 */

import {
  defineScenario,
  fillDataset,
  ItemSet,
  indexOf,
  itemSetPlan,
  mustBeAtLeast,
  mustBeAtMost,
  mustEqual,
} from 'shootout/scenario'

/** Exponent of the law. 0.99 is what YCSB, the common benchmark of key-value stores, uses. */
const exponent = 0.99

/** Share of the objects that the connection keeps. */
const cachedShare = 0.1

/** @param {import('shootout/scenario').ScenarioParameters} parameters */
const planFor = (parameters) => itemSetPlan('zipfian-read', parameters)

export default defineScenario({
  name: 'zipfian-read',
  summary:
    'transactions that read N objects chosen by Zipf’s law, a tenth of the objects cached in the connection',
  title: ({ objectsPerTransaction: n }) => `read ${n} ${n === 1 ? 'object' : 'objects'} by Zipf’s law`,
  description:
    'Timed: begin, read N objects, commit. Not timed: choosing them. Proven by the identity of each object read, and by ' +
    'the loads: some, and no more than objects were read. Sensitive to: the caches of connection and storage.',
  requires: {},

  // Worker 0 fills the fresh store, once.
  populate: (context) => fillDataset(context, planFor(context.parameters)),

  // Every worker opens what it needs. What is returned here comes back as `state` below.
  async prepare(context) {
    const set = await ItemSet.open(context, planFor(context.parameters))
    const objects = Math.ceil(set.items.length * cachedShare)
    set.connection.limitCache({ objects, bytes: Number.MAX_SAFE_INTEGER })
    return { set, cumulative: zipf(set.items.length), random: context.random.split('zipf') }
  },

  // One batch. Everything outside `context.time` is free, so the choices are made before.
  async run(context, { set, cumulative, random }) {
    const { connection, items, indexes, objectsPerTransaction: each } = set
    const chosen = Uint32Array.from({ length: context.operations * each }, () =>
      draw(cumulative, random.float()),
    )

    await context.time(context.operations, async (operation) => {
      await connection.begin()
      for (let at = operation * each; at < (operation + 1) * each; at++) {
        const place = chosen[at] ?? 0
        const item = await connection.activate(/** @type {NonNullable<(typeof items)[0]>} */ (items[place]))
        // Cheap enough to be on the clock, and no storage gets away with another object.
        mustEqual('object read', indexOf(item.state), indexes[place] ?? -1)
      }
      await connection.commit()
    })
  },

  // In the coordinator, with the sums over all workers: do the counters prove the claim?
  audit({ parameters, operations, transfers }) {
    mustBeAtLeast('objects loaded', transfers.loads, 1)
    mustBeAtMost('objects loaded', transfers.loads, operations * parameters.objectsPerTransaction)
    mustEqual('objects stored', transfers.stores, 0)
  },

  dispose: (_context, { set }) => set.close(),
})

/** For each rank, the share of all accesses that goes to it and to those before it. @param {number} count */
function zipf(count) {
  const cumulative = new Float64Array(count)
  let sum = 0
  for (let rank = 0; rank < count; rank++) {
    sum += 1 / (rank + 1) ** exponent
    cumulative[rank] = sum
  }
  return cumulative.map((one) => one / sum)
}

/**
 * The rank that `at`, uniform between 0 and 1, falls to.
 * @param {Float64Array} cumulative @param {number} at
 */
function draw(cumulative, at) {
  let low = 0
  let high = cumulative.length - 1
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((cumulative[middle] ?? 1) <= at) low = middle + 1
    else high = middle
  }
  return low
}
