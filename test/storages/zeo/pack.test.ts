/** Packing through a client: the function that finds references is the client's, and the pack is the server's. */

import { afterEach, beforeEach, expect, test } from 'vitest'
import { noTid, type Oid, rootOid } from '../../../src/core/ids.ts'
import type { ClientInstance } from '../../../src/storages/zeo/client-instance.ts'
import type { ClientStorage } from '../../../src/storages/zeo/client-storage.ts'
import { bytes, oid, read, Served, serialOf, text, write } from './harness.ts'

let served: Served
let client: ClientStorage
let instance: ClientInstance

/** `name>3,7` refers to objects 3 and 7. */
const references = (data: Uint8Array): Oid[] => (text(data).split('>')[1] ?? '').split(',').flatMap(toOids)
const toOids = (target: string) => (target === '' ? [] : [oid(Number(target))])

beforeEach(async () => {
  served = await Served.start()
  client = await served.client()
  instance = client.newInstance()
  await instance.pollInvalidations()
  const transaction = instance.begin()
  transaction.store(rootOid, noTid, bytes('root>1'))
  for (let id = 1; id <= 600; id++) transaction.store(oid(id), noTid, bytes(`${id}>${id + 1}`))
  for (let id = 1001; id <= 1010; id++) transaction.store(oid(id), noTid, bytes('garbage>'))
  await transaction.commit()
  instance.afterCompletion()
})

afterEach(() => served.stop())

const pack = (given: object) => client.pack!({ before: client.lastTid, references, ...given })

test('what can be reached stays, the rest goes, and progress is told', async () => {
  const fractions: number[] = []
  const { removedObjects } = await pack({ onProgress: (fraction: number) => fractions.push(fraction) })
  expect(removedObjects).toBe(10)
  expect(await read(instance, oid(600))).toBe('600>601')
  expect(await read(instance, oid(1001))).toBe(undefined)
  expect(fractions.at(-1)).toBe(1)
  expect(fractions).toEqual([...fractions].sort((a, b) => a - b))
})

test('what is committed while the client is asked stays, with what it refers to', async () => {
  const other = (await served.client()).newInstance()
  let writing: Promise<unknown> | undefined
  await pack({
    references(data: Uint8Array) {
      // Object 600 refers to garbage from now on; and the pack has probably seen it, or will at any moment.
      writing ??= write(other, oid(600), '600>1001')
      return references(data)
    },
  })
  await writing
  expect(await read(instance, oid(600))).toBe('600>1001')
  await pack({})
  expect(await read(instance, oid(1001))).toBe('garbage>')
})

test('a pack that is called off stops with the reason, and the next one works', async () => {
  const stop = new AbortController()
  const stopping = (data: Uint8Array) => {
    stop.abort(new Error('enough'))
    return references(data)
  }
  await expect(pack({ references: stopping, signal: stop.signal })).rejects.toThrow('enough')
  expect(await read(instance, oid(1001))).toBe('garbage>')
  instance.afterCompletion()
  expect((await pack({})).removedObjects).toBe(10)
})

test('a time limit stops a pack whose client does not get on', async () => {
  const slow = (data: Uint8Array) => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
    return references(data)
  }
  await expect(pack({ references: slow, signal: AbortSignal.timeout(20) })).rejects.toMatchObject({
    name: 'TimeoutError',
  })
  expect(await read(instance, oid(1001))).toBe('garbage>')
})

test('an error of the function is the error of the pack, and nothing goes', async () => {
  const broken = (data: Uint8Array) => {
    if (text(data).startsWith('300>')) throw new Error('cannot read 300')
    return references(data)
  }
  await expect(pack({ references: broken })).rejects.toThrow('cannot read 300')
  expect(await read(instance, oid(1001))).toBe('garbage>')
})

test('a pack ends with its connection, and holds nothing up', async () => {
  const losing = (data: Uint8Array) => {
    served.cut()
    return references(data)
  }
  await expect(pack({ references: losing })).rejects.toMatchObject({ code: 'disconnected' })
  expect(await read(instance, oid(1001))).toBe('garbage>')
  const transaction = instance.begin()
  transaction.store(oid(1001), await serialOf(instance, oid(1001)), bytes('still here>'))
  await transaction.commit()
  instance.afterCompletion()
  expect((await pack({})).removedObjects).toBe(10)
})
