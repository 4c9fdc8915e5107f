import fc from 'fast-check'
import { expect, test } from 'vitest'
import { hashOid } from '../../../src/storages/cache/shard.ts'
import { bucketWords } from '../../../src/storages/cache/shard-layout.ts'
import { SlotTable } from '../../../src/storages/cache/slot-table.ts'

const start = 2 * bucketWords

/** A table of so many buckets, and what must be in it: the object id of each node. */
class Model {
  readonly words: Int32Array
  readonly table: SlotTable
  readonly oids = new Map<number, number>()
  /** Entries that had to go for another. */
  obstacles = 0
  readonly #free: number[] = []

  constructor(buckets: number) {
    this.words = new Int32Array(start + buckets * bucketWords)
    this.table = new SlotTable(this.words, start, buckets)
  }

  add(oid: number): void {
    const obstacle = this.table.obstacle(hashOid(oid))
    if (obstacle !== 0) {
      this.obstacles++
      this.drop(obstacle)
    }
    const node = this.#free.pop() ?? this.oids.size + 1
    this.table.enter(hashOid(oid), node)
    this.oids.set(node, oid)
  }

  drop(node: number): void {
    this.table.leave(hashOid(this.oids.get(node)!), node)
    this.oids.delete(node)
    this.#free.push(node)
  }

  candidates(oid: number): number[] {
    const { table } = this
    const found: number[] = []
    for (let at = table.first(hashOid(oid)); at !== 0; at = table.next(at, hashOid(oid)))
      found.push(table.nodeAt(at))
    return found
  }

  check(): void {
    for (const [node, oid] of this.oids)
      expect(this.candidates(oid).filter((one) => one === node)).toEqual([node])
  }
}

test('every entry is found, once, whatever comes and goes, and nothing is left of those that went', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.array(
        fc.record({ oid: fc.nat(60), goes: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }) }),
        {
          maxLength: 300,
        },
      ),
      (buckets, steps) => {
        const model = new Model(buckets)
        for (const { oid, goes } of steps) {
          while (model.oids.size >= model.table.entriesMax) {
            model.drop([...model.oids.keys()][Math.floor(goes * model.oids.size)]!)
          }
          model.add(oid)
        }
        model.check()
        for (const node of [...model.oids.keys()]) model.drop(node)
        expect(model.words.every((word) => word === 0)).toBe(true)
      },
    ),
    { numRuns: 300 },
  )
})

test('a full table stays as quick as it was, however long entries come and go', () => {
  const model = new Model(200)
  const entries = model.table.entriesMax
  for (let oid = 0; oid < 20 * entries; oid++) {
    if (model.oids.size >= entries) model.drop(model.oids.keys().next().value!)
    model.add(oid)
  }
  // No more candidates than tags meet by chance in thirty slots, and hardly an entry that had to go before its time.
  let candidates = 0
  for (const oid of model.oids.values()) candidates += model.candidates(oid).length
  expect(candidates / model.oids.size).toBeLessThan(1.2)
  expect(model.obstacles / (20 * entries)).toBeLessThan(0.03)
  model.check()
})
