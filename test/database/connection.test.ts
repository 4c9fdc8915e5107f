import { describe, expect, test } from 'vitest'
import {
  ConflictError,
  CorruptDataError,
  DisconnectedError,
  ObjectNotFoundError,
  ReadConflictError,
} from '../../src/core/errors.ts'
import { type Oid, rootOid } from '../../src/core/ids.ts'
import { ClassRegistry, GenericObject } from '../../src/database/class-registry.ts'
import type { Connection } from '../../src/database/connection.ts'
import { Database } from '../../src/database/database.ts'
import { PersistentObject, type Value } from '../../src/database/persistent.ts'
import { PersistentCounter } from '../../src/database/persistent-counter.ts'
import { PersistentMap } from '../../src/database/persistent-map.ts'
import { encodeRecord } from '../../src/database/record-encoder.ts'
import { resolveConflict } from '../../src/database/resolve-conflict.ts'
import { registerClass } from '../../src/database/standard-classes.ts'
import { TestStorage } from './test-storage.ts'

class Note extends PersistentObject<string> {
  static readonly className = 'test.Note'
  protected override checkState(state: Value): string {
    if (typeof state !== 'string') throw new CorruptDataError('a note is not a string')
    return state
  }
}
registerClass(Note)

async function begun(database: Database): Promise<Connection> {
  const connection = await database.openConnection()
  await connection.begin()
  return connection
}

/** A store with `root.note = "first"`. */
async function withNote(storage = new TestStorage()): Promise<Database> {
  const database = new Database(storage)
  await database.transact(async (connection) => {
    ;(await connection.root).set('note', new Note('first'))
  })
  storage.calls.length = 0
  return database
}

async function noteOf(connection: Connection): Promise<Note> {
  const note = (await connection.root).get('note')
  if (!(note instanceof Note)) throw new Error('no note')
  return connection.activate(note)
}

