/**
 * Commits of 1, 20 and 100 objects, new ones and changed ones, against a transaction written by hand: begin, one
 * statement for all rows, commit. `node bench/sql/commit.js [sqlite|postgres|mysql …]`
 *
 * What is timed is the commit alone, as a connection does it: from `begin` to the end of `commit`, or of `finish` where the
 * storage takes two steps. Polls and loads come before.
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
    for (const oid of chosen) {
      const stored = transaction.store(oid, serials.get(oid) ?? noTid, data)
      // As the object layer does: what is not a promise is not waited for.
      if (stored instanceof Promise) await stored
    }
    const committed = await (transaction.commit?.() ?? voteAndFinish(transaction))
    for (const oid of chosen) serials.set(oid, typeof committed === 'number' ? committed : committed.tid)
  }

  /** @param {import('../../src/storages/storage.ts').Transaction} transaction */
  async function voteAndFinish(transaction) {
    return await (await transaction.vote()).finish()
  }

  // Once without a word: what all of them share is compiled and cached then, here and in the server.
  await measure(20, false)
  for (const count of [1, 20, 100]) await measure(count, true)

  /**
   * @param {number} count
   * @param {boolean} isReported
   */
  async function measure(count, isReported) {
    const operations = count === 100 ? 15 : 40
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
    const say = isReported ? reportRatio : () => {}
    say(
      `add ${count}`,
      await inTurns(
        { operations, processIds },
        {
          floor: {
            run: () => {
              newest += count
              return floor.insert(numbers(newest - count), ++tid, data)
            },
          },
          ours: { before, run: () => commit(fresh.splice(0, count)) },
        },
      ),
      { factor: 1.5 },
    )
    say(
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
    if (!isReported) return
    await before()
    const counted = storage.counters()
    await commit(fresh.splice(0, count))
    const { roundTrips, statements } = storage.counters()
    const [trips, done] = [roundTrips - counted.roundTrips, statements - counted.statements]
    report(`round trips of a commit of ${count}`, `${trips} (${done} statements)`, '1', trips <= 1)
  }
  await instance.afterCompletion()
  await instance.release()
})
