import { expect, test } from 'vitest'
import { CorruptDataError } from '../../src/core/errors.ts'
import { ClassRegistry } from '../../src/database/class-registry.ts'
import type { PersistentClass } from '../../src/database/persistent.ts'
import { PersistentCounter } from '../../src/database/persistent-counter.ts'
import { type MapKey, PersistentMap } from '../../src/database/persistent-map.ts'
import { PersistentSet } from '../../src/database/persistent-set.ts'

test('a map keeps order, and tells 1 from "1"', () => {
  const map = new PersistentMap<string>([['b', 'first']])
  map.set(1, 'number').set('1', 'string').set('b', 'again')
  expect([...map.entries()]).toStrictEqual([
    ['b', 'again'],
    [1, 'number'],
    ['1', 'string'],
  ])
  expect(map.delete(1)).toBe(true)
  expect(map.delete(1)).toBe(false)
  expect([...map.keys()]).toStrictEqual(['b', '1'])
  expect([map.size, map.has('b'), map.get('nothing')]).toStrictEqual([2, true, undefined])
  const copy = new PersistentMap()
  copy.setState(map.getState())
  expect([...copy.entries()]).toStrictEqual([...map.entries()])
})

test('maps and sets refuse keys that a record could not give back', () => {
  for (const key of [1.5, Number.NaN, 2 ** 53, undefined, null, {}]) {
    expect(() => new PersistentMap().set(key as MapKey, 1)).toThrow(TypeError)
    expect(() => new PersistentSet().add(key as MapKey)).toThrow(TypeError)
    expect(() => new PersistentMap([[key as MapKey, 1]])).toThrow(TypeError)
    expect(() => new PersistentSet([key as MapKey])).toThrow(TypeError)
  }
})

test('a map or set that is taken apart by hand is checked when it is read', () => {
  for (const state of [null, 5, ['a'], [1.5, 'x'], ['a', 1, 'a', 2]]) {
    expect(() => new PersistentMap().setState(state)).toThrow(CorruptDataError)
  }
  for (const state of [null, [1.5], ['a', 'a']]) {
    expect(() => new PersistentSet().setState(state)).toThrow(CorruptDataError)
  }
  expect(() => new PersistentCounter().setState('5')).toThrow(CorruptDataError)
})

test('a ghost of a collection is not an empty collection', () => {
  const [map, set] = [new PersistentMap(), new PersistentSet()]
  map.dropState()
  set.dropState()
  const refused = expect.objectContaining({ code: 'object-not-loaded' })
  expect(() => map.size).toThrow(refused)
  expect(() => map.set('a', 1)).toThrow(refused)
  expect(() => set.has('a')).toThrow(refused)
})

test('a class needs a name that fits a record, and no two classes may have the same', () => {
  const named = (className: unknown) => Object.assign(class extends PersistentCounter {}, { className })
  const registry = new ClassRegistry([PersistentCounter])
  registry.register(PersistentCounter)
  for (const name of [undefined, '', 'with blank', 'ä', 'x'.repeat(201), PersistentCounter.className]) {
    expect(() => registry.register(named(name) as PersistentClass), String(name)).toThrow(
      expect.objectContaining({ code: 'class-name' }),
    )
  }
})
