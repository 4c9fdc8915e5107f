/**
 * A disk in memory that fails in every way a disk may.
 *
 * Fault model. What a process wrote is in the memory of the system at once, and on the disk only after `sync`. When the
 * machine stops, of everything written since the last sync of the file,
 * - each sector of 512 bytes of each write reached the disk or did not, independently of the others and of their
 *   order, so writes are torn and reordered; the file is as long as the last sector that did, with zeros between;
 * - each change of the length by `truncate` did or did not;
 * - each name that was created, replaced or removed since the last `syncFolder` is as before or as after,
 *   independently of the other names; a folder whose own name is lost takes everything in it along.
 * Besides, on demand: a write is short; the disk is full (part of a write is done, then ENOSPC); a sync fails with EIO,
 * and then every unsynced sector reached the disk or did not, and the system *forgets* that they were not written, so
 * that the next sync says yes. The machine can stop at any operation that changes something; the operation itself is
 * then half done.
 */

import { basename, dirname } from 'node:path'
import type { FileFacts, FileSystem, OpenMode } from '../../src/core/file-system.ts'
import type { Random } from '../../src/core/random.ts'

const sectorBytes = 512

type Change =
  | { readonly kind: 'write'; readonly position: number; readonly data: Uint8Array }
  | { readonly kind: 'truncate'; readonly bytes: number }

interface File {
  /** As the running system sees it. */
  content: Uint8Array
  /** As the disk has it. */
  durable: Uint8Array
  /** What the system still has to write. */
  pending: Change[]
  readonly isFolder?: boolean
  /** As the last `touch` said. Survives everything. */
  touchedMs?: number
}

/** The machine stopped. */
export class MachineStopped extends Error {}

export interface Faults {
  /** The number of the changing operation at which the machine stops; 1 is the first. */
  readonly stopAt?: number
  /** Numbers of the syncs that fail, from 1. */
  readonly failingSyncs?: ReadonlySet<number>
  /** Bytes that may still be written before the disk is full. */
  bytesFree?: number
  /** Chance that a write is short. */
  readonly shortWrites?: number
}

export class SimulatedFileSystem implements FileSystem {
  /** Operations so far that changed something. */
  operations = 0
  syncs = 0
  stopped = false
  faults: Faults
  readonly #random: Random
  #names: Map<string, File>
  #durableNames: Map<string, File>
  readonly #open = new Map<number, File>()
  #nextDescriptor = 1000

  constructor(random: Random, faults: Faults = {}, names: ReadonlyMap<string, File> = new Map()) {
    this.#random = random
    this.faults = faults
    this.#names = new Map(names)
    this.#durableNames = new Map(names)
  }

