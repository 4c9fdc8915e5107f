import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import type { Oid } from '../../src/core/ids.ts'
import { GenericObject } from '../../src/database/class-registry.ts'
import { ObjectCache } from '../../src/database/object-cache.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const oid = (number: number) => number as Oid

function loaded(cache: ObjectCache, number: number, bytes = 10): GenericObject {
  const object = new GenericObject('test.Any', number)
  object.oid = oid(number)
  cache.hold(object.oid, object, bytes)
  return object
}

test('ghosts that the application holds keep their identity; others are forgotten', async () => {
  const cache = new ObjectCache({ objects: 10, bytes: 1000 })
  const held: GenericObject[] = []
  for (let number = 0; number < 3000; number++) {
    const object = new GenericObject('test.Any')
    cache.addGhost(oid(number), object)
    if (number % 100 === 0) held.push(object)
  }
  // References stay alive until the current task is over.
  await setImmediate()
  collectGarbage()
  for (let number = 3000; number < 9000; number++) {
    cache.addGhost(oid(number), new GenericObject('test.Any'))
    if (number % 1000 === 0) {
      await setImmediate()
      collectGarbage()
    }
  }
  expect(cache.ghosts).toBeLessThan(6000)
  for (const [index, object] of held.entries()) expect(cache.find(oid(index * 100))).toBe(object)
})

test('what was used since the last look is kept before what was not', () => {
  const cache = new ObjectCache({ objects: 3, bytes: 1000 })
  const objects = [0, 1, 2].map((number) => loaded(cache, number))
  for (const object of objects) object.recentlyUsed = false
  objects[0]!.recentlyUsed = true
  loaded(cache, 3)
  cache.collect()
  expect(objects.map((object) => object.status)).toStrictEqual(['saved', 'ghost', 'saved'])
})

test('the bytes follow objects that grow, shrink and go', () => {
  const cache = new ObjectCache({ objects: 10, bytes: 100 })
  const object = loaded(cache, 1, 40)
  cache.hold(oid(1), object, 70)
  expect(cache.bytes).toBe(70)
  cache.hold(oid(1), object, 20)
  loaded(cache, 2, 90)
  expect(cache.bytes).toBe(110)
  cache.collect()
  expect(cache.bytes).toBeLessThanOrEqual(100)
  cache.makeAllGhosts()
  expect([cache.bytes, cache.size]).toStrictEqual([0, 0])
})

test('limits smaller than what has been changed are exceeded rather than anything lost', () => {
  const cache = new ObjectCache({ objects: 1, bytes: 1 })
  const objects = [1, 2, 3].map((number) => loaded(cache, number))
  for (const object of objects) object.status = 'changed'
  cache.collect()
  expect(objects.map((object) => object.getState())).toStrictEqual([1, 2, 3])
})

test('what comes and goes again and again is not kept until a full collection', async () => {
  const cache = new ObjectCache({ objects: 10_000, bytes: 1e9 })
  const objects = Array.from({ length: 2000 }, (_, number) => loaded(cache, number))
  const collectYoung = runInNewContext('gc') as (options: { type: 'minor' }) => void
  const pass = async () => {
    cache.makeAllGhosts()
    for (const [number, object] of objects.entries()) cache.hold(oid(number), object, 10)
    // Twice: the first collection only moves what is young.
    for (let times = 0; times < 2; times++) collectYoung({ type: 'minor' })
    await setImmediate()
  }
  for (let times = 0; times < 5; times++) await pass()
  const before = process.memoryUsage().heapUsed
  for (let times = 0; times < 20; times++) await pass()
  // New tables in each pass would be 200 KB each time, and none of them could be collected.
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(1e6)
  collectGarbage()
})
