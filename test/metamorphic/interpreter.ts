/**
 * Performs a history on one storage and writes down what came of each operation, in words that mean the same on every
 * storage: tids are named in the order in which they first appear.
 *
 * Operations that make no sense where they stand (a commit without a transaction) are answered with `-`, so that any
 * line of a history may be taken away. What the contract leaves open is left out too: storing an object anew that was
 * deleted, and looking at times from before a pack.
 */

import { codeOf } from '../../src/conformance/claims.ts'
import { type Client, mergeNumbers, toBytes, toText } from '../../src/conformance/client.ts'
import type { Workshop } from '../../src/conformance/workshop.ts'
import { noTid, type Oid, type Tid } from '../../src/core/ids.ts'
import type { Invalidations, Transaction } from '../../src/storages/storage.ts'
import { type Abilities, objectCount } from './operations.ts'

interface Connection {
  readonly client: Client
  hasSnapshot: boolean
  transaction: Transaction | undefined
  /** Objects that this connection, and no other, has changed since its last poll; and what others have. */
  ownOnly: Set<string>
  others: Set<string>
  /** Objects that the transaction writes. */
  written: Set<string>
  /** Set when a storage refuses the transaction before its vote. */
  broken: string | undefined
}

const refusals = ['conflict', 'read-conflict', 'undo']

export async function perform(
  shop: Workshop,
  lines: readonly string[],
  abilities: Abilities,
): Promise<string[]> {
  const interpreter = new Interpreter(shop)
  await interpreter.open()
  const results: string[] = []
  for (const line of lines) results.push(`${line} → ${await interpreter.perform(line)}`)
  results.push(...(await interpreter.epilogue(abilities)))
  return results
}

class Interpreter {
  readonly #shop: Workshop
  readonly #connections = new Map<string, Connection>()
  readonly #oids = new Map<string, Oid>()
  readonly #tids: Tid[] = []
  /** Objects that were ever committed: those cannot be created again. */
  readonly #created = new Set<string>()
  #packed = 0

  constructor(shop: Workshop) {
    this.#shop = shop
  }

  async open(): Promise<void> {
    await this.#shop.openWith({ resolveConflict: mergeNumbers })
    const client = await this.#shop.client()
    const oids = await client.newOids(objectCount)
    for (const [index, oid] of oids.entries()) this.#oids.set(`o${index + 1}`, oid)
  }

  /** The result of one operation. */
  async perform(line: string): Promise<string> {
    const [first = '', ...rest] = line.split(' ')
    if (first === 'pack') return await this.#pack(rest[0]!)
    if (first === 'reopen') return await this.#reopen()
    const connection = await this.#connection(first)
    const [operation, ...names] = rest
    switch (operation) {
      case 'poll':
        return await this.#poll(connection)
      case 'read':
        return connection.hasSnapshot ? await this.#read(connection, names[0]!) : '-'
      case 'read-many':
        return connection.hasSnapshot ? await this.#readMany(connection, names) : '-'
      case 'store':
        return await this.#store(connection, names[0]!, names[1]!)
      case 'delete':
        return await this.#store(connection, names[0]!, null)
      case 'current':
        return await this.#current(connection, names[0]!)
      case 'commit':
        return await this.#commit(connection)
      case 'abort':
        return await this.#abort(connection)
      case 'end':
        return await this.#end(connection)
      case 'before':
        return await this.#before(connection, names[0]!, names[1]!)
      case 'undo':
        return await this.#undo(connection, names[0]!)
      default:
        throw new Error(`no such operation: ${line}`)
    }
  }

  /** What is left in the end, to a fresh connection, and every transaction where nothing was packed. */
  async epilogue({ iteration }: Abilities): Promise<string[]> {
    const client = await this.#shop.client()
    await client.poll()
    const results: string[] = []
    for (const [name, oid] of this.#oids)
      results.push(`finally ${name} → ${this.#show(await client.find(oid))}`)
    if (!iteration || this.#packed > 0) return results
    for await (const { tid, records } of client.storage.iterate!()) {
      const shown = records.map(
        ({ oid, data }) => `${this.#nameOf(oid)}=${data === null ? 'deleted' : toText(data)}`,
      )
      if (shown.length > 0) results.push(`finally ${this.#nameTid(tid)} → ${shown.sort().join(' ')}`)
    }
    return results
  }

  async #connection(name: string): Promise<Connection> {
    const known = this.#connections.get(name)
    if (known !== undefined) return known
    const client = await this.#shop.client()
    const made = {
      client,
      hasSnapshot: false,
      transaction: undefined,
      written: new Set<string>(),
      broken: undefined,
      ownOnly: new Set<string>(),
      others: new Set<string>(),
    }
    this.#connections.set(name, made)
    return made
  }

  async #poll(connection: Connection): Promise<string> {
    if (connection.transaction !== undefined) return '-'
    const { ownOnly } = connection
    const changed = await this.#newSnapshot(connection)
    const at = this.#nameTid(connection.client.instance.snapshotTid)
    if (changed === 'all') return `all at ${at}`
    // An instance need not be told of what it alone has changed, and may be.
    const names = [...changed].map((oid) => this.#nameOf(oid)).filter((name) => !ownOnly.has(name))
    return `{${names.sort().join(' ')}} at ${at}`
  }

  async #newSnapshot(connection: Connection): Promise<Invalidations> {
    connection.hasSnapshot = true
    connection.ownOnly = new Set()
    connection.others = new Set()
    return await connection.client.poll()
  }