  /** The machine starts again: what the disk has. */
  afterPowerLoss(random: Random, faults: Faults = {}): SimulatedFileSystem {
    // Sometimes nothing survives, sometimes nearly everything, sometimes half.
    const chance = [0, 0.3, 0.5, 0.9, 1][random.integer(5)]!
    const files = new Map<File, File>()
    const names = new Map<string, File>()
    for (const name of new Set([...this.#names.keys(), ...this.#durableNames.keys()])) {
      const before = this.#durableNames.get(name)
      const now = this.#names.get(name)
      const file = before === now || random.float() < chance ? now : before
      if (file === undefined) continue
      let survivor = files.get(file)
      if (survivor === undefined) {
        const content = surviving(file, random, chance)
        survivor = { ...file, content, durable: content.slice(), pending: [] }
        files.set(file, survivor)
      }
      names.set(name, survivor)
    }
    for (const name of [...names.keys()]) {
      const folder = dirname(name)
      const wasMade = this.#names.get(folder) ?? this.#durableNames.get(folder)
      if (wasMade !== undefined && !names.has(folder)) names.delete(name)
    }
    return new SimulatedFileSystem(random, faults, names)
  }

  /** The process was killed, the machine goes on: everything written is there. */
  afterKill(random: Random, faults: Faults = {}): SimulatedFileSystem {
    return new SimulatedFileSystem(random, faults, this.#names)
  }

  /** Contents by name, as the running system sees them. */
  snapshot(): Map<string, Uint8Array> {
    const files = [...this.#names].filter(([, { isFolder }]) => isFolder !== true)
    return new Map(files.map(([name, file]) => [name, file.content.slice()]))
  }

  /** Puts a file there, on the disk. */
  put(name: string, content: Uint8Array): void {
    const file = { content: content.slice(), durable: content.slice(), pending: [] }
    this.#names.set(name, file)
    this.#durableNames.set(name, file)
  }

  open(path: string, mode: OpenMode): number {
    let file = this.#names.get(path)
    if (mode === 'create') {
      this.#change()
      if (file !== undefined) throw systemError('EEXIST', path)
      file = { content: new Uint8Array(0), durable: new Uint8Array(0), pending: [] }
      this.#names.set(path, file)
    } else {
      this.#check()
    }
    if (file === undefined) throw systemError('ENOENT', path)
    this.#open.set(this.#nextDescriptor, file)
    return this.#nextDescriptor++
  }

  close(descriptor: number): void {
    this.#file(descriptor)
    this.#open.delete(descriptor)
  }

  read(descriptor: number, target: Uint8Array, offset: number, length: number, position: number): number {
    this.#check()
    const piece = this.#file(descriptor).content.subarray(position, position + length)
    target.set(piece, offset)
    return piece.length
  }

  write(descriptor: number, source: Uint8Array, offset: number, length: number, position: number): number {
    const file = this.#file(descriptor)
    let bytes = length
    if (length > 1 && this.#random.float() < (this.faults.shortWrites ?? 0))
      bytes = 1 + this.#random.integer(length - 1)
    const isLast = this.#isLast()
    if (isLast) bytes = this.#random.integer(bytes + 1)
    const { bytesFree } = this.faults
    const isFull = bytesFree !== undefined && bytes > bytesFree
    if (isFull) bytes = bytesFree
    if (bytesFree !== undefined) this.faults.bytesFree = bytesFree - bytes
    if (bytes > 0) {
      const data = source.slice(offset, offset + bytes)
      file.content = written(file.content, data, position)
      file.pending.push({ kind: 'write', position, data })
    }
    this.#change()
    if (isFull && bytes === 0) throw systemError('ENOSPC', 'no space left on device')
    return bytes
  }

  truncate(descriptor: number, bytes: number): void {
    const file = this.#file(descriptor)
    this.#change()
    file.content = resized(file.content, bytes)
    file.pending.push({ kind: 'truncate', bytes })
  }

  size(descriptor: number): number {
    this.#check()
    return this.#file(descriptor).content.length
  }

  touch(descriptor: number, timeMs: number): void {
    this.#check()
    this.#file(descriptor).touchedMs = timeMs
  }

  sync(descriptor: number): void {
    const file = this.#file(descriptor)
    this.#change()
    if (this.faults.failingSyncs?.has(++this.syncs) === true) {
      file.durable = surviving(file, this.#random, 0.5)
      file.pending = []
      throw systemError('EIO', 'input/output error')
    }
    for (const change of file.pending) file.durable = applied(file.durable, change)
    file.pending = []
  }

  async syncLater(descriptor: number): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    this.sync(descriptor)
  }

  syncFolder(path: string): void {
    this.#change()
    for (const name of new Set([...this.#names.keys(), ...this.#durableNames.keys()])) {
      if (dirname(name) !== path) continue
      const file = this.#names.get(name)
      if (file === undefined) this.#durableNames.delete(name)
      else this.#durableNames.set(name, file)
    }
  }

  exists(path: string): boolean {
    this.#check()
    return this.#names.has(path)
  }

  look(path: string): FileFacts | undefined {
    this.#check()
    const file = this.#names.get(path)
    return file && { bytes: file.content.length, touchedMs: file.touchedMs ?? 0 }
  }

  makeFolder(path: string): void {
    if (this.#names.has(path)) return
    this.#change()
    this.#names.set(path, {
      content: new Uint8Array(0),
      durable: new Uint8Array(0),
      pending: [],
      isFolder: true,
    })
  }

  list(path: string): string[] {
    this.#check()
    return [...this.#names.keys()].filter((name) => dirname(name) === path).map((name) => basename(name))
  }

  rename(from: string, to: string): void {
    this.#change()
    const file = this.#names.get(from)
    if (file === undefined) throw systemError('ENOENT', from)
    this.#names.delete(from)
    this.#names.set(to, file)
  }

  link(existing: string, path: string): void {
    this.#change()
    const file = this.#names.get(existing)
    if (file === undefined) throw systemError('ENOENT', existing)
    if (this.#names.has(path)) throw systemError('EEXIST', path)
    this.#names.set(path, file)
  }

  remove(path: string): void {
    this.#change()
    if (!this.#names.delete(path)) throw systemError('ENOENT', path)
  }

  #isLast(): boolean {
    return this.operations + 1 === this.faults.stopAt
  }

  #change(): void {
    this.#check()
    if (this.#isLast()) this.stopped = true
    this.operations++
    this.#check()
  }

  #check(): void {
    if (this.stopped) throw new MachineStopped(`the machine stopped at operation ${this.operations}`)
  }

  #file(descriptor: number): File {
    const file = this.#open.get(descriptor)
    if (file === undefined) throw systemError('EBADF', String(descriptor))
    return file
  }
}

function surviving(file: File, random: Random, chance: number): Uint8Array {
  let content = file.durable
  for (const change of file.pending) {
    if (change.kind === 'truncate') {
      if (random.float() < chance) content = applied(content, change)
      continue
    }
    const { position, data } = change
    for (let start = 0; start < data.length; ) {
      const end = Math.min(data.length, start + sectorBytes - ((position + start) % sectorBytes))
      if (random.float() < chance) content = written(content, data.subarray(start, end), position + start)
      start = end
    }
  }
  return content.slice()
}

function applied(content: Uint8Array, change: Change): Uint8Array {
  return change.kind === 'write'
    ? written(content, change.data, change.position)
    : resized(content, change.bytes)
}

function written(content: Uint8Array, data: Uint8Array, position: number): Uint8Array {
  const result = resized(content, Math.max(content.length, position + data.length))
  result.set(data, position)
  return result
}

function resized(content: Uint8Array, bytes: number): Uint8Array {
  const result = new Uint8Array(bytes)
  result.set(content.subarray(0, bytes))
  return result
}

function systemError(code: string, what: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${what}`), { code })
}