describe.each([
  ['that answers at once', false],
  ['that makes one wait', true],
])('on a storage %s', (_name, waits) => {
  const storageOf = () => new TestStorage({ waits, resolveConflict })

  test('what one connection commits, the next transaction of another sees', async () => {
    const database = await withNote(storageOf())
    const [a, b] = [await begun(database), await begun(database)]
    expect((await noteOf(b)).state).toBe('first')
    ;(await noteOf(a)).state = 'second'
    await a.commit()
    expect((await noteOf(b)).state).toBe('first')
    await b.commit()
    await b.begin()
    expect((await noteOf(b)).state).toBe('second')
  })

  test('a commit goes to the storage as begin, stores, readCurrent, vote, finish', async () => {
    const storage = storageOf()
    const database = await withNote(storage)
    const connection = await begun(database)
    const root = await connection.root
    const note = await noteOf(connection)
    connection.readCurrent(root)
    note.state = 'second'
    storage.calls.length = 0
    await connection.commit()
    const oid = note.oid
    expect(storage.calls).toStrictEqual([
      'begin',
      `store ${oid}`,
      'readCurrent 0',
      'vote',
      'finish',
      'afterCompletion',
    ])
  })

  test('new objects that are referred to get their oids from one request, and are stored with the rest', async () => {
    const storage = storageOf()
    const database = await withNote(storage)
    const connection = await begun(database)
    const root = await connection.root
    const inner = new PersistentMap<Value>([['deep', new Note('deep')]])
    inner.set('self', inner)
    storage.calls.length = 0
    root.set('inner', inner)
    const tid = await connection.commit()
    expect(storage.calls.filter((call) => call.startsWith('newOids'))).toStrictEqual(['newOids 2'])
    expect(inner.serial).toBe(tid)
    expect(inner.status).toBe('saved')

    const other = await begun(database)
    const readInner = (await other.root).get('inner') as PersistentMap
    expect(readInner.status).toBe('ghost')
    await other.activate(readInner)
    expect(readInner.get('self')).toBe(readInner)
    expect((await other.activate(readInner.get('deep') as Note)).state).toBe('deep')
  })

  test('a conflict leaves the connection good for abort only, and the next attempt sees the winner', async () => {
    const database = await withNote(storageOf())
    const [a, b] = [await begun(database), await begun(database)]
    const [noteA, noteB] = [await noteOf(a), await noteOf(b)]
    noteA.state = 'of a'
    noteB.state = 'of b'
    await a.commit()
    await expect(b.commit()).rejects.toBeInstanceOf(ConflictError)
    await expect(b.commit()).rejects.toMatchObject({ code: 'transaction-state' })
    expect(() => b.begin()).toThrow(expect.objectContaining({ code: 'transaction-state' }))
    await b.abort()
    await b.begin()
    expect((await b.activate(noteB)).state).toBe('of a')
    noteB.state = 'of b, again'
    await b.commit()
  })

  test('a conflict that the storage resolved makes the object load again', async () => {
    const database = new Database(storageOf())
    await database.transact(async (connection) => {
      ;(await connection.root).set('counter', new PersistentCounter())
    })
    const counterOf = async (connection: Connection) =>
      connection.activate((await connection.root).get('counter') as PersistentCounter)
    const [a, b] = [await begun(database), await begun(database)]
    const [counterA, counterB] = [await counterOf(a), await counterOf(b)]
    counterA.add(2)
    counterB.add(3)
    await a.commit()
    await b.commit()
    await b.begin()
    expect(counterB.status).toBe('ghost')
    expect((await b.activate(counterB)).state).toBe(5)
  })

  test('readCurrent makes the commit fail when the object has changed since', async () => {
    const database = await withNote(storageOf())
    const [a, b] = [await begun(database), await begun(database)]
    const note = await noteOf(a)
    a.readCurrent(note)
    ;(await a.root).set('seen', note.state)
    ;(await noteOf(b)).state = 'second'
    await b.commit()
    await expect(a.commit()).rejects.toBeInstanceOf(ReadConflictError)
    await a.abort()
    await a.begin()
    expect((await a.activate(note)).state).toBe('second')
  })

  test('activateMany loads all ghosts in one request', async () => {
    const storage = storageOf()
    const database = new Database(storage)
    await database.transact(async (connection) => {
      const root = await connection.root
      for (let index = 0; index < 5; index++) root.set(index, new Note(`note ${index}`))
    })
    const database2 = new Database(storage)
    const connection = await begun(database2)
    const notes = [...(await connection.root).values()] as Note[]
    await connection.activate(notes[2]!)
    storage.calls.length = 0
    await connection.activateMany(notes)
    expect(storage.calls).toStrictEqual(['loadMany 4'])
    expect(notes.map((note) => note.state)).toStrictEqual([0, 1, 2, 3, 4].map((index) => `note ${index}`))
    expect(connection.transferCounts()).toStrictEqual({ loads: 6, stores: 0 })
  })

  test('transact repeats the work after a conflict and gives up after the retries asked for', async () => {
    const database = await withNote(storageOf())
    let attempts = 0
    const disturbedWork = (times: number) => async (connection: Connection) => {
      attempts++
      const note = await noteOf(connection)
      if (attempts <= times) {
        await database.transact(async (other) => {
          ;(await noteOf(other)).state = `disturbance ${attempts}`
        })
      }
      note.state = 'done'
      return attempts
    }
    await expect(database.transact(disturbedWork(2), { retries: 2 })).resolves.toBe(3)
    attempts = 0
    await expect(database.transact(disturbedWork(9), { retries: 2 })).rejects.toBeInstanceOf(ConflictError)
    expect(attempts).toBe(3)
    // The set-up, then 3 attempts of which the last succeeds with 2 disturbances, then 3 in vain with 3.
    expect(database.transactionCounts()).toStrictEqual({ committed: 7, attempts: 12, repeated: 2, failed: 5 })
  })
})

test('an object that is loaded is read without asking the storage', async () => {
  const storage = new TestStorage()
  const database = await withNote(storage)
  const connection = await begun(database)
  const note = await noteOf(connection)
  storage.calls.length = 0
  expect(connection.activate(note)).toBe(note)
  expect(note.state).toBe('first')
  expect(storage.calls).toStrictEqual([])
})

test('a storage that answers at once makes nobody wait for a load', async () => {
  const database = await withNote()
  const connection = await begun(database)
  const root = connection.root as PersistentMap
  const note = root.get('note') as Note
  expect(connection.activate(note)).toBe(note)
})

