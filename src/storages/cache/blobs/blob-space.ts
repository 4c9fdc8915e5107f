/**
 * The room that the files of a blob cache take, together, whoever puts them there: threads and processes that know
 * nothing of each other but the folder.
 *
 * Who puts a file in its place holds the lock of the folder. First the sum in `total` is raised, then the file gets its
 * name: so the sum is never below the truth, whatever a crash leaves, and by it the limit is never exceeded. Where it
 * would be, the files are counted, and those go that were used longest ago. What loss of power may do to the sum is put
 * right by counting once in every storage that is opened.
 *
 * The lock keeps nothing but the limit. Whoever takes it for abandoned although it is not, does no other harm.
 */

import { randomBytes } from 'node:crypto'
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import type { Clock } from '../../../core/clock.ts'
import { type FileSystem, readFully, systemErrorCode, writeFully } from '../../../core/file-system.ts'
import { blobFiles, blobFolders } from './blob-file.ts'

/** How a process is named, and how it is known to be gone. */
export interface ProcessNames {
  readonly mark: string
  isGone(mark: string): boolean
}

export interface BlobFolder {
  readonly files: FileSystem
  readonly path: string
  /** Of all blobs in it. */
  readonly bytesLimit: number
  readonly clock: Clock
  readonly processes: ProcessNames
}

/** Files take whole blocks of a disk. */
const blockBytes = 4096
/** When files have to go, they go until this much of the limit is in use, so that counting is rare. */
const keptShare = 0.9
/** The lock of a holder that has not been heard of for so long is broken. Counting says so after every folder. */
const lockStaleMs = 10_000
/** Who waits longer for the lock goes without: a blob less in the cache. */
const lockWaitMs = 5000
const lockPauseMs = 5
/** What somebody was filling so long ago is given up, also where nobody can tell whether he is still there. */
const incomingStaleMs = 24 * 3600 * 1000
/** Files removed between two turns of the event loop. */
const removalsPerTurn = 50

const incomingFiles = /^([0-9a-f]+-\d+-[0-9a-z]+)-[0-9a-f]{16}\.part$/
/** Of the sum, and of a lock. */
const textBytesMax = 64

function incomingFolder(folder: string): string {
  return `${folder}/incoming`
}

export class BlobSpace {
  readonly #folder: BlobFolder
  readonly #onEviction: () => void
  /** Files of this storage are put in their places one after the other. */
  #queue: Promise<unknown> = Promise.resolve()
  #isCounted = false

  /** @param onEviction told of each file that has gone to make room */
  constructor(folder: BlobFolder, onEviction: () => void) {
    this.#folder = folder
    this.#onEviction = onEviction
  }

  /** A name for a file that is being filled. */
  newIncoming(): string {
    const { path, processes } = this.#folder
    return `${incomingFolder(path)}/${processes.mark}-${randomBytes(8).toString('hex')}.part`
  }

