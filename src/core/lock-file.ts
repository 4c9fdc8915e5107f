/**
 * One process at a time uses a path: `<path>.lock` names it. A lock whose process is gone is taken over. The file
 * appears whole or not at all, because it is written under another name first and then linked.
 */

import { randomUUID } from 'node:crypto'
import { linkSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { ShootoutError } from './errors.ts'
import { systemErrorCode } from './file-system.ts'
import { isAlive, type ProcessIdentity, thisProcess } from './process-mark.ts'

interface Owner extends ProcessIdentity {
  readonly since: string
  /** Tells this lock from any other. */
  readonly token: string
}

export interface LockFile {
  release(): void
}

/**
 * @param log told when the lock of a dead process is taken over
 * @throws ShootoutError `storage-locked`
 */
export function acquireLock(path: string, log: (message: string) => void): LockFile {
  const lockPath = `${path}.lock`
  const token = randomUUID()
  const owner: Owner = {
    ...thisProcess(),
    since: new Date().toISOString(),
    token,
  }
  const ownPath = `${lockPath}.${token}`
  try {
    writeFileSync(ownPath, `${JSON.stringify(owner)}\n`, { flag: 'wx' })
    for (let attempt = 0; attempt < 10; attempt++) {
      try {
        linkSync(ownPath, lockPath)
        return { release: () => release(lockPath, token) }
      } catch (error) {
        if (systemErrorCode(error) !== 'EEXIST') throw error
      }
      const holder = readOwner(lockPath)
      if (holder === undefined) continue
      // Unknown counts as alive: two writers would destroy each other's work, a lock too many is only a nuisance.
      if (holder === 'unreadable' || isAlive(holder)) throw lockedError(path, lockPath, holder)
      if (setAside(lockPath, holder)) {
        log(
          `${path}: process ${holder.pid}, which had it locked since ${holder.since}, is gone; its lock was taken over`,
        )
      }
    }
    throw lockedError(path, lockPath, readOwner(lockPath) ?? 'unreadable')
  } finally {
    // On a full disk it is there and empty; in a folder that cannot be written to it is not there.
    rmSync(ownPath, { force: true })
  }
}

function release(lockPath: string, token: string): void {
  const owner = readOwner(lockPath)
  // Somebody removed it, or took it over by hand: then it is not ours to remove.
  if (owner === undefined || owner === 'unreadable' || owner.token !== token) return
  unlinkSync(lockPath)
}

/** Undefined when there is no lock (any more). */
function readOwner(lockPath: string): Owner | 'unreadable' | undefined {
  let text: string
  try {
    text = readFileSync(lockPath, 'utf8')
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  }
  try {
    const owner = JSON.parse(text) as Partial<Owner> | null
    if (typeof owner?.pid === 'number' && typeof owner.token === 'string') {
      return { host: '', started: 'unknown', since: 'an unknown time', ...owner } as Owner
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
  }
  return 'unreadable'
}

/** Removes a dead owner's lock. False when it was no longer there, or somebody else's by now. */
function setAside(lockPath: string, dead: Owner): boolean {
  const aside = `${lockPath}.${dead.token}.stale`
  try {
    renameSync(lockPath, aside)
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false
    throw error
  }
  const moved = readOwner(aside)
  const isDeads = typeof moved === 'object' && moved.token === dead.token
  // Another process was faster, and we moved its fresh lock away: put it back.
  if (!isDeads) linkSync(aside, lockPath)
  unlinkSync(aside)
  return isDeads
}

function lockedError(path: string, lockPath: string, owner: Owner | 'unreadable'): ShootoutError {
  if (owner === 'unreadable') {
    return new ShootoutError(
      'storage-locked',
      `${path}: ${lockPath} is in the way and does not say whose it is; remove it if no process uses it`,
      { details: { path, lockPath } },
    )
  }
  const who = owner.pid === process.pid && owner.host === hostname() ? 'this process' : `process ${owner.pid}`
  return new ShootoutError(
    'storage-locked',
    `${path}: ${who} on ${owner.host} has had it open since ${owner.since}; close it there, or open it read-only`,
    { details: { path, lockPath, pid: owner.pid, host: owner.host } },
  )
}