test('reading or changing a ghost is refused by name', async () => {
  const database = await withNote()
  const connection = await begun(database)
  const note = await noteOf(connection)
  connection.minimizeCache()
  expect(() => note.state).toThrow(/object 1 \(test\.Note\) is not loaded/)
  expect(() => {
    note.state = 'x'
  }).toThrow(expect.objectContaining({ code: 'object-not-loaded' }))
  expect(() => connection.readCurrent(note)).toThrow(expect.objectContaining({ code: 'object-not-loaded' }))
})

test('between transactions nothing can be loaded, changed or added', async () => {
  const database = await withNote()
  const connection = await begun(database)
  const note = await noteOf(connection)
  await connection.commit()
  const refused = expect.objectContaining({ code: 'transaction-state' })
  expect(() => connection.get(99 as Oid)).toThrow(refused)
  expect(() => connection.add(new Note('x'))).toThrow(refused)
  expect(() => {
    note.state = 'x'
  }).toThrow(refused)
  expect(note.state).toBe('first')
})

test('an aborted change is gone, and an aborted new object can be added again', async () => {
  const database = await withNote()
  const connection = await begun(database)
  const note = await noteOf(connection)
  const fresh = connection.add(new Note('fresh'))
  note.state = 'never'
  await connection.abort()
  await connection.begin()
  expect((await connection.activate(note)).state).toBe('first')
  connection.add(fresh)
  await connection.commit()
  expect(fresh.oid).toBeGreaterThan(0)
})

test('a commit that fails at vote leaves new objects without oid', async () => {
  const storage = new TestStorage()
  const database = await withNote(storage)
  const [a, b] = [await begun(database), await begun(database)]
  const fresh = a.add(new Note('fresh'))
  ;(await noteOf(a)).state = 'a'
  ;(await noteOf(b)).state = 'b'
  await b.commit()
  await expect(a.commit()).rejects.toBeInstanceOf(ConflictError)
  await a.abort()
  expect(fresh).toMatchObject({ oid: undefined, owner: undefined, status: 'new' })
  expect(storage.calls.at(-2)).toBe('abort')
})

test('an abort that fails too hides neither why the commit failed nor that it may be repeated', async () => {
  const storage = new TestStorage()
  const newInstance = storage.newInstance.bind(storage)
  let isGone = false
  storage.newInstance = async () => {
    const instance = await newInstance()
    const begin = instance.begin.bind(instance)
    instance.begin = (metadata) => {
      const transaction = begin(metadata)
      if (!isGone) return transaction
      transaction.vote = () => Promise.reject(new DisconnectedError('the server is gone'))
      transaction.abort = () => Promise.reject(new Error('the socket is closed'))
      return transaction
    }
    return instance
  }
  const database = await withNote(storage)
  const connection = await begun(database)
  connection.add(new Note('new'))
  isGone = true
  await expect(connection.commit()).rejects.toMatchObject({
    code: 'abort-failed',
    transient: true,
    message: expect.stringMatching(/the server is gone.*the socket is closed/),
    cause: { code: 'disconnected' },
  })
})

test('a commit with nothing to do touches no storage transaction', async () => {
  const storage = new TestStorage()
  const database = await withNote(storage)
  const connection = await begun(database)
  storage.calls.length = 0
  expect(await connection.commit()).toBe(storage.lastTid)
  expect(storage.calls).toStrictEqual(['afterCompletion'])
})

test('objects of one connection are refused by another', async () => {
  const database = await withNote()
  const [a, b] = [await begun(database), await begun(database)]
  const note = await noteOf(a)
  ;(await b.root).set('stolen', note)
  await expect(b.commit()).rejects.toMatchObject({ code: 'foreign-object' })
  await b.abort()
  a.minimizeCache()
  await b.begin()
  expect(() => b.activate(note)).toThrow(expect.objectContaining({ code: 'foreign-object' }))
})

test('a known object keeps its identity through invalidation and loading again', async () => {
  const database = await withNote()
  const [a, b] = [await begun(database), await begun(database)]
  const note = await noteOf(a)
  ;(await noteOf(b)).state = 'second'
  await b.commit()
  await a.commit()
  await a.begin()
  expect(note.status).toBe('ghost')
  expect(await a.get(note.oid!)).toBe(note)
  expect(note.state).toBe('second')
})