  /** Makes sure that files can be made here, and removes those that processes that are gone were filling. @throws the system's error */
  open(): void {
    const { files, path, processes } = this.#folder
    this.makeFolders()
    const probe = this.newIncoming()
    files.close(files.open(probe, 'create'))
    files.remove(probe)
    for (const name of files.list(incomingFolder(path))) {
      const mark = incomingFiles.exec(name)?.[1]
      if (mark === undefined) continue
      const incoming = `${incomingFolder(path)}/${name}`
      if (processes.isGone(mark) || this.#ageMs(incoming) > incomingStaleMs) this.remove(incoming)
    }
  }

  /** They may have been removed. @throws the system's error */
  makeFolders(): void {
    const { files, path } = this.#folder
    files.makeFolder(path)
    files.makeFolder(incomingFolder(path))
  }

  /**
   * Gives a file that is complete its name, and makes room for it. False: it was not kept, and is gone.
   * @param bytes of the file @param to a name in one of the folders
   * @throws the system's error, with the file gone
   */
  place(
    from: string,
    bytes: number,
    to: { readonly folder: string; readonly name: string },
  ): Promise<boolean> {
    const placed = this.#queue.then(async () => {
      let isPlaced = false
      try {
        isPlaced = await this.#locked((isOurs) => this.#place(from, roomOf(bytes), to, isOurs))
        return isPlaced
      } finally {
        if (!isPlaced) this.remove(from)
      }
    })
    this.#queue = placed.catch(() => {})
    return placed
  }

  /** Everything that was to be placed has been. */
  async settled(): Promise<void> {
    await this.#queue
  }

  async #place(
    from: string,
    room: number,
    to: { readonly folder: string; readonly name: string },
    isOurs: () => boolean,
  ): Promise<boolean> {
    const { files, path, bytesLimit } = this.#folder
    const folder = `${path}/${to.folder}`
    // Somebody else was quicker.
    if (files.exists(`${folder}/${to.name}`)) return false
    let used = this.#isCounted ? this.#readTotal() : undefined
    if (used === undefined || used + room > bytesLimit) used = await this.#makeRoom(room, isOurs)
    if (used === undefined || used + room > bytesLimit || !isOurs()) return false
    this.#isCounted = true
    this.#writeTotal(used + room)
    files.makeFolder(folder)
    files.rename(from, `${folder}/${to.name}`)
    return true
  }

  /** Counts, and removes what has to go. Returns what is in use then; undefined when the lock was lost meanwhile. */
  async #makeRoom(room: number, isOurs: () => boolean): Promise<number | undefined> {
    const { files, path, bytesLimit } = this.#folder
    const found: { readonly path: string; readonly room: number; readonly touchedMs: number }[] = []
    let used = 0
    for (const folder of files.list(path)) {
      if (!blobFolders.test(folder)) continue
      for (const name of files.list(`${path}/${folder}`)) {
        if (!blobFiles.test(name)) continue
        const file = `${path}/${folder}/${name}`
        const facts = files.look(file)
        if (facts === undefined) continue
        found.push({ path: file, room: roomOf(facts.bytes), touchedMs: facts.touchedMs })
        used += roomOf(facts.bytes)
      }
      await nextTurn()
      if (!isOurs()) return undefined
    }
    if (used + room <= bytesLimit) return used
    found.sort((a, b) => a.touchedMs - b.touchedMs)
    for (const [index, file] of found.entries()) {
      if (used + room <= bytesLimit * keptShare) break
      // Used since it was looked at.
      if ((files.look(file.path)?.touchedMs ?? 0) > file.touchedMs) continue
      this.remove(file.path)
      used -= file.room
      this.#onEviction()
      if (index % removalsPerTurn > 0) continue
      await nextTurn()
      if (!isOurs()) return undefined
    }
    return used
  }

  /** Undefined when it cannot be believed. */
  #readTotal(): number | undefined {
    const [used, checksum] = this.#text(this.#totalPath).split(' ')
    return checksum !== undefined && Number(checksum) === crc32(used!) ? Number(used) : undefined
  }

  #writeTotal(used: number): void {
    const { files } = this.#folder
    if (!files.exists(this.#totalPath)) files.close(files.open(this.#totalPath, 'create'))
    withFile(files, this.#totalPath, (file) => {
      const text = Buffer.from(`${used} ${crc32(String(used))}`.padEnd(textBytesMax))
      writeFully(files, file, text, 0, text.length, 0)
    })
  }

  get #totalPath(): string {
    return `${this.#folder.path}/total`
  }

  // --- The lock -------------------------------------------------------------------------------------------------------

  get #lockPath(): string {
    return `${this.#folder.path}/lock`
  }

  /** @param work is told whether the lock is still held, which it must be asked about every few seconds */
  async #locked(work: (isOurs: () => boolean) => Promise<boolean>): Promise<boolean> {
    const { mark } = this.#folder.processes
    const owner = `${mark} ${randomBytes(8).toString('hex')}`
    for (let waitedMs = 0; !this.#tryLock(owner); waitedMs += lockPauseMs) {
      if (waitedMs >= lockWaitMs) return false
      await pause(lockPauseMs)
    }
    const isOurs = (): boolean => this.#renewLock(owner)
    try {
      return await work(isOurs)
    } finally {
      if (isOurs()) this.remove(this.#lockPath)
    }
  }

  #tryLock(owner: string): boolean {
    const { files } = this.#folder
    let file: number
    try {
      file = files.open(this.#lockPath, 'create')
    } catch (error) {
      if (systemErrorCode(error) !== 'EEXIST') throw error
      this.#breakStaleLock()
      return false
    }
    try {
      const text = Buffer.from(owner)
      writeFully(files, file, text, 0, text.length, 0)
      files.touch(file, this.#nowMs)
    } catch (error) {
      this.remove(this.#lockPath)
      throw error
    } finally {
      files.close(file)
    }
    return true
  }

  #renewLock(owner: string): boolean {
    const { files } = this.#folder
    let isOurs = false
    withFile(files, this.#lockPath, (file) => {
      isOurs = textOf(files, file) === owner
      if (isOurs) files.touch(file, this.#nowMs)
    })
    return isOurs
  }

  /** A lock may be empty: whoever made it has not written yet, or never will. */
  #breakStaleLock(): void {
    const { files, processes } = this.#folder
    const holder = this.#text(this.#lockPath)
    const mark = holder.split(' ')[0]!
    const isAbandoned = (mark !== '' && processes.isGone(mark)) || this.#ageMs(this.#lockPath) > lockStaleMs
    if (!isAbandoned) return
    const aside = this.newIncoming()
    try {
      files.rename(this.#lockPath, aside)
      // Another process was faster, and we moved its fresh lock away: put it back.
      if (this.#text(aside) !== holder) files.link(aside, this.#lockPath)
    } catch (error) {
      if (!['ENOENT', 'EEXIST'].includes(systemErrorCode(error) ?? '')) throw error
    }
    this.remove(aside)
  }

  // --- Files ----------------------------------------------------------------------------------------------------------

  get #nowMs(): number {
    return this.#folder.clock.wallUs() / 1000
  }

  /** 0 where there is no such file. A clock that was put back makes files of the future, which are as strange as old ones. */
  #ageMs(path: string): number {
    const facts = this.#folder.files.look(path)
    return facts === undefined ? 0 : Math.abs(this.#nowMs - facts.touchedMs)
  }

  /** Empty where there is no such file. */
  #text(path: string): string {
    const { files } = this.#folder
    let text = ''
    withFile(files, path, (file) => {
      text = textOf(files, file)
    })
    return text
  }

  /** Does nothing where there is no such file. @throws the system's error */
  remove(path: string): void {
    try {
      this.#folder.files.remove(path)
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error
    }
  }
}

/** Does nothing where there is no such file. */
function withFile(files: FileSystem, path: string, use: (file: number) => void): void {
  let file: number
  try {
    file = files.open(path, 'write')
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return
    throw error
  }
  try {
    use(file)
  } finally {
    files.close(file)
  }
}

function textOf(files: FileSystem, file: number): string {
  const text = Buffer.alloc(textBytesMax)
  return text.toString('latin1', 0, readFully(files, file, text, 0, text.length, 0)).trimEnd()
}

function roomOf(bytes: number): number {
  return Math.ceil(bytes / blockBytes) * blockBytes
}
