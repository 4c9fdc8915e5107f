/** Blobs as an application uses them. */

import { expect, test } from 'vitest'
import type { Connection } from '../../src/database/connection.ts'
import { Database } from '../../src/database/database.ts'
import { PersistentBlob } from '../../src/database/persistent-blob.ts'
import { references } from '../../src/database/record-decoder.ts'
import { resolveConflict } from '../../src/database/resolve-conflict.ts'
import memory from '../../src/storages/memory.ts'
import { openStorage } from '../../src/storages/open.ts'
import { TestStorage } from './test-storage.ts'

const open = () => openStorage(memory, { history: false }, { resolveConflict })

/** Content that comes in chunks of three bytes. */
function source(text: string) {
  return async function* () {
    for (let at = 0; at < text.length; at += 3) yield new TextEncoder().encode(text.slice(at, at + 3))
  }
}

async function blobOf(connection: Connection, key = 'blob'): Promise<PersistentBlob> {
  const blob = (await connection.root).get(key)
  if (!(blob instanceof PersistentBlob)) throw new Error('no blob')
  return await connection.activate(blob)
}

async function textOf(blob: PersistentBlob): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of blob.chunks()) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

async function withBlob(text = 'hello, blob'): Promise<Database> {
  const database = new Database(await open())
  await database.transact(async (connection) => {
    ;(await connection.root).set('blob', new PersistentBlob(source(text)))
  })
  return database
}

test('a blob is committed with what refers to it, and read in another transaction', async () => {
  const database = await withBlob()
  await database.transact(async (connection) => {
    const blob = await blobOf(connection)
    expect(await textOf(blob)).toBe('hello, blob')
    const reader = await blob.open()
    expect([reader.bytes, Buffer.from(await reader.read(7, 100)).toString()]).toEqual([11, 'blob'])
    await reader.close()
  })
})

test('a blob without content is empty', async () => {
  const database = await withBlob('')
  await database.transact(async (connection) => {
    ;(await connection.root).set('other', new PersistentBlob())
  })
  const lengths = await database.transact(async (connection) => [
    (await textOf(await blobOf(connection))).length,
    (await textOf(await blobOf(connection, 'other'))).length,
  ])
  expect(lengths).toEqual([0, 0])
})

test('content that is not committed yet cannot be read; after an abort the old one can', async () => {
  const database = await withBlob('old')
  const connection = await database.openConnection()
  await connection.begin()
  const blob = await blobOf(connection)
  blob.replace(source('new'))
  await expect(blob.open()).rejects.toMatchObject({ code: 'transaction-state' })
  await connection.abort()
  await connection.begin()
  expect(() => blob.replace(source('newer'))).toThrow('not loaded')
  expect(await textOf(await connection.activate(blob))).toBe('old')
  blob.replace(source('newest'))
  await connection.commit()
  await connection.begin()
  expect(await textOf(blob)).toBe('newest')
  await connection.close()
})

test('a reader goes on after its transaction, and ends with its connection', async () => {
  const database = await withBlob('old')
  const connection = await database.openConnection()
  await connection.begin()
  const reader = await (await blobOf(connection)).open()
  await connection.abort()
  await database.transact(async (other) => (await blobOf(other)).replace(source('new')))
  expect(Buffer.from(await reader.read(0, 9)).toString()).toBe('old')
  await connection.close()
  expect(() => reader.read(0, 9)).toThrow(expect.objectContaining({ code: 'closed' }))
})

test('a transaction that is repeated opens the content again from the start', async () => {
  const database = await withBlob('first')
  let opened = 0
  let attempts = 0
  await database.transact(async (connection) => {
    const blob = await blobOf(connection)
    if (++attempts < 3) {
      await database.transact(async (other) => (await blobOf(other)).replace(source(`rival ${attempts}`)))
    }
    blob.replace(() => {
      opened++
      return source('mine at last')()
    })
  })
  expect([attempts, opened]).toEqual([3, 3])
  expect(await database.transact(async (connection) => textOf(await blobOf(connection)))).toBe('mine at last')
})

test('a new blob whose commit failed can be committed again', async () => {
  const database = await withBlob('x')
  const blob = new PersistentBlob(source('content'))
  let attempts = 0
  await database.transact(async (connection) => {
    const root = await connection.root
    if (++attempts === 1) await database.transact(async (other) => (await other.root).set('rival', 1))
    root.set('again', blob)
  })
  expect(attempts).toBe(2)
  expect(await database.transact(async (connection) => textOf(await blobOf(connection, 'again')))).toBe(
    'content',
  )
})

test('what the source throws fails the commit', async () => {
  const database = await withBlob('kept')
  async function* failing() {
    yield new Uint8Array(5)
    throw new Error('the upload broke off')
  }
  const failed = database.transact(async (connection) => (await blobOf(connection)).replace(failing))
  await expect(failed).rejects.toThrow('the upload broke off')
  expect(await database.transact(async (connection) => textOf(await blobOf(connection)))).toBe('kept')
})

test('packing keeps blobs that are referred to, and collects the others', async () => {
  const storage = await open()
  const database = new Database(storage)
  for (const key of ['kept', 'dropped']) {
    await database.transact(async (connection) => {
      ;(await connection.root).set(key, new PersistentBlob(source(key)))
    })
  }
  await database.transact(async (connection) => (await connection.root).delete('dropped'))
  const result = await storage.pack!({ before: storage.lastTid, references })
  expect(result.removedObjects).toBe(1)
  expect(await database.transact(async (connection) => textOf(await blobOf(connection, 'kept')))).toBe('kept')
})

test('a storage that keeps no blobs refuses them with a reason', async () => {
  const database = new Database(new TestStorage())
  const committed = database.transact(async (connection) => {
    ;(await connection.root).set('blob', new PersistentBlob())
  })
  await expect(committed).rejects.toMatchObject({ code: 'blobs-not-kept' })
})

test('a blob whose opening outlasts the transaction is closed, and the caller hears why', async () => {
  const database = await withBlob()
  const connection = await database.openConnection()
  await connection.begin()
  const blob = await blobOf(connection)
  const opening = blob.open()
  await connection.abort()
  await expect(opening).rejects.toThrow('await every load')
  await connection.close()
})

test('a blob that cannot be closed keeps no connection from being used again, nor another blob from being closed', async () => {
  const storage = await open()
  const newInstance = storage.newInstance.bind(storage)
  const closed: number[] = []
  let opened = 0
  storage.newInstance = async () => {
    const instance = await newInstance()
    const openBlob = instance.openBlob!.bind(instance)
    instance.openBlob = async (oid) => {
      const reader = (await openBlob(oid))!
      const number = opened++
      reader.close = () => {
        closed.push(number)
        if (number === 0) throw new Error('the disk is gone')
      }
      return reader
    }
    return instance
  }
  const database = new Database(storage)
  await database.transact(async (connection) => {
    ;(await connection.root).set('blob', new PersistentBlob(source('text')))
  })
  const connection = await database.openConnection()
  await connection.begin()
  const blob = await blobOf(connection)
  await blob.open()
  await blob.open()
  await expect(connection.close()).rejects.toThrow('the disk is gone')
  expect(closed).toEqual([0, 1])
  expect(await database.openConnection()).toBe(connection)
})