test('the object cache keeps to its limits of objects and bytes, and forgets what was not used', async () => {
  const storage = new TestStorage()
  await new Database(storage).transact(async (connection) => {
    const root = await connection.root
    for (let index = 0; index < 20; index++) root.set(index, new Note(`note ${index}`))
  })
  const database = new Database(storage, { cacheObjectsLimit: 8 })
  const connection = await begun(database)
  const notes = [...(await connection.root).values()] as Note[]
  await connection.activateMany(notes)
  expect(connection.cached.objects).toBe(21)
  await connection.commit()
  expect(connection.cached.objects).toBe(8)
  await connection.begin()
  const kept = notes.filter((note) => note.status === 'saved')
  await connection.activate(kept[0]!)
  await connection.activateMany(notes.filter((note) => note.status === 'ghost').slice(0, 3))
  await connection.commit()
  expect(kept[0]!.status).toBe('saved')
  expect(connection.cached.objects).toBe(8)

  // The root alone takes most of it.
  const bytes = new Database(storage, { cacheBytesLimit: 400 })
  const narrow = await begun(bytes)
  await narrow.activateMany([...(await narrow.root).values()] as Note[])
  await narrow.commit()
  expect(narrow.cached.bytes).toBeLessThanOrEqual(400)
  expect(narrow.cached.bytes).toBeGreaterThan(0)
})

test('changed objects stay, whatever the limits', async () => {
  const database = await withNote()
  const connection = await begun(database)
  const note = await noteOf(connection)
  note.state = 'changed'
  connection.minimizeCache()
  connection.collectCache()
  expect(note.state).toBe('changed')
  await connection.commit()
  expect(note.state).toBe('changed')
})

test('a class that nobody knows is read, shown and written back byte for byte', async () => {
  const storage = new TestStorage()
  const database = await withNote(storage)
  const before = storage.currentOf(1 as Oid)!.data
  const stranger = new Database(storage, { classes: new ClassRegistry([PersistentMap]) })
  await stranger.transact(async (connection) => {
    const note = await connection.get(1 as Oid)
    expect(note).toBeInstanceOf(GenericObject)
    expect((note as GenericObject).state).toBe('first')
    ;(note as GenericObject).state = 'first'
  })
  expect(storage.revisions.get(1 as Oid)).toHaveLength(2)
  expect(storage.currentOf(1 as Oid)!.data).toStrictEqual(before)
  await database.close()
})

test('a record of another class than the reference says, or with a state its class refuses, is damage', async () => {
  const storage = new TestStorage()
  const database = await withNote(storage)
  const note = 1 as Oid
  storage.commit(new Map([[note, encodeRecord('shootout.Map', [])]]))
  const connection = await begun(database)
  await expect(noteOf(connection)).rejects.toBeInstanceOf(CorruptDataError)
  storage.commit(new Map([[note, encodeRecord('test.Note', 5)]]))
  await connection.sync()
  await expect(noteOf(connection)).rejects.toBeInstanceOf(CorruptDataError)
  storage.commit(new Map([[note, encodeRecord('test.Note', 'well')]]))
  await connection.sync()
  expect((await noteOf(connection)).state).toBe('well')
})

test('a reference to an object that is not there is found when it is loaded', async () => {
  const storage = new TestStorage()
  const database = await withNote(storage)
  storage.revisions.delete(1 as Oid)
  await database.close()
  const connection = await begun(new Database(storage))
  await expect(noteOf(connection)).rejects.toBeInstanceOf(ObjectNotFoundError)
  const note = (await connection.root).get('note') as Note
  expect(() => connection.activateMany([note])).toThrow(ObjectNotFoundError)
})

test('a load that comes back after its transaction ended is refused', async () => {
  const storage = new TestStorage({ waits: true })
  await withNote(storage)
  const connection = await begun(new Database(storage))
  const note = (await connection.root).get('note') as Note
  const late = connection.activate(note) as Promise<Note>
  const refused = expect(late).rejects.toMatchObject({ code: 'transaction-state' })
  await connection.abort()
  await refused
})