  async #read({ client }: Connection, name: string): Promise<string> {
    return this.#show(await client.find(this.#oids.get(name)!))
  }

  async #readMany({ client }: Connection, names: readonly string[]): Promise<string> {
    const revisions = await client.instance.loadMany(names.map((name) => this.#oids.get(name)!))
    return revisions.map((revision) => this.#show(revision)).join(', ')
  }

  async #store(connection: Connection, name: string, text: string | null): Promise<string> {
    if (!connection.hasSnapshot) return '-'
    const oid = this.#oids.get(name)!
    const revision = await connection.client.find(oid)
    if (revision === undefined && (text === null || this.#created.has(name))) return '-'
    connection.transaction ??= connection.client.begin()
    const { transaction } = connection
    await this.#breakable(connection, async () => {
      if (text === null) await transaction.delete!(oid, revision!.serial)
      else await transaction.store(oid, revision?.serial ?? noTid, toBytes(text))
    })
    connection.written.add(name)
    return 'ok'
  }

  async #current(connection: Connection, name: string): Promise<string> {
    if (!connection.hasSnapshot) return '-'
    const revision = await connection.client.find(this.#oids.get(name)!)
    if (revision === undefined) return '-'
    connection.transaction ??= connection.client.begin()
    const { transaction } = connection
    await this.#breakable(connection, () => transaction.readCurrent(this.#oids.get(name)!, revision.serial))
    return 'ok'
  }

  /** A storage may find a conflict here or at the vote; either way it is told at the commit. */
  async #breakable(connection: Connection, call: () => unknown): Promise<void> {
    // What is broken already takes nothing but an abort.
    if (connection.broken !== undefined) return
    try {
      await call()
    } catch (error) {
      connection.broken = refusal(error)
    }
  }

  async #commit(connection: Connection): Promise<string> {
    const { transaction, written, broken } = connection
    if (transaction === undefined) return '-'
    const hasChanges = written.size > 0
    try {
      if (broken !== undefined) return broken
      const voted = await transaction.vote()
      // Whether a transaction without changes gets a tid that anybody will see is up to the storage, so it gets none.
      if (!hasChanges) return 'ok'
      const merged = voted.resolvedOids.map((oid) => this.#nameOf(oid)).sort()
      const tid = await voted.finish()
      for (const name of written) this.#created.add(name)
      this.#noteChanges(connection, written)
      return `${this.#nameTid(tid)}${merged.length === 0 ? '' : ` merged ${merged.join(' ')}`}`
    } catch (error) {
      return refusal(error)
    } finally {
      await this.#clear(connection)
    }
  }

  #noteChanges(committer: Connection, names: Iterable<string>): void {
    for (const name of names) {
      for (const connection of this.#connections.values()) {
        if (connection === committer) continue
        connection.ownOnly.delete(name)
        connection.others.add(name)
      }
      if (!committer.others.has(name)) committer.ownOnly.add(name)
    }
  }

  async #abort(connection: Connection): Promise<string> {
    if (connection.transaction === undefined) return '-'
    await this.#clear(connection)
    return 'ok'
  }

  async #clear(connection: Connection): Promise<void> {
    await connection.transaction?.abort()
    connection.transaction = undefined
    connection.written = new Set()
    connection.broken = undefined
  }

  async #end(connection: Connection): Promise<string> {
    if (connection.transaction !== undefined) return '-'
    await connection.client.instance.afterCompletion()
    connection.hasSnapshot = false
    return 'ok'
  }

  async #before({ client }: Connection, name: string, tidName: string): Promise<string> {
    const tid = this.#tidOf(tidName)
    if (tid === undefined || Number(tidName.slice(1)) <= this.#packed) return '-'
    const text = await client.readBefore(this.#oids.get(name)!, tid)
    return text === undefined ? 'not yet' : text === null ? 'none' : text
  }

  async #undo(connection: Connection, tidName: string): Promise<string> {
    const tid = this.#tidOf(tidName)
    if (tid === undefined || connection.transaction !== undefined || Number(tidName.slice(1)) <= this.#packed)
      return '-'
    await this.#newSnapshot(connection)
    const transaction = connection.client.begin()
    try {
      const undone = await transaction.undo!(tid)
      const finished = await (await transaction.vote()).finish()
      this.#noteChanges(
        connection,
        undone.map((oid) => this.#nameOf(oid)),
      )
      return `${this.#nameTid(finished)} {${undone
        .map((oid) => this.#nameOf(oid))
        .sort()
        .join(' ')}}`
    } catch (error) {
      return refusal(error)
    } finally {
      await transaction.abort()
    }
  }

  async #pack(tidName: string): Promise<string> {
    const before = this.#tidOf(tidName)
    if (before === undefined) return '-'
    await (await this.#shop.storage()).pack!({ before })
    this.#packed = Math.max(this.#packed, Number(tidName.slice(1)))
    return 'ok'
  }

  async #reopen(): Promise<string> {
    await this.#shop.reopen({ resolveConflict: mergeNumbers })
    this.#connections.clear()
    return `ok at ${this.#nameTid((await this.#shop.storage()).lastTid)}`
  }

  #show(revision: { readonly data: Uint8Array; readonly serial: Tid } | undefined): string {
    return revision === undefined ? 'none' : `${toText(revision.data)} at ${this.#nameTid(revision.serial)}`
  }

  #nameOf(oid: Oid): string {
    for (const [name, one] of this.#oids) if (one === oid) return name
    return `unknown object ${oid}`
  }

  #tidOf(name: string): Tid | undefined {
    return this.#tids[Number(name.slice(1)) - 1]
  }

  #nameTid(tid: Tid): string {
    if (tid === noTid) return 't0'
    const place = this.#tids.indexOf(tid)
    return place === -1 ? `t${this.#tids.push(tid)}` : `t${place + 1}`
  }
}

function refusal(error: unknown): string {
  const code = codeOf(error)
  if (code === undefined || !refusals.includes(code)) throw error
  // Which of several conflicts is told of is up to the storage.
  return 'refused'
}
