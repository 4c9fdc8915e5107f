/**
 * Commits of 1, 20 and 100 objects, new ones and changed ones, against a transaction written by hand: begin, one
 * statement for all rows, commit. `node bench/sql/commit.js [sqlite|postgres|mysql …]`
 *
 * What is timed is the commit alone: from `begin` to the end of `finish`. Polls and loads come before.
 */

import { rowCount } from './bare.js'
import { data, fill, inEach, inTurns, noTid, report, reportRatio } from './support.js'

/**
 * @typedef {import('./support.js').Oid} Oid
 * @typedef {import('./support.js').Tid} Tid
 */

await inEach(async ({ processIds, storage, floor }) => {
  const instance = await storage.newInstance()
  const oids = await fill(instance, rowCount)
  /** @type {Map<Oid, Tid>} */
  const serials = new Map()
  for (const [index, revision] of (await poll(() => instance.loadMany(oids))).entries()) {
    serials.set(/** @type {Oid} */ (oids[index]), revision.serial)
  }
  let tid = Date.now() * 1000
  let newest = rowCount

  /** @param {() => any} work */
  async function poll(work) {
    await instance.pollInvalidations()
    return await work()
  }

  /** @param {readonly Oid[]} chosen */
  async function commit(chosen) {
    const transaction = instance.begin()
    for (const oid of chosen) await transaction.store(oid, serials.get(oid) ?? noTid, data)
    const committed = await (await transaction.vote()).finish()
    for (const oid of chosen) serials.set(oid, committed)
  }

  for (const count of [1, 20, 100]) {
    const operations = count === 100 ? 10 : 25
    /** @type {Oid[]} */
    let fresh = []
    const before = async () => {
      await instance.afterCompletion()
      await instance.pollInvalidations()
      fresh = [...(await instance.newOids(count * operations))]
    }
    /** A window that moves through all objects. */
    let at = 0
    const next = () => {
      at = at + count > rowCount ? 0 : at
      at += count
      return at - count
    }
    const numbers = (/** @type {number} */ first) =>
      Array.from({ length: count }, (_, index) => first + index)
    reportRatio(
      `add ${count}`,
      await inTurns(
        { operations, processIds },
        {
          floor: {
            run: () => {
              newest += count
              return floor.insert(numbers(newest), ++tid, data)
            },
          },
          ours: { before, run: () => commit(fresh.splice(0, count)) },
        },
      ),
      { factor: 1.5 },
    )
    reportRatio(
      `update ${count}`,
      await inTurns(
        { operations, processIds },
        {
          floor: { run: () => floor.update(numbers(next()), ++tid, data) },
          ours: {
            before,
            run: () => {
              const first = next()
              return commit(oids.slice(first, first + count))
            },
          },
        },
      ),
      { factor: 1.5 },
    )
    await before()
    const counted = storage.counters()
    await commit(fresh.splice(0, count))
    const { roundTrips, statements } = storage.counters()
    const [trips, done] = [roundTrips - counted.roundTrips, statements - counted.statements]
    report(`round trips of a commit of ${count}`, `${trips} (${done} statements)`, '2', trips <= 2)
  }
  await instance.afterCompletion()
  await instance.release()
})