test('a closed connection goes back to the pool with what it has loaded, and is open to nobody else', async () => {
  const storage = new TestStorage()
  const database = await withNote(storage)
  const connection = await begun(database)
  const note = await noteOf(connection)
  await connection.close()
  expect(() => connection.begin()).toThrow(expect.objectContaining({ code: 'closed' }))
  storage.calls.length = 0
  const again = await begun(database)
  expect(again).toBe(connection)
  expect(again.activate(note)).toBe(note)
  expect(storage.calls).toStrictEqual(['poll'])
})

test('the pool keeps as many connections as it may and releases the rest', async () => {
  const storage = new TestStorage()
  const database = new Database(storage, { poolSize: 2 })
  const connections = await Promise.all([1, 2, 3].map(() => database.openConnection()))
  storage.calls.length = 0
  for (const connection of connections) await connection.close()
  expect(storage.calls.filter((call) => call === 'release')).toHaveLength(1)
  await database.close()
  expect(storage.calls.filter((call) => call === 'release')).toHaveLength(3)
  await expect(database.openConnection()).rejects.toMatchObject({ code: 'closed' })
})

test('a connection that cannot be ended keeps no other from being ended with the database', async () => {
  const storage = new TestStorage()
  await (await withNote(storage)).close()
  const database = new Database(storage)
  // Makes sure that there is a root, with an instance of its own.
  await (await database.openConnection()).close()
  const makeInstance = storage.newInstance.bind(storage)
  storage.newInstance = async () =>
    Object.assign(await makeInstance(), { release: () => Promise.reject(new DisconnectedError('gone')) })
  await Promise.all([database.openConnection(), database.openConnection()])
  storage.newInstance = makeInstance
  await database.openConnection()
  storage.calls.length = 0
  await expect(database.close()).rejects.toThrow(DisconnectedError)
  // That of the pool and the last one; the one between could not.
  expect(storage.calls.filter((call) => call === 'release')).toHaveLength(2)
})

test('a connection with uncommitted changes cannot be closed', async () => {
  const database = await withNote()
  const connection = await begun(database)
  ;(await noteOf(connection)).state = 'unsaved'
  await expect(connection.close()).rejects.toMatchObject({ code: 'transaction-state' })
  await connection.abort()
  await connection.close()
})

test('transfers are counted over all connections, those that are gone included', async () => {
  const database = new Database(new TestStorage(), { poolSize: 0 })
  await database.transact(async (connection) => {
    ;(await connection.root).set('a', new Note('a'))
  })
  await database.transact(async (connection) => void (await connection.root))
  expect(database.transferCounts()).toStrictEqual({ loads: 2, stores: 2 })
})

test('two databases that open an empty store at once make one root', async () => {
  const storage = new TestStorage({ waits: true })
  const roots = await Promise.all(
    [1, 2, 3].map(() => new Database(storage).transact((connection) => connection.root)),
  )
  expect(roots.map((root) => root.oid)).toStrictEqual([0, 0, 0])
  expect(storage.revisions.get(rootOid)).toHaveLength(1)
})

test('an error after the commit is done does not make it look undone; the next transaction reports it', async () => {
  const storage = new TestStorage()
  const database = await withNote(storage)
  const connection = await begun(database)
  const note = await noteOf(connection)
  note.state = 'second'
  const lost = new DisconnectedError('the line was cut after the commit')
  const answer = storage.answer.bind(storage)
  storage.answer = (value) => {
    if (storage.calls.at(-1) === 'afterCompletion') {
      storage.answer = answer
      throw lost
    }
    return answer(value)
  }
  expect(await connection.commit()).toBe(storage.lastTid)
  expect(() => connection.begin()).toThrow(lost)
  await connection.begin()
  expect((await noteOf(connection)).state).toBe('second')
})

test('an object of a class that was never registered is refused before it is stored', async () => {
  class Stranger extends Note {}
  class Nameless extends PersistentObject<string> {
    protected override checkState(): string {
      return ''
    }
  }
  const database = await withNote()
  for (const object of [new Stranger('x'), new Nameless('x')]) {
    const work = database.transact(async (connection) => {
      ;(await connection.root).set('new', object)
    })
    await expect(work).rejects.toMatchObject({ code: 'class-name' })
  }
})
